"""The engine on a small study of real digits: what it runs, what it does not run twice, what it measures."""

import pickle
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import chdir
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from amun.core.errors import AmunError, InputError
from amun.core.params import AttemptParams
from amun.core.paths import CUSTOM, EXCLUSIONS, FORGOTTEN
from amun.engine.local import LocalEngine
from amun.engine.shards import Queue, Result, Shard, Shared, Work
from amun.evidence.wave import write_json
from amun.methods.problem import Unlearned, UnlearningProblem
from amun.methods.tuning import fine_tune, get_adversarial
from amun.store.samples import read_samples
from amun.store.store import read_owners
from amun.study import shared
from amun.study.draws import bound_forget_set, draw_forget_set, draw_forget_sets
from amun.study.jobs import Clock, Job, run_jobs
from amun.study.plan import Plan
from amun.study.preset import SHIPPED, Scale, apply_preset
from amun.study.records import Record
from amun.study.run import Outcome, estimate_seconds, run_benchmark
from amun.study.study import SHOWN, Study, open_study, read_split
from amun.study.trials import make_problem, measure_distance, open_scene
from amun.vault.vault import open_vault
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS
from tests.amun.study.small import make_preset, read_found
from tests.footers import find_store_files, is_sealed

METHODS = ["amun", "amun_a", "fine_tune", "gradient_ascent", "amun_soft"]
NUM_TRAIN, NUM_FORGET = 201, 40
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    preset = make_preset()
    with chdir(tmp_path_factory.mktemp("workspace")), pytest.MonkeyPatch.context() as patch:
        # one worker: a thread of this process
        patch.setattr("amun.model.training.count_processors", lambda: 1)
        make_vault(Path(), "0" * 64)
        write_json(EXCLUSIONS, [])
        write_json(FORGOTTEN, [])
        study = open_study("digits", apply_preset(preset, PARAMS), by_subject=False, num_waves=2)
        shared.prepare_store(study, CPU)
        yield Plan(study, preset, preset.full, is_full=True, methods=METHODS, samples_per_second=10_000)
    torch.set_deterministic_debug_mode("default")


@pytest.fixture(scope="module")
def outcome(plan: Plan) -> Outcome:
    return run_benchmark(plan, {})


def find(outcome: Outcome, kind: str, setting: str, method: str) -> list[Record]:
    return [
        record
        for record in outcome.records
        if (record.trial.kind, record.trial.setting, record.trial.method) == (kind, setting, method)
    ]


def read_bytes(study: Study) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (study.folder / "records").glob("*.json")}


def test_every_method_has_its_rows_where_it_can_work(outcome: Outcome) -> None:
    for method in METHODS:
        assert find(outcome, "table", "use", method)
        assert bool(find(outcome, "table", "none", method)) == (method != "fine_tune")
    assert [record.trial.delta_factor for record in find(outcome, "delta", "none", "amun")] == [1.0, 3.0]
    assert len(find(outcome, "waves", "use", "retrain")[0].waves) == 2
    assert len(outcome.searched) == 2 * len(outcome.chosen)


def test_files_are_sealed_under_the_keys_of_the_people_whose_samples_they_hold(plan: Plan, outcome: Outcome) -> None:
    assert outcome.records
    paths = find_store_files(plan.study.folder)
    assert len(paths) > 5
    assert [path for path in paths if not is_sealed(path)] == []
    people = {person for path in paths for person in read_owners(path).subject_ids.tolist()}
    # never the places by which a study names its samples
    assert {person.split("-")[0] for person in people} == {"subject"}
    assert open_vault().describe().num_keys == len(people)


def test_figures_of_what_is_known(plan: Plan, outcome: Outcome) -> None:
    (base,), (exact,) = find(outcome, "table", "use", "base"), find(outcome, "table", "use", "retrain")
    assert base.test is not None
    assert base.costs is not None
    assert exact.costs is not None
    assert base.test.trace == 0.5
    assert base.parameter_distance == measure_distance(
        *(plan.study.load(path, CPU) for path in (plan.study.locate_base(0), plan.study.locate_retrained(0.2, 1, 0)))
    )
    assert (base.costs.num_gradients, exact.costs.num_gradients) == (15 * NUM_TRAIN, 15 * (NUM_TRAIN - NUM_FORGET))
    assert sum(base.confidence["forget"]) == pytest.approx(1)


