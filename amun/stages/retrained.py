"""What exact retraining shows whoever holds the base, seen on models that are retrained beside a new one.

Each is trained without some people drawn anew, and then forgotten. It prints what they showed, figures of all of these
people together, as one line of JSON. No stage of DVC: a base that was built before is as it was. The figures of each
model that a killed run has retrained are kept, and other numbers of models take them, too; so are the base's examples,
until all models are done.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from amun.audit.retrained import count_left_out
from amun.audit.trace import Rises, Trace, compare_rises, measure_rise
from amun.audit.weights import measure_climb
from amun.core.errors import AmunError
from amun.core.params import Params, TrainingParams
from amun.core.paths import BASE_MODEL, CALIBRATION, KEPT_RETRAINED, PARTIAL_ADVERSARIAL, TRAIN
from amun.core.progress import show_progress
from amun.engine.shards import Keeper, Shard, map_shards, name_shard
from amun.evidence.wave import MIN_PEOPLE, RetrainedFigures, Shown, parse_record, write_json
from amun.model.building import build_for, load_for
from amun.model.trainer import train_model
from amun.stages.partial import digest_inputs, keep_partial_results
from amun.stages.references import open_engine
from amun.stages.resumable import ResumableSearch
from amun.stages.runner import run_stage
from amun.store.drawing import draw_people, find_strangers
from amun.store.image_sets import AnyImages, ImageSet, JoinedImages
from amun.store.opening import SampleOpener
from amun.store.samples import LabelledSamples, Owners
from amun.store.store import read_shape
from amun.vault.seal import digest_files, open_seal

Rows = npt.NDArray[np.int64]
Measure = Callable[[nn.Module, nn.Module, AnyImages, Tensor], Tensor]

RETRAINED_SEED = 3_000_000  # apart from those of the references
# of the references the seed alone counts, and that each shard is named by
SECTIONS = {"model", "data", "training", "adversarial", "runtime"}


@dataclass(frozen=True)
class Drawn:
    """One model to retrain.

    Attributes:
        seed: of its training.
        left_out: (F,) rows of the training samples that it does not have: all of some people.
        strangers: (H,) rows of about as many calibration samples, all of some people.
    """

    seed: int
    left_out: Rows
    strangers: Rows


@dataclass(frozen=True)
class Asked:
    """What models are asked of, of the samples of one file: these themselves, or the base's adversarial examples.

    Attributes:
        images: (M, C, H, W); labels: (M,) int64, of examples the base's wrong ones.
        subject_ids: (M,) whose samples they are of.
        rows: (M,) of which samples.
    """

    images: ImageSet
    labels: Tensor
    subject_ids: npt.NDArray[np.str_]
    rows: Rows


@dataclass(frozen=True)
class _Shared:
    """What all models have in common: training and calibration samples, and the base's adversarial examples of both."""

    train: Asked
    calibration: Asked
    base: nn.Module
    forget: Asked
    strangers: Asked
    build: Callable[[int], nn.Module]
    params: TrainingParams
    precision: str


def retrain_beside_base(params: Params, device: torch.device, *, may_fork: bool = False) -> RetrainedFigures:
    """Returns what `references.num_retrained` models show that are retrained exactly beside the base.

    Without a figure where there are too few people in training.

    Args:
        params: all of `params.yaml`.
        device: to train on.
        may_fork: as for `train_references`.
    """
    if params.runtime.engine == "ray":
        device = torch.device(device.type)
    opener = SampleOpener(params.runtime, device)
    train, half = opener.open(TRAIN), opener.open(CALIBRATION)
    calibration = half.select(find_strangers(half, train))
    num_people = count_left_out(*(len(np.unique(samples.subject_ids)) for samples in (train, calibration)))
    num_models = params.references.num_retrained if num_people else 0
    seed = RETRAINED_SEED + params.references.seed * 1000
    drawn = [draw_model(train, calibration, num_people, seed + number) for number in range(num_models)]
    digest = digest_inputs(params, SECTIONS, device, [TRAIN, CALIBRATION, BASE_MODEL])
    shown = _measure_all(params, device, (train, calibration), drawn, _open_folder(digest), may_fork)
    num_strangers = [len(np.unique(calibration.subject_ids[model.strangers])) for model in drawn]
    return RetrainedFigures(
        num_asked=params.references.num_retrained,
        num_people=num_people,
        num_strangers=round(float(np.mean(num_strangers))) if drawn else 0,
        trace_by_person=[one.trace_by_person for one in shown if one.trace_by_person is not None],
        weights_by_person=[one.weights_by_person for one in shown if one.weights_by_person is not None],
        trace=[one.trace for one in shown if one.trace is not None],
        trace_standard_error=_root_mean_square([one.trace_standard_error for one in shown if one.trace_standard_error]),
    )


