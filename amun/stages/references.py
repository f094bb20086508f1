"""Stage `references`: trains the audit and the target references and keeps their logits.

Their weights are dropped, unless those of the target references are to be kept for the methods that need them.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

from amun.core.params import Params, RuntimeParams
from amun.core.paths import AUDIT_INCLUSION, AUDIT_LOGITS, CALIBRATION, TARGET_INCLUSION, TARGET_LOGITS, TEST, TRAIN
from amun.core.progress import show_progress
from amun.model.building import build_for
from amun.model.references import Weights, draw_sample_halves, train_reference_logits
from amun.model.target_weights import save_references
from amun.model.training import count_workers
from amun.model.weights import open_weights_seal
from amun.stages.runner import run_stage
from amun.store.forgetting import refuse_forgotten
from amun.store.samples import Samples, concatenate, read_samples, write_samples
from amun.store.store import read_owners, read_shape
from amun.vault.seal import Seal, digest_files, open_seal

# Apart, so that no target reference trains on the same half, or from the same start, as an audit reference.
AUDIT_SEED, TARGET_SEED = 1_000_000, 2_000_000
PROCESS_BYTES = 2**29


def train_references(params: Params, device: torch.device, *, may_fork: bool = False) -> None:
    """Writes, for each set, every sample's (K, C) logits and (K,) inclusion (1: that reference trained on it).

    The file of the target references' weights is without a tensor where these are not to be kept.

    Args:
        params: all of `params.yaml`.
        device: to train on.
        may_fork: several at a time, in copies of this process; only where it is a program of its own, whose other
            threads hold nothing that a copy would wait for.
    """
    stores = (TRAIN, CALIBRATION, TEST)
    for path in stores:
        refuse_forgotten(read_owners(path))
    samples = concatenate([read_samples(path) for path in stores])
    images = samples.images.to(device)
    seal = open_seal(params.data.sealed, "references of", *digest_files(stores))
    num_processes = _count_processes(params.runtime, images) if may_fork else 1
    kept: list[Weights] = []
    for name, num_references, seed, logits_path, inclusion_path in (
        ("audit refs", params.references.num_audit, AUDIT_SEED, AUDIT_LOGITS, AUDIT_INCLUSION),
        ("target refs", params.references.num_target, TARGET_SEED, TARGET_LOGITS, TARGET_INCLUSION),
    ):
        keep = None
        if params.references.keep_weights and logits_path == TARGET_LOGITS:
            keep = kept.append
        paths = logits_path, inclusion_path
        _train_set(params, device, samples, images, name, num_references, seed, paths, keep, seal, num_processes)
    save_references(kept, open_weights_seal(params))


def _train_set(
    params: Params,
    device: torch.device,
    samples: Samples,
    images: Tensor,
    name: str,
    num_references: int,
    seed: int,
    paths: tuple[Path, Path],
    keep: Callable[[Weights], None] | None,
    seal: Seal | None,
    num_processes: int,
) -> None:
    logits_path, inclusion_path = paths
    if not num_references:
        _write_none(samples, seal, logits_path, inclusion_path)
        return
    first_seed = seed + params.references.seed * 1000
    inclusion = draw_sample_halves(samples, num_references, first_seed)
    shape = read_shape(TRAIN)
    with show_progress(name, num_references, "models") as advance:
        logits = train_reference_logits(
            images,
            samples.labels.to(device),
            inclusion,
            build=lambda model_seed: build_for(params, shape, device, model_seed),
            params=params.training,
            precision=params.runtime.precision,
            seed=first_seed,
            on_reference=lambda _: advance(),
            keep=keep,
            num_processes=num_processes,
        )
    write_samples(logits_path, Samples(samples.sample_ids, samples.subject_ids, samples.labels, logits), seal)
    included = torch.from_numpy(inclusion).to(torch.uint8)
    write_samples(inclusion_path, Samples(samples.sample_ids, samples.subject_ids, samples.labels, included), seal)


def _count_processes(runtime: RuntimeParams, images: Tensor) -> int:
    """Returns how many references are trained at a time, as far as processors and memory go.

    One where each takes several threads, which a fork lacks.
    """
    if torch.get_num_threads() != 1:
        return 1
    # each copies its half of the images, and needs room to compute
    room = psutil.virtual_memory().available // (images.nbytes // 2 + PROCESS_BYTES)
    return max(1, min(count_workers(runtime), room))


def _write_none(samples: Samples, seal: Seal | None, *paths: Path) -> None:
    """Writes store files without a row: there are no references."""
    none = np.zeros(len(samples), dtype=np.bool_)
    for path in paths:
        chosen = samples.select(none)
        write_samples(path, Samples(chosen.sample_ids, chosen.subject_ids, chosen.labels, torch.empty(0, 1)), seal)


if __name__ == "__main__":
    run_stage(partial(train_references, may_fork=True))
