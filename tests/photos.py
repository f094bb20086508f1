"""Folders of real pictures with invented subjects, as the tutorial has them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits

from amun.store.splits import assign_subjects
from tests.workspaces import ROOT

CIFAR10 = ROOT.parent / "shared" / "data" / "cifar10" / "train.parquet"


def write_digits(folder: Path) -> None:
    """Writes scikit-learn's 1,797 digits as PNG files in the folders of their classes, and whose they are."""
    digits = load_digits()
    paths = [f"{label}/{number:04d}.png" for number, label in enumerate(digits.target)]
    for path, pixels in zip(paths, digits.images, strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9375).astype(np.uint8)).save(folder / path)
    _write_subjects(folder, paths)


def write_cifar10(folder: Path, num_images: int = 5000) -> None:
    """Writes so many of CIFAR-10's photographs as the JPEG files they are, and whose they are."""
    rows = pd.read_parquet(CIFAR10).iloc[:num_images]
    paths = [f"{label}/{identifier}.jpg" for label, identifier in zip(rows["label"], rows["id"], strict=True)]
    for path, content in zip(paths, rows["image"], strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    _write_subjects(folder, paths)


def write_requests(folder: Path, path: Path, num_subjects: int = 60) -> None:
    """Writes the requests of so many of the folder's people, person-0003 apart."""
    subjects = pd.read_csv(folder / "subjects.csv")["subject"].unique()
    asking = [subject for subject in sorted(subjects) if subject != "person-0003"][:num_subjects]
    table = pd.DataFrame({"subject_id": asking, "received_at": "2026-11-20", "reference": "CRM-4711"})
    table.to_csv(path, index=False)


def _write_subjects(folder: Path, paths: list[str]) -> None:
    subjects = _invent_subjects(len(paths))
    pd.DataFrame({"path": paths, "subject": subjects}).to_csv(folder / "subjects.csv", index=False)


def _invent_subjects(num_samples: int) -> npt.NDArray[np.str_]:
    """Returns (N,) names: the sizes of assign_subjects, each subject as person-NNNN."""
    _, numbers = np.unique(assign_subjects(num_samples, 20, seed=0), return_inverse=True)
    return np.array([f"person-{number + 1:04d}" for number in numbers])