def _root_mean_square(errors: list[float]) -> float | None:
    """Returns the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else None


def draw_model(train: Owners, calibration: Owners, num_people: int, seed: int) -> Drawn:
    """Returns a model without so many people, beside whom about as many samples of strangers stand, drawn anew.

    Of fewer than twelve held-out people there would be no figure: so many are drawn, though they have more samples.
    """
    people = np.random.default_rng(seed).permutation(np.unique(train.subject_ids))[:num_people]
    left_out = np.flatnonzero(np.isin(train.subject_ids, people))
    return Drawn(seed, left_out, draw_people(calibration.subject_ids, len(left_out), seed, MIN_PEOPLE))


def _open_folder(digest: str) -> Path:
    """Returns the folder of what is measured on these inputs; what others have left is deleted."""
    folder = KEPT_RETRAINED / digest
    for path in KEPT_RETRAINED.glob("*"):
        if path != folder:
            shutil.rmtree(path)
    return folder


class KeptFigures:
    """Keeps what each retrained model has shown, by the name of its shard: figures of all of its people."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> Shown | None:
        """Returns what was kept; None where nothing was."""
        path = self._folder / f"{name}.json"
        try:
            return parse_record(Shown, path.read_text(encoding="ascii"), str(path))
        except (FileNotFoundError, AmunError):  # the machine went down while it was written: it is made again
            return None

    def keep(self, name: str, result: Shown) -> None:
        """Writes what a model has shown."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._folder / f"{name}.json", result)


def _measure_all(
    params: Params,
    device: torch.device,
    samples: tuple[LabelledSamples, LabelledSamples],
    drawn: list[Drawn],
    folder: Path,
    may_fork: bool,
) -> list[Shown]:
    train, calibration = samples
    shards = [Shard(_name(model), f"retrained model {number}", model) for number, model in enumerate(drawn, start=1)]
    keeper: Keeper[Shown] = KeptFigures(folder)
    found = [kept for shard in shards if (kept := keeper.read(shard.name)) is not None]
    if len(found) == len(shards):
        return found
    base = load_for(params, read_shape(TRAIN), device, BASE_MODEL)
    of_train, of_calibration = (_take(half, device) for half in samples)
    engine = open_engine(params, JoinedImages([of_train.images, of_calibration.images]), may_fork)
    seal, shown = open_seal(params.data.sealed, "beside a base", *digest_files([TRAIN, CALIBRATION, BASE_MODEL])), []
    with keep_partial_results(PARTIAL_ADVERSARIAL, folder.name) as partial_results:
        search = ResumableSearch(partial_results, params.adversarial, device, seal)
        shared = _Shared(
            train=of_train,
            calibration=of_calibration,
            base=base,
            forget=_search(search, base, TRAIN, train, [model.left_out for model in drawn], device),
            strangers=_search(search, base, CALIBRATION, calibration, [model.strangers for model in drawn], device),
            build=partial(build_for, params, read_shape(TRAIN), device),
            params=params.training,
            precision=params.runtime.precision,
        )
        with show_progress("retrained", len(shards), "models") as advance:
            for result in map_shards(_measure, shards, shared, engine, keeper):
                shown.append(result)
                advance()
    return shown


def _name(model: Drawn) -> str:
    return name_shard("retrained", model.seed, model.left_out.tobytes(), model.strangers.tobytes())


def _take(samples: LabelledSamples, device: torch.device) -> Asked:
    """Returns all samples themselves."""
    images, labels = samples.image_set(device), samples.labels.to(device)
    return Asked(images, labels, samples.subject_ids, np.arange(len(samples)))


def _search(
    search: ResumableSearch,
    base: nn.Module,
    path: Path,
    samples: LabelledSamples,
    asked: list[Rows],
    device: torch.device,
) -> Asked:
    """Returns the base's adversarial examples of all samples that any model is asked of; found once for all models.

    Args:
        search: of what it has found already nothing is searched again.
        base: on `device`.
        path: where the samples are stored.
        samples: all of them.
        asked: of which rows each model is asked.
        device: to compute on.
    """
    rows = np.unique(np.concatenate(asked))
    sample_ids = samples.sample_ids[rows].tolist()
    with show_progress("examples", len(search.list_unfinished(sample_ids)), "samples") as advance:
        search.run(base, path, sample_ids, advance)
    kept = rows[[sample_id in search.found for sample_id in sample_ids]]
    if not len(kept):
        return _take(samples.take(kept), device)
    found = search.found.collect(samples.sample_ids[kept].tolist())
    return Asked(found.image_set(device), found.labels.to(device), found.subject_ids, kept)


def _measure(shared: _Shared, drawn: Drawn) -> Shown:
    """Retrains one model and returns what it shows."""
    model = shared.build(drawn.seed)
    device = next(model.parameters()).device
    remaining = torch.from_numpy(np.delete(np.arange(len(shared.train.labels)), drawn.left_out))
    train_model(
        model,
        shared.train.images.to(device).choose(remaining),
        shared.train.labels.to(device)[remaining.to(device)],
        params=shared.params.model_copy(update={"seed": drawn.seed}),
        precision=shared.precision,
        on_epoch=lambda _: None,
    )
    models = shared.base.to(device), model.eval()

    def compare(measure: Measure, forget: Asked, strangers: Asked) -> Trace:
        pairs = ((forget, drawn.left_out), (strangers, drawn.strangers))
        return compare_rises(*(_find_rises(measure, *models, asked, rows, device) for asked, rows in pairs))

    trace = compare(measure_rise, shared.forget, shared.strangers)
    return Shown(
        trace=trace.auc,
        trace_standard_error=trace.standard_error,
        trace_by_person=trace.auc_by_person,
        weights_by_person=compare(measure_climb, shared.train, shared.calibration).auc_by_person,
    )


def _find_rises(
    measure: Measure, base: nn.Module, model: nn.Module, asked: Asked, rows: Rows, device: torch.device
) -> Rises:
    is_asked = np.isin(asked.rows, rows)
    chosen = torch.from_numpy(np.flatnonzero(is_asked))
    images, labels = asked.images.to(device).choose(chosen), asked.labels.to(device)[chosen.to(device)]
    return Rises(measure(base, model, images, labels), asked.subject_ids[is_asked])


def print_retrained(params: Params, device: torch.device) -> None:
    """Prints the figures, as one line of JSON."""
    print(retrain_beside_base(params, device, may_fork=True).model_dump_json(), flush=True)


if __name__ == "__main__":
    run_stage(print_retrained)
