"""What a machine that has none of a study's files is sent of them, opened: it keeps that in memory alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from amun.store.samples import Samples, read_samples
from amun.store.store import StoreShape

OF_SAMPLES = ".parquet"
Splits = tuple[Samples, Samples, Samples]


@dataclass(frozen=True)
class LentFiles:
    """Files of other jobs.

    Attributes:
        samples: what is of single samples, opened, by path.
        plain: the bytes of weights and facts, by path.
        logits: (N, K, C) by the references of `audit` and `target`, where they are asked.
    """

    samples: Mapping[Path, Samples]
    plain: Mapping[Path, bytes]
    logits: Mapping[str, Tensor]


@dataclass(frozen=True)
class Lent:
    """What another machine has of a study's files, in memory alone: as they are opened, for keys stay here.

    Attributes:
        splits: training samples, calibration half and test half.
        shape: of the training samples.
        files: of what one job reads besides, by path; those of single samples are opened.
    """

    splits: Splits
    shape: StoreShape
    files: LentFiles


def read_files(paths: Iterable[Path], logits: Mapping[str, Tensor]) -> LentFiles:
    """Returns the contents of files that other jobs have come to, with these logits."""
    asked = {path: path.suffix == OF_SAMPLES for path in paths}
    return LentFiles(
        {path: read_samples(path) for path, has_samples in asked.items() if has_samples},
        {path: path.read_bytes() for path, has_samples in asked.items() if not has_samples},
        logits,
    )
