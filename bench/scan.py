"""How fast the scan reads, on one core: plain bytes, text, base64, and what it has to unpack.

    python -m bench.scan                    8 MB of each, looking for 20 pictures and for 1,000; a minute
    python -m bench.scan --photographs      and how many of CIFAR-10's photographs are found, and taken for others
    python -m bench.scan --early            as a process reads its first 4 GB: without machine code for base64

Processor time of this process, the least of the rounds; all in one run, so that the figures can be compared. `on disk`
are the megabytes a second as they lie, `unpacked` those after unpacking. Of base64 the bytes that it stands for are
looked through four times, once for each letter with which it may begin, and its text once. `decoder` is what unpacking
alone reaches. The exit code is 1 unless each content is read at 100 MB/s: unpacked, or as it lies where that is more.
bzip2 and xz are told beside, for their decoders alone are slower.
"""

import argparse
import base64
import bz2
import gzip
import io
import lzma
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from amun.scan import base64_runs
from amun.scan.content import scan_bytes
from amun.scan.files import find_body
from amun.scan.fingerprint import FILE, IMAGE, Fingerprint
from amun.scan.hashing import WindowHash
from amun.scan.matcher import Matcher
from amun.scan.taking import FingerprintTaker
from amun.study.machine import describe_machine
from bench.wave import ROOT

CIFAR10 = ROOT.parent / "shared/data/cifar10/train.parquet"
MEGA = 1_000_000
MIN_SPEED = 100.0  # MB/s
IMAGE_SHAPE = (3, 32, 32)