def test_farther_examples_are_farther(outcome: Outcome) -> None:
    near, far = find(outcome, "delta", "use", "amun")
    assert near.mean_delta_norm is not None
    assert far.mean_delta_norm is not None
    assert near.mean_delta_norm < far.mean_delta_norm <= 3 * near.mean_delta_norm
    assert near.flipped_share == 0
    assert near.clamped_share == 0


def test_search_sees_the_calibration_half_alone(outcome: Outcome) -> None:
    assert all(record.test is None for record in outcome.searched)
    assert {record.trial.forget_set for record in outcome.searched} == {0}
    assert {record.trial.forget_set for record in outcome.records} == {1}


def test_nothing_is_left_that_saw_everybody_and_nothing_runs_twice(plan: Plan, outcome: Outcome) -> None:
    assert not plan.study.list_weights()
    assert estimate_seconds(plan, outcome.chosen) == 0
    before = {path: path.stat().st_mtime_ns for path in plan.study.folder.rglob("*") if path.is_file()}
    again = run_benchmark(plan, {})
    after = {path: path.stat().st_mtime_ns for path in plan.study.folder.rglob("*") if path.is_file()}
    assert again == outcome
    assert after == before


def test_interrupted_it_runs_what_is_missing(plan: Plan, outcome: Outcome) -> None:
    before = read_bytes(plan.study)
    (lost,) = find(outcome, "table", "none", "amun_soft")
    path = plan.study.locate_record(lost.trial)
    path.unlink()
    others = {other: other.stat().st_mtime_ns for other in path.parent.iterdir()}
    run_benchmark(plan, {})
    assert {other: other.stat().st_mtime_ns for other in path.parent.iterdir() if other != path} == others
    found = Record.model_validate_json(path.read_text(encoding="utf-8"))
    assert found.test == Record.model_validate_json(before[path.name]).test


class Elsewhere:
    """Another machine: it has none of the files and keys, and all that goes there is pickled."""

    shares_files = False

    def run(
        self, function: Callable[[Shared, Work], Result], shards: Sequence[Shard[Work]], shared: Shared
    ) -> Generator[tuple[int, Result], None, None]:
        waiting = Queue(shards)
        while (place := waiting.take()) is not None:
            sent = pickle.dumps((function, shared, shards[place].work))
            with TemporaryDirectory() as folder, chdir(folder):
                called, lent, work = pickle.loads(sent)  # noqa: S301 - of this process
                result = called(lent, work)
            yield place, result
            waiting.note_done(place)


def test_jobs_come_to_the_same_on_a_machine_without_the_files(plan: Plan, outcome: Outcome) -> None:
    study, records = plan.study, outcome.records
    asked = [("table", "retrain"), ("table", "base"), ("table", "amun_soft"), ("delta", "amun"), ("waves", "amun_soft")]
    trials = [next(one.trial for one in records if (one.trial.kind, one.trial.method) == pair) for pair in asked]
    jobs = [plan.plan_trial(trial) for trial in [*trials, outcome.searched[0].trial]]
    jobs = [*plan.plan_shared(jobs, with_search_set=True), *jobs]
    beside = [study.locate_retrained(0.2, 1, 0), *(study.locate_logits("target", number) for number in range(2))]
    outputs = {job.output for job in jobs} - {study.locate_weights("target", number) for number in range(2)}
    paths = [*sorted(outputs), *beside]
    before = {path: read_found(path) for path in paths}
    for path in paths:
        path.unlink()
    run_jobs(study, Elsewhere(), jobs, Clock(1.0, None), "runs")
    for path in paths:
        assert read_found(path) == before[path], path
    for path in study.list_weights():
        path.unlink()


