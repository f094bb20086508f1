"""Small pictures for the tests of sources."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from amun.core.params import ImagesParams
from amun.store.images import read_images
from amun.store.samples import Samples, SampleWriter
from amun.store.sources.catalogue import Listing
from amun.vault.seal import Seal
from amun.vault.vault import Vault

RULES = ImagesParams(colour="rgb", size=None, resize="refuse", transparent="white")


def paint(seed: int, *, size: tuple[int, int] = (8, 6), mode: str = "RGB") -> Image.Image:
    """Returns a picture (height, width) of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 4), dtype=np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    """Returns the bytes of an image file."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def write_images(folder: Path, names: list[str], first_seed: int = 0) -> None:
    """Writes a picture of its own for each name."""
    for seed, name in enumerate(names, first_seed):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        paint(seed).save(folder / name)


def write_class_folder(folder: Path, owners: dict[str, str], first_seed: int = 0) -> None:
    """Writes images by path, in the folders of their classes, and whose they are."""
    write_images(folder, list(owners), first_seed)
    lines = [f"{path},{subject}\n" for path, subject in owners.items()]
    (folder / "subjects.csv").write_text("path,subject\n" + "".join(lines), encoding="utf-8")


def read_all(listing: Listing, rules: ImagesParams = RULES, size: tuple[int, int] = (8, 6)) -> np.ndarray:
    """Returns all images of a listing: (N, C, H, W)."""
    batches = list(read_images(listing, np.arange(len(listing)), rules, size))
    assert not [problem for batch in batches for problem in batch.problems]
    return np.concatenate([batch.pixels for batch in batches if batch.pixels is not None])


def write_encoded(path: Path, files: list[bytes], people: list[str], vault: Vault | None) -> None:
    """Writes a store file of images that are kept as these files, two of each person's, with labels of 0."""
    owners = np.array([people[row // 2] for row in range(len(files))])
    ids = np.array([f"e{row:031x}" for row in range(len(files))])
    pixels = [np.asarray(Image.open(io.BytesIO(file))).transpose(2, 0, 1) for file in files]
    samples = Samples(ids, owners, torch.zeros(len(files), dtype=torch.int64), torch.from_numpy(np.stack(pixels)))
    writer = SampleWriter(path, None if vault is None else Seal(vault, "a context"), RULES)
    writer.append(samples, files)
    writer.finish()