def main() -> None:
    """Prints the table; exits with 1 where the bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=8, help="of each content")
    parser.add_argument("--pictures", type=int, default=1000, help="that are looked for")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--photographs", type=Path, nargs="?", const=CIFAR10, help="Parquet file with image files")
    parser.add_argument("--early", action="store_true", help="as a process reads at first")
    arguments = parser.parse_args()
    base64_runs.MACHINE_CODE_FROM = sys.maxsize if arguments.early else 0
    random = np.random.default_rng(0)
    window_hash = WindowHash.derive(b"k" * 32)
    pictures = random.integers(0, 256, (arguments.pictures, *IMAGE_SHAPE), dtype=np.uint8)
    began = time.process_time()
    fingerprint = _take(window_hash, pictures)
    seconds = time.process_time() - began
    print(describe_machine(torch.device("cpu")))
    print(
        f"{arguments.pictures} pictures of {np.prod(IMAGE_SHAPE)} bytes: a fingerprint is taken in "
        f"{seconds / arguments.pictures * 1e6:.0f} us, and has {len(fingerprint.dump()) / arguments.pictures:.0f} bytes"
    )
    plain = random.integers(0, 256, arguments.megabytes * MEGA, dtype=np.uint8).tobytes()
    few = Matcher(window_hash, [_take(window_hash, pictures[:20])])
    many = Matcher(window_hash, [fingerprint])
    reached = [_report(content, few, many, arguments.rounds) for content in _list_contents(plain, random)]
    if arguments.photographs is not None:
        _count_found(window_hash, arguments.photographs)
    sys.exit(0 if all(reached) else 1)


def _take(window_hash: WindowHash, pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Fingerprint:
    taker = FingerprintTaker(window_hash)
    taker.add_payloads(IMAGE, pictures)
    return taker.finish()


def _count_found(window_hash: WindowHash, path: Path, num_own: int = 1000, num_others: int = 5000) -> None:
    """Prints how many photographs are found, whole and by a quarter, and how many of others' are taken for one."""
    images = list(pq.read_table(path, columns=["image"]).column("image")[: num_own + num_others].to_pylist())
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(image)).convert("RGB")) for image in images])
    pixels = pixels.transpose(0, 3, 1, 2)
    taker = FingerprintTaker(window_hash)
    taker.add_payloads(IMAGE, pixels[:num_own])
    for image in images[:num_own]:
        taker.add_content(FILE, find_body(image))
    matcher = Matcher(window_hash, [taker.finish()])
    starts = np.random.default_rng(0).integers(0, pixels[0].size * 3 // 4, num_own)
    num_found = {
        "whole": sum(_has(matcher, row, pixels[row].tobytes()) for row in range(num_own)),
        "quarters": sum(
            _has(matcher, row, pixels[row].tobytes()[start : start + pixels[0].size // 4])
            for row, start in enumerate(starts.tolist())
        ),
        "files": sum(_has(matcher, num_own + row, images[row]) for row in range(num_own)),
    }
    floats = pixels[num_own:].astype(np.float32) / np.float32(255)
    mistaken = set[int]()
    for others in (pixels[num_own:], pixels[num_own:].transpose(0, 2, 3, 1), floats, floats.astype(np.float16)):
        matcher.find_items(others.tobytes(), mistaken)
    matcher.find_items(b"".join(images[num_own:]), mistaken)
    told = ", ".join(f"{name} {number}" for name, number in num_found.items())
    print(f"of {num_own} photographs found: {told}; of {num_others} others taken for one of them: {len(mistaken)}")


def _has(matcher: Matcher, item: int, content: bytes) -> bool:
    found = set[int]()
    matcher.find_items(content, found)
    return item in found


@dataclass(frozen=True)
class _Content:
    """What is read.

    Attributes:
        name: what it is.
        stored: as it lies.
        size: bytes after unpacking.
        unpack: does that alone; None where nothing is unpacked.
        is_bound: whether it has to be read at MIN_SPEED.
    """

    name: str
    stored: bytes
    size: int
    unpack: Callable[[], object] | None = None
    is_bound: bool = True


def _list_contents(plain: bytes, random: np.random.Generator) -> list[_Content]:
    """Returns contents of about the same size unpacked, or on disk where nothing is unpacked."""
    words = [bytes(random.integers(97, 123, size, dtype=np.uint8)) for size in random.integers(2, 9, 5000)]
    text = b" ".join(words[place] for place in random.integers(0, len(words), len(plain) // 6))
    decoded = plain[: len(plain) // 4 * 3]
    stored = {
        "plain bytes": plain,
        "zeros": bytes(len(plain)),
        "text": text,
        "base64": base64.b64encode(decoded),
        "base64 in lines": base64.encodebytes(decoded),
    }
    return [
        *(_Content(name, content, len(decoded if "base64" in name else content)) for name, content in stored.items()),
        *_list_packed((np.frombuffer(plain, np.uint8) % 16).tobytes()),
    ]


def _list_packed(levels: bytes) -> list[_Content]:
    """Returns pixels of 16 levels in each packing: no byte lies there as it was."""
    zipped, table, zstd = io.BytesIO(), io.BytesIO(), pa.compress(levels, "zstd", asbytes=True)
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("levels", levels)
    rows = [levels[start : start + 3072] for start in range(0, len(levels), 3072)]
    pq.write_table(pa.table({"image": rows}), table, compression="zstd")
    gzipped, size = gzip.compress(levels, 1), len(levels)
    slow = levels[: size // 5]
    bzipped, xz = bz2.compress(slow), lzma.compress(slow, preset=0)
    return [
        _Content("gzip", gzipped, size, lambda: gzip.decompress(gzipped)),
        _Content("zip", zipped.getvalue(), size, lambda: zipfile.ZipFile(zipped).read("levels")),
        _Content("zstd", zstd, size, lambda: pa.decompress(zstd, size, "zstd")),
        _Content("Parquet by zstd", table.getvalue(), size, lambda: pq.read_table(table)),
        _Content("bzip2", bzipped, len(slow), lambda: bz2.decompress(bzipped), is_bound=False),
        _Content("xz", xz, len(slow), lambda: lzma.decompress(xz), is_bound=False),
    ]


def _report(content: _Content, few: Matcher, many: Matcher, num_rounds: int) -> bool:
    """Prints a content's line; returns whether it is read fast enough."""
    seconds = [
        min(_time(partial(scan_bytes, matcher, content.stored)) for _ in range(num_rounds)) for matcher in (few, many)
    ]
    told = [
        f"{len(content.stored) / MEGA / each:5.0f} MB/s on disk, {content.size / MEGA / each:5.0f} unpacked"
        for each in seconds
    ]
    ratio = max(len(content.stored), content.size) / MEGA / max(seconds) / MIN_SPEED
    bound = f"{ratio:.2f} of the bound" if content.is_bound else "no bound"
    alone = ""
    if content.unpack is not None:
        alone = f"; decoder {content.size / MEGA / min(_time(content.unpack) for _ in range(num_rounds)):.0f} MB/s"
    print(f"{content.name:<16} 20: {told[0]}; all: {told[1]}: {bound}{alone}", flush=True)
    return ratio >= 1 or not content.is_bound


def _time(run: Callable[[], object]) -> float:
    before = time.process_time()
    run()
    return time.process_time() - before


if __name__ == "__main__":
    main()
