"""No image, no answer of a model and nobody's id stands in a store file outside of its data pages."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from amun.stages.partial import PartialResults
from amun.store import samples as store
from amun.store.samples import Samples, read_samples, write_samples
from amun.store.store import StoreShape, read_owners, read_shape
from tests.footers import assert_shows_nobody

COUNT = 30
COLOUR_IMAGE = (3, 32, 32)

PAYLOADS: dict[str, Callable[[torch.Generator], Tensor]] = {
    "images": lambda random: torch.randint(0, 256, (COUNT, *COLOUR_IMAGE), dtype=torch.uint8, generator=random),
    "adversarial examples": lambda random: torch.rand(COUNT, *COLOUR_IMAGE, generator=random),
    "logits": lambda random: torch.randn(COUNT, 16, 10, generator=random),
    "inclusion": lambda random: torch.randint(0, 2, (COUNT, 16), dtype=torch.uint8, generator=random),
    "no rows": lambda random: torch.rand(0, *COLOUR_IMAGE, generator=random),
}


def name_samples(payloads: Tensor) -> Samples:
    """Returns labelled samples of people, three each."""
    numbers = range(len(payloads))
    return Samples(
        np.array([f"{number:032x}" for number in numbers], dtype=np.str_),
        np.array([f"person {number // 3:05}" for number in numbers], dtype=np.str_),
        torch.arange(len(payloads)) % 7,
        payloads,
    )


@pytest.mark.parametrize("kind", PAYLOADS)
def test_footer_of_each_kind_of_store_file_shows_nobody(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "GROUP_BYTES", 20_000)  # several row groups
    write_samples(tmp_path / "store.parquet", name_samples(PAYLOADS[kind](torch.Generator().manual_seed(0))), seal=None)
    assert_shows_nobody(tmp_path / "store.parquet")


def test_footer_of_partial_results_shows_nobody(tmp_path: Path) -> None:
    PartialResults(tmp_path, seal=None).keep(name_samples(PAYLOADS["images"](torch.Generator().manual_seed(0))))
    (path,) = tmp_path.iterdir()
    assert_shows_nobody(path)


def test_no_value_stands_in_clear_between_the_pages(tmp_path: Path) -> None:
    # each page is compressed, its header is not: such values stand whole in a header, and nowhere in a page
    samples = name_samples(torch.arange(COUNT, dtype=torch.uint8)[:, None].expand(COUNT, 3072))
    people = np.array([f"{number:02}" * 32 for number in range(COUNT)])
    path = tmp_path / "store.parquet"
    write_samples(path, replace(samples, sample_ids=people, subject_ids=people), seal=None)
    content = path.read_bytes()
    assert not [name for name in people if name.encode() in content]
    assert not [number for number in range(COUNT) if bytes([number]) * 3072 in content]


def test_file_with_statistics_as_once_written_is_still_read(tmp_path: Path) -> None:
    samples = name_samples(PAYLOADS["images"](torch.Generator().manual_seed(0)))
    path, once = tmp_path / "store.parquet", tmp_path / "once.parquet"
    write_samples(path, samples, seal=None)
    pq.write_table(pq.read_table(path), once, compression="zstd")
    with pytest.raises(AssertionError, match="in the footer"):
        assert_shows_nobody(once)
    assert read_shape(once) == read_shape(path) == StoreShape(COUNT, 7, COLOUR_IMAGE)
    assert read_owners(once).subject_ids.tolist() == samples.subject_ids.tolist()
    assert torch.equal(read_samples(once).payloads, samples.payloads)
