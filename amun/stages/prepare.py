"""Stage `prepare`: reads the source, names samples by keyed ids, splits them by subject, fills the sample store."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from amun.data.samples import Samples, write_samples
from amun.data.sources.source import SourceImages, read_source
from amun.data.splits import SPLITS, assign_subjects, split_subjects
from amun.errors import InputError
from amun.keys import keyed_digest, load_secret, subject_key
from amun.params import Params
from amun.paths import CALIBRATION, EXCLUSIONS, PREPARE_METRICS, TEST, TRAIN
from amun.stages.runner import run_stage
from amun.wave import write_json


def prepare(params: Params, _device: torch.device) -> None:
    """Writes one store file for each split, without the subjects named in `data/exclusions.json`."""
    secret = load_secret(Path.cwd())
    source = read_source(params.data.source, Path(params.data.root) if params.data.root else None)
    samples = _name_samples(_draw_images(source, params), params, secret)
    excluded = _find_excluded(samples, lambda subject_id: subject_key(secret, subject_id))
    held = samples.select(~excluded)
    train_fraction, calibration_fraction = params.data.train_fraction, params.data.calibration_fraction
    fractions = (train_fraction, calibration_fraction, 1 - train_fraction - calibration_fraction)
    splits = split_subjects(held.subject_ids, held.labels.numpy(), fractions, params.data.seed)
    _require_trained_classes(held.labels, splits == "train")
    for split, path in zip(SPLITS, (TRAIN, CALIBRATION, TEST), strict=True):
        if not (splits == split).any():
            raise InputError(f"params.yaml: data: the {split} split is empty; there are too few subjects")
        write_samples(path, held.select(splits == split))
    counts = {f"num_{split}": int((splits == split).sum()) for split in SPLITS}
    write_json(PREPARE_METRICS, counts | {"num_excluded": int(excluded.sum())})


def _require_trained_classes(labels: Tensor, is_train: npt.NDArray[np.bool_]) -> None:
    """Refuses a class that no training sample has: the model would have no output for it."""
    trained = set(labels[torch.from_numpy(is_train)].tolist())
    if untrained := sorted(set(labels.tolist()) - trained):
        raise InputError(
            f"params.yaml: data: no training sample has the class {untrained[0]}; there are too few samples"
        )


def _draw_images(source: SourceImages, params: Params) -> SourceImages:
    if params.data.num_samples is None or params.data.num_samples >= len(source.keys):
        return source
    drawn = np.sort(np.random.default_rng(params.data.seed).permutation(len(source.keys))[: params.data.num_samples])
    return SourceImages(
        [source.keys[position] for position in drawn],
        source.images[drawn],
        source.labels[drawn],
        None if source.subject_ids is None else source.subject_ids[drawn],
    )


def _name_samples(source: SourceImages, params: Params, secret: bytes) -> Samples:
    pixels = source.images.numpy()
    sample_ids = [
        keyed_digest(secret, "sample", key.encode(), image.tobytes())
        for key, image in zip(source.keys, pixels, strict=True)
    ]
    subject_ids = source.subject_ids
    if subject_ids is None:
        subject_ids = assign_subjects(len(sample_ids), params.data.subject_max_samples, params.data.seed)
    return Samples(np.array(sample_ids, dtype=np.str_), subject_ids, source.labels, source.images)


def _find_excluded(samples: Samples, key_of: Callable[[str], str]) -> npt.NDArray[np.bool_]:
    keys = set(json.loads(EXCLUSIONS.read_text(encoding="utf-8")))
    excluded = [subject_id for subject_id in np.unique(samples.subject_ids) if key_of(subject_id) in keys]
    return np.isin(samples.subject_ids, np.array(excluded, dtype=np.str_))


if __name__ == "__main__":
    run_stage(prepare)
