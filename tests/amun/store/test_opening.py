"""Samples are the same whether they are held in memory or opened batch by batch; what cannot be opened is told."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from amun.core.errors import AmunError, DamagedError, InputError
from amun.core.memory import GIB
from amun.store import samples as store
from amun.store.opening import SampleOpener
from amun.store.pages import locate_values
from amun.store.rows import RowReader
from amun.store.samples import Samples, StoredSamples, join_stored, read_samples, write_samples
from amun.vault.seal import open_seal
from tests.amun.sealing import destroy_keys, make_vault
from tests.amun.shipped import PARAMS

CPU = torch.device("cpu")
COUNT, SHAPE = 3000, (1, 4, 4)
PATH = Path("train.parquet")


@pytest.fixture(scope="module", autouse=True)
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("workspace")
    with chdir(root):
        make_vault(root)
        write_samples(PATH, make_samples(COUNT), open_seal(True, "test"))
        yield root


def make_samples(count: int, dtype: torch.dtype = torch.uint8, shape: tuple[int, ...] = SHAPE) -> Samples:
    numbers = np.arange(count)
    pixels = torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(0)).to(dtype)
    ids = np.array([f"{number:032x}" for number in numbers], dtype=np.str_)
    people = np.array([f"person {number // 3}" for number in numbers], dtype=np.str_)
    return Samples(ids, people, torch.from_numpy(numbers % 7), pixels)


def open_with(room: int, path: Path = PATH, **which: list[str]) -> StoredSamples:
    runtime = PARAMS.runtime.model_copy(update={"memory_gib": room / GIB})
    return SampleOpener(runtime, CPU).open(path, **which)


def assert_same(opened: StoredSamples, expected: Samples) -> None:
    assert opened.sample_ids.tolist() == expected.sample_ids.tolist()
    assert opened.subject_ids.tolist() == expected.subject_ids.tolist()
    assert torch.equal(opened.labels, expected.labels)
    assert torch.equal(opened.images.read_all(), expected.images)


def test_what_fits_is_held_and_the_rest_stays_sealed() -> None:
    num_bytes = COUNT * int(np.prod(SHAPE))
    everything = read_samples(PATH)
    for room, is_sealed in ((num_bytes, False), (num_bytes - 1, True), (0, True)):
        opened = open_with(room)
        assert opened.images.is_sealed == is_sealed
        assert_same(opened, everything)
        some = np.random.default_rng(1).permutation(COUNT)[:100]
        assert_same(opened.take(some), everything.take(some))


def test_room_is_taken_in_turn() -> None:
    num_bytes = COUNT * int(np.prod(SHAPE))
    opener = SampleOpener(PARAMS.runtime.model_copy(update={"memory_gib": 1.5 * num_bytes / GIB}), CPU)
    first, second = opener.open(PATH), opener.open(PATH)
    assert (first.images.is_sealed, second.images.is_sealed) == (False, True)
    both = join_stored([first, second])
    assert both.images.is_sealed
    assert torch.equal(both.images.read_all(), torch.cat([read_samples(PATH).images] * 2))


def test_half_of_free_memory_is_taken_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    num_bytes = COUNT * int(np.prod(SHAPE))
    for free, is_sealed in ((2 * num_bytes, False), (2 * num_bytes - 2, True)):
        monkeypatch.setattr("amun.store.opening.count_free_memory", lambda free=free: free)
        assert SampleOpener(PARAMS.runtime, CPU).open(PATH).images.is_sealed == is_sealed


def test_several_take_batches_from_one_file_at_the_same_time() -> None:
    # by one descriptor, as copies of a process do
    images, everything = open_with(0).images, read_samples(PATH).images
    orders = [torch.randperm(COUNT, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    with ThreadPoolExecutor(len(orders)) as pool:
        found = list(pool.map(images.batch, orders))
    assert all(torch.equal(batch, everything[order]) for batch, order in zip(found, orders, strict=True))


def test_nobody_who_is_gone_is_opened(tmp_path: Path) -> None:
    with chdir(tmp_path):
        make_vault(tmp_path)
        samples = make_samples(30)
        write_samples(PATH, samples, open_seal(True, "test"))
        destroy_keys(tmp_path, ["person 2"])
        gone = samples.sample_ids[6:9].tolist()
        left = samples.select(~samples.is_among(gone))
        for room in (GIB, 0):
            assert_same(open_with(room, without=gone), left)
            assert_same(open_with(room, sample_ids=left.sample_ids[:4].tolist()), left.slice(0, 4))
            with pytest.raises(AmunError, match=r"^3 samples of train cannot be opened: the key store has no key"):
                open_with(room)


def test_images_in_clear_must_fit(tmp_path: Path) -> None:
    path = tmp_path / "clear.parquet"
    write_samples(path, make_samples(30), seal=None)
    assert_same(open_with(GIB, path), read_samples(path))
    with pytest.raises(InputError, match=r"clear\.parquet: its images .* runtime\.memory_gib leaves 0, and images"):
        open_with(0, path)


def test_a_row_that_was_changed_or_cut_off_meanwhile_is_told(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    path.write_bytes(PATH.read_bytes())
    images = open_with(0, path).images
    with RowReader(path) as reader:
        place = int(locate_values(path, pq.read_metadata(path), 2)[7])
        assert len(reader) == COUNT
    with path.open("r+b") as file:
        file.seek(place + 20)
        (byte,) = file.read(1)
        file.seek(place + 20)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(DamagedError, match=r"^sample 0{31}7 of train cannot be opened: it is not what was sealed"):
        list(images.stream_all(4))
    os.truncate(path, place)
    with pytest.raises(DamagedError, match=r"train\.parquet has been cut off; bring it back"):
        images.batch(torch.tensor([7]))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has a file that gives an error of the disk's")
def test_a_row_that_the_disk_does_not_give_is_told(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    path.write_bytes(PATH.read_bytes())
    images = open_with(0, path).images
    descriptor = next(fd for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink() and fd.readlink() == path)
    # of this process's memory nothing lies at such a place
    failing = os.open("/proc/self/mem", os.O_RDONLY)
    os.dup2(failing, int(descriptor.name))
    os.close(failing)
    with pytest.raises(AmunError, match=r"train\.parquet cannot be read: Input/output error; see to the disk"):
        images.batch(torch.tensor([7]))


@pytest.mark.parametrize(
    ("count", "shape", "dtype", "group_bytes", "is_scattered"),
    [
        (0, (1, 4, 4), torch.uint8, 1, False),
        (1, (1, 4, 4), torch.float32, 2**24, False),
        (9, (1, 4, 4), torch.uint8, 1, False),  # a row group each, at the same distance
        (9, (1, 4, 4), torch.uint8, 2**24, False),  # all in one page
        (2100, (1, 32, 32), torch.uint8, 2**24, True),  # several pages
        (400, (3, 32, 32), torch.float32, 2**21, True),  # several row groups
    ],
)
def test_values_lie_where_they_are_looked_for(
    count: int,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    group_bytes: int,
    *,
    is_scattered: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, samples = Path("located.parquet"), make_samples(count, dtype, shape)
    monkeypatch.setattr(store, "GROUP_BYTES", group_bytes)
    write_samples(path, samples, open_seal(True, "test"))
    distances = np.diff(locate_values(path, pq.read_metadata(path), 2))
    assert (len(np.unique(distances)) > 1) == is_scattered
    with RowReader(path) as reader:
        rows = reader.locate(np.ones(count, dtype=np.bool_))
    chosen = np.random.default_rng(0).permutation(count)
    assert np.array_equal(rows.open(chosen), samples.payloads.numpy()[chosen])


def test_a_page_of_less_than_nothing_is_refused(tmp_path: Path) -> None:
    path, metadata = tmp_path / "train.parquet", pq.read_metadata(PATH)
    content, place = bytearray(PATH.read_bytes()), metadata.row_group(0).column(2).data_page_offset
    numbers: list[int] = []  # where those of the header begin: type, size, stored size, count of values
    while len(numbers) < 4:
        place += 1 + (content[place] == 0x2C)  # a number's kind; before the last one, that of a struct as well
        numbers.append(place)
        while content[place] & 128:
            place += 1
        place += 1
    for number in numbers[2:]:
        content[number] ^= 1  # the sign
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not the length of its values"):
        locate_values(path, metadata, 2)
    with pytest.raises(DamagedError, match=r"train\.parquet is damaged: .*; bring it back"):
        open_with(0, path)


def test_a_column_that_is_laid_out_otherwise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clear.parquet"
    write_samples(path, make_samples(30), seal=None)
    with pytest.raises(ValueError, match="compressed"):
        locate_values(path, pq.read_metadata(path), 3)
    table = pq.read_table(PATH)
    pq.write_table(table, path, compression="none", use_dictionary=False, data_page_version="2.0")
    with pytest.raises((ValueError, LookupError)):
        locate_values(path, pq.read_metadata(path), 2)
