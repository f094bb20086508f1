"""Stage `references`: trains the audit and the target references and keeps their logits.

Their weights are dropped, unless those of the target references are to be kept for the methods that need them. What a
killed run has trained is not trained again, but for references whose weights are to be kept.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from amun.core.errors import InputError
from amun.core.params import Params
from amun.core.paths import (
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    CALIBRATION,
    PARTIAL_REFERENCES,
    TARGET_INCLUSION,
    TARGET_LOGITS,
    TEST,
    TRAIN,
)
from amun.core.progress import show_progress
from amun.engine.shards import Engine
from amun.model.building import build_for
from amun.model.references import Weights, draw_sample_halves, train_reference_logits
from amun.model.target_weights import save_references
from amun.model.training import FLOAT_BYTES
from amun.model.weights import open_weights_seal
from amun.stages.engines import choose_engine
from amun.stages.kept_references import KeptReferences
from amun.stages.partial import digest_inputs, keep_partial_results
from amun.stages.runner import run_stage
from amun.store.forgetting import refuse_forgotten
from amun.store.image_sets import ImageSet
from amun.store.opening import SampleOpener
from amun.store.samples import Samples, StoredSamples, join_stored, write_samples
from amun.store.store import read_owners, read_shape
from amun.vault.seal import digest_files, open_seal

# Apart, so that no target reference trains on the same half, or from the same start, as an audit reference.
AUDIT_SEED, TARGET_SEED = 1_000_000, 2_000_000
# on which a reference depends: what others say may change without losing those that are kept
SECTIONS = {"model", "data", "training", "references", "runtime"}


def train_references(params: Params, device: torch.device, *, may_fork: bool = False) -> None:
    """Writes, for each set, every sample's (K, C) logits and (K,) inclusion (1: that reference trained on it).

    The file of the target references' weights is without a tensor where these are not to be kept.

    Args:
        params: all of `params.yaml`.
        device: to train on.
        may_fork: several at a time, in copies of this process; only where it is a program of its own, whose other
            threads hold nothing that a copy would wait for.
    """
    stores = [TRAIN, CALIBRATION, TEST]
    for path in stores:
        refuse_forgotten(read_owners(path))
    if params.runtime.engine == "ray":
        device = torch.device(device.type)  # which one of its own a node takes, the cluster says
    opener = SampleOpener(params.runtime, device)
    samples = join_stored([opener.open(path) for path in stores])
    seal = open_seal(params.data.sealed, "references of", *digest_files(stores))
    engine = open_engine(params, samples.images, may_fork)
    kept: list[Weights] = []
    with keep_partial_results(PARTIAL_REFERENCES, digest_inputs(params, SECTIONS, device, stores)) as folder:
        training = _Training(params, device, samples, engine, KeptReferences(folder, samples, seal))
        for name, num_references, seed, logits_path, inclusion_path in (
            ("audit refs", params.references.num_audit, AUDIT_SEED, AUDIT_LOGITS, AUDIT_INCLUSION),
            ("target refs", params.references.num_target, TARGET_SEED, TARGET_LOGITS, TARGET_INCLUSION),
        ):
            keep = kept.append if params.references.keep_weights and logits_path == TARGET_LOGITS else None
            columns = _train_set(training, name, num_references, seed, keep)
            for path, payloads in zip((logits_path, inclusion_path), columns, strict=True):
                rows = slice(len(payloads))  # a file of no references has no row
                written = Samples(samples.sample_ids[rows], samples.subject_ids[rows], samples.labels[rows], payloads)
                write_samples(path, written, seal)
        save_references(kept, open_weights_seal(params))


@dataclass(frozen=True)
class _Training:
    """What both sets of references have in common."""

    params: Params
    device: torch.device
    samples: StoredSamples
    engine: Engine
    keeper: KeptReferences


def _train_set(
    training: _Training, name: str, num_references: int, seed: int, keep: Callable[[Weights], None] | None
) -> tuple[Tensor, Tensor]:
    """Returns every sample's (N, K, C) logits and (N, K) inclusion; without a row where there are no references."""
    if not num_references:
        return torch.empty(0, 1), torch.empty(0, 1)
    params, samples = training.params, training.samples
    first_seed = seed + params.references.seed * 1000
    inclusion = draw_sample_halves(samples, num_references, first_seed)
    with show_progress(name, num_references, "models") as advance:
        logits = train_reference_logits(
            samples.images,
            samples.labels,
            inclusion,
            build=partial(build_for, params, read_shape(TRAIN), training.device),
            params=params.training,
            precision=params.runtime.precision,
            seed=first_seed,
            on_reference=lambda _: advance(),
            keep=keep,
            engine=training.engine,
            keeper=None if keep is not None else training.keeper,
        )
    return logits, torch.from_numpy(inclusion).to(torch.uint8)


def open_engine(params: Params, images: ImageSet, may_fork: bool) -> Engine:
    """Returns what trains the references.

    Args:
        params: on which engine, with how many threads, and by whose function.
        images: that all of them take batches from; copies of this process share them.
        may_fork: as for `train_references`.

    Raises:
        InputError: it is a cluster that cannot be used, or images do not fit into memory, from where they go there.
    """
    if images.is_sealed and params.runtime.engine != "local":
        raise InputError(
            "runtime.engine: a cluster is sent images from this machine's memory, and these do not fit into "
            "runtime.memory_gib; raise it, or write local"
        )
    # a user's trainer gets a tensor of its own
    copied_bytes = 0 if params.training.function is None else FLOAT_BYTES * math.prod(images.shape)
    return choose_engine(params.runtime, images.device, copied_bytes, may_fork=may_fork)


if __name__ == "__main__":
    run_stage(partial(train_references, may_fork=True))
