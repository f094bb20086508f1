"""How fast the scan reads, on one core: plain bytes, text, base64, and what it has to unpack.

    python -m bench.scan                    50 MB of each, looking for 1,000 pictures; a minute
    python -m bench.scan --photographs      and how many of CIFAR-10's photographs are found, and taken for others

Processor time of this process, the least of the rounds, for each megabyte as it lies on disk; all in one run, so that
the figures can be compared. The exit code is 1 unless plain bytes are read at 100 MB/s at least.
"""

import argparse
import base64
import gzip
import io
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

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
    parser.add_argument("--megabytes", type=int, default=50, help="of each content")
    parser.add_argument("--pictures", type=int, default=1000, help="that are looked for")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--photographs", type=Path, nargs="?", const=CIFAR10, help="Parquet file with image files")
    arguments = parser.parse_args()
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
    speed = {}
    for name, content in _list_contents(plain, random).items():
        speed[name] = [_measure(matcher, content, arguments.rounds) for matcher in (few, many)]
        print(f"{name:<18} {speed[name][0]:5.0f} MB/s for 20 pictures, {speed[name][1]:5.0f} for all")
    if arguments.photographs is not None:
        _count_found(window_hash, arguments.photographs)
    sys.exit(0 if min(speed["plain bytes"]) >= MIN_SPEED else 1)


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


def _list_contents(plain: bytes, random: np.random.Generator) -> dict[str, bytes]:
    """Returns contents of about the same size on disk by what they are."""
    words = [bytes(random.integers(97, 123, size, dtype=np.uint8)) for size in random.integers(2, 9, 5000)]
    text = b" ".join(words[place] for place in random.integers(0, len(words), len(plain) // 6))
    levels = (np.frombuffer(plain, np.uint8) % 16).tobytes()
    zipped, table = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("levels", levels)
    rows = [levels[start : start + 3072] for start in range(0, len(levels), 3072)]
    pq.write_table(pa.table({"image": rows}), table, compression="zstd")
    return {
        "plain bytes": plain,
        "zeros": bytes(len(plain)),
        "text": text,
        "base64": base64.b64encode(plain[: len(plain) // 4 * 3]),
        "base64 in lines": base64.encodebytes(plain[: len(plain) // 4 * 3]),
        "gzip": gzip.compress(levels, 1),
        "zip": zipped.getvalue(),
        "Parquet by zstd": table.getvalue(),
    }


def _measure(matcher: Matcher, content: bytes, num_rounds: int) -> float:
    """Returns the megabytes a second."""
    return len(content) / MEGA / min(_time(lambda: scan_bytes(matcher, content)) for _ in range(num_rounds))


def _time(run: Callable[[], object]) -> float:
    before = time.process_time()
    run()
    return time.process_time() - before


if __name__ == "__main__":
    main()
