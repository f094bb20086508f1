"""Stage `adversarial`: finds the base's nearest adversarial example of each forget sample, and of as many held out.

The gate sees by the latter what the attempts leave behind; they are found once for all of them.

Images are read and results written a part at a time: memory does not grow with the forget set. What a killed run has
found is not searched again. Where there is much to search for, several processes do, or a cluster (`runtime.engine`).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from amun.core.params import Params
from amun.core.paths import (
    ADVERSARIAL,
    ADVERSARIAL_METRICS,
    CALIBRATION,
    HELD_OUT_ADVERSARIAL,
    PARTIAL_ADVERSARIAL,
    TRAIN,
    WAVE,
    WAVE_BASE,
)
from amun.core.progress import Advance, show_progress
from amun.core.stage_result import Work
from amun.engine.local import LocalEngine
from amun.evidence.figures import AdversarialFigures
from amun.evidence.wave import MIN_PEOPLE, MIN_REPORTED, read_wave, write_json
from amun.model.building import build_for, load_for
from amun.model.weights import copy_weights
from amun.search.catalogue import describe_missing
from amun.search.geometry import compute_norms
from amun.stages.engines import choose_engine
from amun.stages.partial import PartialResults, digest_inputs, keep_partial_results
from amun.stages.resumable import ResumableSearch, read_among
from amun.stages.runner import run_stage
from amun.stages.search_shards import Base, count_shards
from amun.store.drawing import draw_people, find_strangers
from amun.store.opening import SampleOpener
from amun.store.samples import Samples, SampleWriter, read_samples
from amun.store.store import read_owners, read_shape
from amun.vault.seal import Seal, open_seal

# on which an example depends: what others say may change without losing those that are kept
SECTIONS = {"model", "data", "adversarial", "runtime"}


def build_adversarial_set(params: Params, device: torch.device, *, may_fork: bool = False) -> Work | None:
    """Writes D_A: the adversarial images (float32) with the base's wrong labels; no rows where nothing is forgotten.

    Likewise of as many samples of the calibration half, unless there are too few of either to report anything.
    Samples without an adversarial example are left out; those to forget are counted as missing.

    Args:
        params: all of `params.yaml`.
        device: to search on.
        may_fork: as for `choose_engine`.

    Returns:
        for how many samples it has searched; None where a killed run had left nothing to search.
    """
    if params.runtime.engine == "ray":
        device = torch.device(device.type)  # which one of its own a node takes, the cluster says
    wave, held_out_ids, num_rows = read_wave(), _draw_held_out(), params.adversarial.batch_size
    forget_ids, seal = wave.forget_ids, open_seal(params.data.sealed, "wave", wave.number, wave.base_digest)
    digest = digest_inputs(params, SECTIONS, device, [WAVE, WAVE_BASE, TRAIN, CALIBRATION])
    with keep_partial_results(PARTIAL_ADVERSARIAL, digest) as folder:
        search = ResumableSearch(folder, params.adversarial, device, seal)
        model = load_for(params, read_shape(TRAIN), device, WAVE_BASE)
        searching = _Searching(params, device, model, search, may_fork)
        num_searched = _search(searching, "adversarial", TRAIN, forget_ids)
        num_searched += _search(searching, "held out", CALIBRATION, held_out_ids)
        norms = _write_set(ADVERSARIAL, TRAIN, forget_ids, search.found, num_rows, seal)
        _write_set(HELD_OUT_ADVERSARIAL, CALIBRATION, held_out_ids, search.found, num_rows, seal)
    mean_norm = _average(norms, wave.figure_ids)
    num_missing = len(forget_ids) - len(norms)
    figures = AdversarialFigures(num_forget=len(forget_ids), num_missing=num_missing, mean_delta_norm=mean_norm)
    write_json(ADVERSARIAL_METRICS, figures)
    return Work(num_searched) if num_searched else None


def _average(norms: dict[str, float], figure_ids: list[str]) -> float | None:
    """Returns the mean L2 distance of the samples that figures are of; None where they are too few.

    It is summed up in the order of `norms`, the store's: that of the ids comes from people's keys, and the last bits
    of a sum from its order.
    """
    told = {*figure_ids}
    shown = [norm for sample_id, norm in norms.items() if sample_id in told]
    return float(torch.tensor(shown).mean()) if len(shown) >= MIN_REPORTED else None


def _draw_held_out() -> list[str]:
    """Returns about as many calibration samples of strangers as there are to forget; none where they are too few.

    They are of twelve people at least, who are still held, and of whom no sample was trained on.
    """
    wave, owners = read_wave(), read_owners(CALIBRATION)
    is_stranger = ~owners.is_among(wave.gone_ids) & find_strangers(owners, read_owners(TRAIN))
    sample_ids, subject_ids = owners.sample_ids[is_stranger], owners.subject_ids[is_stranger]
    if min(len(wave.forget_ids), len(sample_ids)) < MIN_REPORTED:
        return []
    drawn: list[str] = sample_ids[draw_people(subject_ids, len(wave.forget_ids), min_people=MIN_PEOPLE)].tolist()
    return drawn


@dataclass(frozen=True)
class _Searching:
    """What the searches for both sets have in common."""

    params: Params
    device: torch.device
    model: nn.Module
    search: ResumableSearch
    may_fork: bool


def _search(searching: _Searching, title: str, path: Path, sample_ids: list[str]) -> int:
    """Searches for the samples at `path` that are not finished yet, and says of which there is no example.

    Returns:
        how many were not.
    """
    search, num_rows = searching.search, searching.params.adversarial.batch_size
    num_unfinished = len(search.list_unfinished(sample_ids))
    if num_unfinished:
        with show_progress(title, num_unfinished, "samples") as advance:
            _run_search(searching, path, sample_ids, count_shards(num_unfinished, num_rows), advance)
    if missing := search.list_missing(sample_ids):
        # exact retraining needs none of them: the wave goes on, and the other attempts refuse
        print(f"  {describe_missing(missing, searching.params.adversarial)}", flush=True)
    return num_unfinished


def _run_search(searching: _Searching, path: Path, sample_ids: list[str], num_shards: int, advance: Advance) -> None:
    """Searches here, a row after the other, or by shards where several can be searched at a time."""
    params, device, model = searching.params, searching.device, searching.model
    engine = choose_engine(params.runtime, device, 0, may_fork=searching.may_fork and num_shards > 1)
    if isinstance(engine, LocalEngine) and engine.num_processes == 1:
        searching.search.run(model, path, sample_ids, advance)
        return
    base = Base(partial(build_for, params, read_shape(TRAIN), device), copy_weights(model), params.adversarial)
    samples = SampleOpener(params.runtime, device).open(path, sample_ids=sample_ids)
    searching.search.run_shards(base, samples, engine, advance)


def _write_set(
    written: Path, path: Path, sample_ids: list[str], found: PartialResults, num_rows: int, seal: Seal | None
) -> dict[str, float]:
    """Writes the examples in the order of the samples at `path`; returns the L2 distance of each to its sample."""
    writer = SampleWriter(written, seal)
    writer.append(_as_images(read_samples(path, sample_ids=[])))  # a file of no rows has their shape, too
    norms: dict[str, float] = {}
    for part in read_among(path, [sample_id for sample_id in sample_ids if sample_id in found], num_rows):
        examples = found.collect(part.sample_ids.tolist())
        writer.append(examples)
        norms |= zip(part.sample_ids.tolist(), compute_norms(examples.images - part.images).tolist(), strict=True)
    writer.finish()
    return norms


def _as_images(samples: Samples) -> Samples:
    return Samples(samples.sample_ids, samples.subject_ids, samples.labels, samples.images)


if __name__ == "__main__":
    run_stage(partial(build_adversarial_set, may_fork=True))
