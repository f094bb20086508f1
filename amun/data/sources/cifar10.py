"""CIFAR-10 as Parquet files of encoded images: columns `id`, `label`, `image` (bytes of a JPEG or PNG)."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, UnidentifiedImageError

from amun.data.sources.source import SourceImages
from amun.errors import InputError


def read_cifar10(root: Path | None) -> SourceImages:
    """Returns (N, 3, 32, 32) uint8 images in 10 classes from every `*.parquet` file in `root`, by name.

    Raises:
        InputError: the folder is missing or empty, a column is missing, or images cannot be read; all are named.
    """
    if root is None or not (files := sorted(root.glob("*.parquet"))):
        raise InputError(f"params.yaml: data.root: no Parquet files in {root}; name the folder of the CIFAR-10 files")
    rows = pd.concat([_read_rows(file) for file in files])
    images, unreadable = [], []
    for key, content in zip(rows["key"], rows["image"], strict=True):
        try:
            images.append(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))
        except (UnidentifiedImageError, OSError):
            unreadable.append(key)
    if unreadable:
        raise InputError(f"{root}: {len(unreadable)} images cannot be read: {', '.join(unreadable)}")
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    return SourceImages(rows["key"].tolist(), pixels, torch.tensor(rows["label"].to_numpy(), dtype=torch.int64))


def _read_rows(file: Path) -> pd.DataFrame:
    try:
        rows = pd.read_parquet(file, columns=["id", "label", "image"])
    except (ValueError, OSError) as error:
        raise InputError(f"{file}: columns id, label and image are needed: {' '.join(str(error).split())}") from None
    return rows.assign(key=[f"{file.stem}/{identifier}" for identifier in rows["id"]])