def test_code_edited_between_search_and_methods_is_not_sent_to_a_cluster(
    plan: Plan, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = iter(["before", "after"])
    monkeypatch.setattr("amun.study.run.open_engine", lambda *_: Elsewhere())
    monkeypatch.setattr("amun.study.run.digest_code", lambda: next(digests))
    assert outcome.searched
    with pytest.raises(InputError, match="has changed since this benchmark began"):
        run_benchmark(plan, {})


def test_method_that_fails_has_a_row_that_says_why(plan: Plan, outcome: Outcome) -> None:
    trial = find(outcome, "table", "use", "fine_tune")[0].trial
    assert trial.attempt is not None
    wild = trial.model_copy(update={"attempt": trial.attempt.model_copy(update={"learning_rate": 1e9})})
    job = plan.plan_trial(wild)
    record = run_alone(plan.study, job)
    assert record.failure is not None
    assert "lower the learning rate" in record.failure
    assert record.test is None


def run_alone(study: Study, job: Job) -> Record:
    """Returns the record of a trial, which is written nowhere."""
    record = job.function(study, *job.arguments, CPU)[job.output]
    assert isinstance(record, Record)
    return record


def run_own(
    plan: Plan, outcome: Outcome, monkeypatch: pytest.MonkeyPatch, function: Callable[[UnlearningProblem], Unlearned]
) -> tuple[Record, Record]:
    """Returns the records of a user's method in tables and in waves."""
    monkeypatch.setattr("amun.methods.catalogue.import_function", lambda *_: function)
    given = {"attempt": AttemptParams(method="custom.mine:forget", learning_rate=0.1)}
    records = []
    for kind in ("table", "waves"):
        job = plan.plan_trial(find(outcome, kind, "use", "amun")[0].trial.model_copy(update=given))
        records.append(run_alone(plan.study, job))
    return records[0], records[1]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "a model with weights that are not finite; lower its learning rate"),
        # without end below the others is an answer, and still no figure
        (-3e38, "samples are no numbers; lower the learning rate"),
    ],
)
def test_model_whose_logits_are_no_numbers_has_a_row_that_says_so(
    value: float, words: str, plan: Plan, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(problem: UnlearningProblem) -> Unlearned:
        *_, weight, _ = problem.base.parameters()
        with torch.no_grad():
            weight[0] = value
        return Unlearned(problem.base, [])

    for record in run_own(plan, outcome, monkeypatch, break_down):
        assert record.failure is not None
        assert words in record.failure


def test_attacker_holds_the_base_as_it_was(plan: Plan, outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that trains what it is given, not a copy, leaves a trace like any other."""

    def train_in_place(problem: UnlearningProblem) -> Unlearned:
        model = fine_tune(problem, [get_adversarial(problem)]).model
        problem.base.load_state_dict(model.state_dict())
        return Unlearned(problem.base, [])

    def train_copy(problem: UnlearningProblem) -> Unlearned:
        return fine_tune(problem, [get_adversarial(problem)])

    (in_place, _), (copied, _) = (run_own(plan, outcome, monkeypatch, each) for each in (train_in_place, train_copy))
    assert in_place.test is not None
    assert in_place.test == copied.test
    assert in_place.test.trace != 0.5


def test_people_are_forgotten_whole(plan: Plan, outcome: Outcome) -> None:
    data = plan.study.params.data.model_copy(update={"subject_max_samples": 6})
    params = plan.study.params.model_copy(update={"data": data})
    by_subject = open_study("digits-by-subject", params, by_subject=True, num_waves=2)
    shared.prepare_store(by_subject, CPU)
    small = Plan(by_subject, plan.preset, plan.scale, False, ["amun"], samples_per_second=10_000)
    found = run_benchmark(small, {pair: outcome.chosen[pair] for pair in small.list_pairs()})
    assert {record.trial.method for record in found.records if record.test} == {"base", "retrain", "amun"}
    train = by_subject.read_splits()[0]
    is_forget = draw_forget_set(train.subject_ids, 0.2, 1)
    owners, sizes = np.unique(train.subject_ids, return_counts=True)
    assert max(sizes) > 1
    assert {*train.subject_ids[is_forget]}.isdisjoint(train.subject_ids[~is_forget])
    everybody = by_subject.read_everything().subject_ids
    for owner in owners:
        assert len(np.unique(by_subject.draw_halves("audit")[everybody == owner], axis=0)) == 1


def test_waves_and_deltas_are_of_every_forget_set_and_seed(plan: Plan, outcome: Outcome) -> None:
    larger = replace(plan, scale=Scale(shares=(0.2,), num_forget_sets=3, num_seeds=2))
    draws = {(number, seed) for number in (1, 2, 3) for seed in (0, 1)}
    for trials in (larger.list_waves(outcome.chosen), larger.list_deltas(outcome.chosen)):
        amun = [(trial.forget_set, trial.seed) for trial in trials if (trial.method, trial.setting) == ("amun", "use")]
        assert set(amun) == draws
    assert len([trial for trial in larger.list_waves(outcome.chosen) if trial.is_exact]) == len(draws)


def test_other_parameters_are_another_study(plan: Plan) -> None:
    params = plan.study.params
    changed = params.model_copy(update={"training": params.training.model_copy(update={"epochs": 16})})
    assert open_study("digits", params, False, 2).folder == plan.study.folder
    assert open_study("digits", changed, False, 2).folder != plan.study.folder
    assert open_study("digits", params, True, 2).folder != plan.study.folder
    assert open_study("digits", params, False, 3).folder != plan.study.folder


def test_other_data_and_other_versions_are_another_study(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    data = plan.study.params.data.model_copy(update={"root": "images", "train_list": "trained.txt"})
    params = plan.study.params.model_copy(update={"data": data})

    def locate() -> Path:
        return open_study("digits", params, False, 2).folder

    Path("images/left").mkdir(parents=True)
    folders = [locate()]
    for path in (Path("images/left/a.png"), Path("trained.txt"), Path("images/left/a.png")):
        path.write_text(f"{len(folders)}", encoding="utf-8")
        folders.append(locate())
    monkeypatch.setattr("amun.study.study.list_versions", lambda: {"numpy": "0.1"})
    folders.append(locate())
    assert len({*folders}) == 5
    assert locate() == folders[-1]
    shutil.rmtree("images")
    Path("trained.txt").unlink()


def test_code_that_only_shows_is_there() -> None:
    assert all((SHIPPED.parent / name).exists() for name in SHOWN)


def test_other_workspace_forgets_the_same_images(plan: Plan, tmp_path: Path) -> None:
    """Keyed ids differ by the workspace's secret; published figures must not."""

    def read_drawn() -> tuple[torch.Tensor, list[bytes]]:
        read_split.cache_clear()
        train = plan.study.read_splits()[0]
        drawn = train.select(draw_forget_set(train.subject_ids, 0.2, 1)).images
        return drawn, [half.tobytes() for half in (plan.study.draw_halves("audit"), plan.study.draw_halves("target"))]

    here = read_drawn()
    with chdir(tmp_path):
        make_vault(Path(), "1" * 64)
        write_json(EXCLUSIONS, [])
        write_json(FORGOTTEN, [])
        shared.prepare_store(plan.study, CPU)
        there = read_drawn()
    read_split.cache_clear()
    assert torch.equal(there[0], here[0])
    assert there[1] == here[1]


def test_code_of_ones_own_is_part_of_the_study(plan: Plan) -> None:
    CUSTOM.mkdir()
    (CUSTOM / "mine.py").write_text("x = 1", encoding="utf-8")
    assert open_study("digits", plan.study.params, False, 2).folder != plan.study.folder
    (CUSTOM / "mine.py").unlink()
    CUSTOM.rmdir()


def test_forget_sets_are_disjoint_and_subjects_whole() -> None:
    subject_ids = torch.arange(300).numpy().astype(str).repeat(3)[:600]
    sets = draw_forget_sets(subject_ids, 0.1, 4, number=1)
    assert sum(part.astype(int) for part in sets).max() == 1  # type: ignore[union-attr]
    for part in sets:
        assert 60 <= part.sum() < 63
        assert not set(subject_ids[part]) & set(subject_ids[~part])


def test_exact_retraining_that_fails_is_an_error(plan: Plan, outcome: Outcome) -> None:
    (exact,) = find(outcome, "table", "use", "retrain")
    training = plan.study.params.training.model_copy(update={"learning_rate": 1e9})
    wild = replace(plan.study, params=plan.study.params.model_copy(update={"training": training}))
    path = plan.study.locate_record(exact.trial)
    path.unlink()
    before = read_bytes(plan.study)
    with pytest.raises(AmunError, match=r"nothing to compare with: .* lower the learning rate"):
        run_benchmark(replace(plan, study=wild, methods=["amun"]), outcome.chosen)
    assert read_bytes(plan.study) == before
    write_json(path, exact)


def test_as_many_candidates_as_are_forgotten(plan: Plan, outcome: Outcome) -> None:
    (base,) = find(outcome, "table", "use", "base")
    path = plan.study.locate_candidates(base.trial.share, base.trial.seed)
    found, test = read_samples(path), plan.study.read_splits()[2]
    assert len(found) == NUM_FORGET
    assert (found.sample_ids != test.sample_ids[:NUM_FORGET]).any(), "in the order of the source, which may be sorted"


def test_trial_waits_for_what_it_reads(plan: Plan, outcome: Outcome) -> None:
    """Else it would begin too early where there are several processes."""
    study, (exact,) = plan.study, plan.list_retrained()
    jobs = [plan.plan_trial(trial) for trial in [*plan.list_table(outcome.chosen), *plan.list_deltas(outcome.chosen)]]
    made = {job.output for job in plan.plan_shared(jobs, with_search_set=False)}
    for job in jobs:
        assert made | {study.locate_record(exact)} <= {*job.needs}
    assert made <= {*plan.plan_trial(exact).needs}
    (tried, *_), (waves, *_) = plan.list_search("use", "amun"), plan.list_waves(outcome.chosen)
    models = {path for path in made if path.parent.name != "adversarial"}
    assert models | {study.locate_adversarial(0.2, 0, 0)} <= {*plan.plan_trial(tried).needs}
    assert models <= {*plan.plan_trial(waves).needs}


@pytest.mark.usefixtures("outcome")
def test_reference_is_done_when_its_weights_are_there(plan: Plan) -> None:
    """Its job is not run again then: whatever else it writes has to lie there before, wherever it is killed."""
    jobs = plan.plan_shared([plan.plan_trial(plan.list_search("use", "amun_soft")[0])], with_search_set=False)
    (job,) = (job for job in jobs if job.output == plan.study.locate_weights("target", 0))
    logits = plan.study.locate_logits("target", 0)
    logits.unlink()
    run = partial(run_jobs, plan.study, LocalEngine(), [job], Clock(job.seconds, 1), "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Study, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run()
    assert not job.output.exists()
    run()
    assert logits.exists()
    job.output.unlink()


def test_study_without_target_references(plan: Plan, outcome: Outcome) -> None:
    references = plan.study.params.references.model_copy(update={"num_target": 0})
    study = replace(plan.study, params=plan.study.params.model_copy(update={"references": references}))
    scene = open_scene(study, find(outcome, "table", "use", "amun")[0].trial, CPU)
    assert scene.trial.attempt is not None
    assert make_problem(scene, scene.trial.attempt).targets is None


def test_no_forget_set_is_larger_than_its_bound() -> None:
    subject_ids = np.repeat(np.arange(40), np.arange(1, 41)).astype(str)
    sizes = [int(draw_forget_set(subject_ids, 0.1, number).sum()) for number in range(200)]
    assert max(sizes) <= bound_forget_set(subject_ids, 0.1)
    alone = np.arange(820).astype(str)
    assert bound_forget_set(alone, 0.1) == draw_forget_set(alone, 0.1, 0).sum() == 82
