"""Which runs a benchmark consists of, and what they share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amun.core.params import AttemptParams
from amun.core.paths import TEST, TRAIN
from amun.store.store import read_shape
from amun.study import shared
from amun.study.jobs import Job
from amun.study.methods import make_attempt, works_in
from amun.study.parameters import SEED, list_search_trials
from amun.study.preset import Chosen, Preset, Scale
from amun.study.records import AMUN, BASE, RETRAIN, SETTINGS, Pair, Setting, Trial
from amun.study.study import SEARCH_SET, Study
from amun.study.trials import run_trial, uses_adversarial, uses_target_weights
from amun.study.waves import can_go_on, run_waves

SCORING_SECONDS = 1.5  # of a trial, besides the method
SEARCH_PASSES = 90  # what Algorithm 1 costs a sample, in passes of training
FORGET_PASSES = 3  # what an epoch costs a forget sample


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes:
        study: its files.
        preset: its sizes.
        scale: of this run.
        is_full: everything: the second share, the waves, the theory's figure.
        methods: without exact retraining.
        samples_per_second: of training, measured here.
    """

    study: Study
    preset: Preset
    scale: Scale
    is_full: bool
    methods: list[str]
    samples_per_second: float

    @property
    def first_share(self) -> float:
        """The share that is searched for and shown in all figures."""
        return self.scale.shares[0]

    def list_pairs(self) -> Iterator[Pair]:
        """Yields each setting with each method that can do its work there."""
        for setting in SETTINGS:
            for method in self.methods:
                if works_in(method, setting):
                    yield setting, method

    def plan_shared(self, pending: Sequence[Job], *, with_search_set: bool) -> list[Job]:
        """Returns what those trials need that are still to be run; nothing where none is."""
        trials = [trial for job in pending for trial in job.arguments if isinstance(trial, Trial)]
        if not trials:
            return []
        with_weights = any(uses_target_weights(trial.method) for trial in trials)
        models = [*self._plan_bases(), *self._plan_references(with_weights=with_weights)]
        return [*models, *self._plan_adversarial(with_search_set=with_search_set)]

    def _plan_references(self, *, with_weights: bool) -> list[Job]:
        """Returns the training of audit and target references."""
        study, seconds = self.study, self._expect(0.5 * len(self.study.read_everything()) * self._num_epochs)
        # a target reference's weights lie there as long as the benchmark runs, and no longer
        weights = {"target"} if with_weights else set()
        return [
            Job(
                (study.locate_weights if group in weights else study.locate_logits)(group, number),
                shared.train_reference,
                (group, number),
                seconds,
            )
            for group in ("audit", "target")
            for number in range(study.count_references(group))
        ]

    def _plan_bases(self) -> list[Job]:
        """Returns the training of one base for each seed."""
        seconds = self._expect(self._num_train * self._num_epochs)
        return [
            Job(self.study.locate_base(seed), shared.train_base, (seed,), seconds)
            for seed in range(self.scale.num_seeds)
        ]

    def _plan_adversarial(self, *, with_search_set: bool) -> list[Job]:
        """Returns the searches for D_A, and for the attacker's candidates."""
        study, draws = self.study, list(self._list_draws())
        if with_search_set:
            draws.append((self.first_share, SEARCH_SET, SEED))
        jobs = [
            Job(
                study.locate_adversarial(*draw),
                shared.build_adversarial_set,
                draw,
                self._expect(SEARCH_PASSES * draw[0] * self._num_train),
                needs=(study.locate_base(draw[-1]),),
                reads=(study.locate_base(draw[-1]),),
            )
            for draw in draws
        ]
        num_test = read_shape(study.store / TEST).num_samples
        return jobs + [
            Job(
                study.locate_candidates(share, seed),
                shared.build_candidates,
                (share, seed),
                self._expect(SEARCH_PASSES * min(num_test, share * self._num_train)),
                needs=(study.locate_base(seed),),
                reads=(study.locate_base(seed),),
            )
            for share in self.scale.shares
            for seed in range(self.scale.num_seeds)
        ]

    def list_search(self, setting: Setting, method: str) -> list[Trial]:
        """Returns the trials of the search for a method in a setting."""
        return list_search_trials(method, setting, self.first_share, self.preset.num_trials)

    def list_retrained(self) -> list[Trial]:
        """Returns exact retraining for every share, forget set and seed."""
        return [self._make(RETRAIN, None, "use", *draw) for draw in self._list_draws()]

    def list_reported(self, chosen: Mapping[Pair, Chosen]) -> list[Trial]:
        """Returns the trials that tables and figures show, besides exact retraining."""
        trials = self.list_table(chosen)
        return [*trials, *self.list_deltas(chosen), *self.list_waves(chosen)] if self.is_full else trials

    def list_table(self, chosen: Mapping[Pair, Chosen]) -> list[Trial]:
        """Returns the rows of the tables: the base, and every method with the parameters chosen for it."""
        draws = list(self._list_draws())
        trials = [
            Trial(
                kind="table", setting="use", attempt=None, schedule="cosine", share=share, forget_set=number, seed=seed
            )
            for share, number, seed in draws
        ]
        for (setting, method), found in chosen.items():
            trials += [self._make(method, found, setting, *draw) for draw in draws]
        return trials

    def list_deltas(self, chosen: Mapping[Pair, Chosen]) -> list[Trial]:
        """Returns AMUN with examples taken farther than needed."""
        return [
            self._make(AMUN, chosen[setting, AMUN], setting, self.first_share, *run).model_copy(
                update={"kind": "delta", "delta_factor": factor}
            )
            for setting in SETTINGS
            if (setting, AMUN) in chosen
            for run in self._list_runs()
            for factor in self.preset.delta_factors
        ]

    def list_waves(self, chosen: Mapping[Pair, Chosen]) -> list[Trial]:
        """Returns the continuous protocol: untouched, retrained, and every method that can."""
        share = self.preset.wave_share
        trials: list[Trial] = []
        for run in self._list_runs():
            made = [self._make(RETRAIN, None, "use", share, *run)]
            made += [self._make(BASE, None, "use", share, *run)]
            made += [
                self._make(method, found, setting, share, *run)
                for (setting, method), found in chosen.items()
                if can_go_on(method)
            ]
            trials += [trial.model_copy(update={"kind": "waves"}) for trial in made]
        return trials

    def _make(
        self, method: str, found: Chosen | None, setting: Setting, share: float, forget_set: int, seed: int
    ) -> Trial:
        attempt: AttemptParams | None = None
        if found is not None:
            attempt = make_attempt(method, found.learning_rate, found.parameter)
        elif method == RETRAIN:
            attempt = make_attempt(method, None, None)
        return Trial(
            kind="table",
            setting=setting,
            attempt=attempt,
            schedule="cosine" if found is None else found.schedule,
            share=share,
            forget_set=forget_set,
            seed=seed,
        )

    def plan_trial(self, trial: Trial) -> Job:
        """Returns the job of a trial."""
        seconds, output = self._expect_trial(trial), self.study.locate_record(trial)
        needs, reads = tuple(self._list_needs(trial)), tuple(self._list_read(trial))
        if trial.kind == "waves":
            num_waves = self.preset.num_waves
            return Job(output, run_waves, (trial, num_waves), seconds * num_waves, needs, reads, asks_references=True)
        return Job(output, run_trial, (trial,), seconds, needs, reads, asks_references=True)

    def _list_read(self, trial: Trial) -> Iterator[Path]:
        """Yields the files that a trial reads, but for logits."""
        study, base = self.study, self.study.locate_base(trial.seed)
        yield base
        if trial.attempt is None:
            yield base.with_suffix(".json")
        if uses_target_weights(trial.method):
            for number in range(study.count_references("target")):
                yield study.locate_weights("target", number)
        if trial.kind != "waves":
            found = study.locate_adversarial(trial.share, trial.forget_set, trial.seed)
            yield from (found, found.with_suffix(".json"))
        if trial.kind in ("table", "delta"):
            yield study.locate_candidates(trial.share, trial.seed)
            if not trial.is_exact:
                yield study.locate_retrained(trial.share, trial.forget_set, trial.seed)

    def _list_needs(self, trial: Trial) -> Iterator[Path]:
        """Yields what a trial waits for; of a reference both files, either of which may be its job's last."""
        study, draw = self.study, (trial.share, trial.forget_set, trial.seed)
        yield study.locate_base(trial.seed)
        for group in ("audit", "target"):
            for number in range(study.count_references(group)):
                yield study.locate_logits(group, number)
                yield study.locate_weights(group, number)
        if trial.kind != "waves":
            yield study.locate_adversarial(*draw)
        if trial.kind in ("table", "delta"):
            yield study.locate_candidates(trial.share, trial.seed)
            if not trial.is_exact:
                yield study.locate_record(self._make(RETRAIN, None, "use", *draw))

    def _list_draws(self) -> Iterator[tuple[float, int, int]]:
        """Yields share, forget set and seed of every draw that is reported."""
        for share in self.scale.shares:
            for run in self._list_runs():
                yield share, *run

    def _list_runs(self) -> Iterator[tuple[int, int]]:
        """Yields forget set and seed of every run of one share."""
        for forget_set in range(1, self.scale.num_forget_sets + 1):
            for seed in range(self.scale.num_seeds):
                yield forget_set, seed

    @property
    def _num_train(self) -> int:
        return read_shape(self.study.store / TRAIN).num_samples

    @property
    def _num_epochs(self) -> int:
        return self.study.params.training.epochs

    def _expect_trial(self, trial: Trial) -> float:
        if trial.attempt is None:
            return SCORING_SECONDS
        if trial.is_exact:
            return self._expect((1 - trial.share) * self._num_train * self._num_epochs) + SCORING_SECONDS
        num_remain = (1 - trial.share) * self._num_train if trial.setting == "use" else 0
        num_forget = trial.share * self._num_train
        passes = self.study.params.unlearning.epochs * (num_remain + FORGET_PASSES * num_forget)
        if trial.kind == "waves" and uses_adversarial(trial.method):
            passes += SEARCH_PASSES * num_forget
        return self._expect(passes) + SCORING_SECONDS

    def _expect(self, num_passes: float) -> float:
        return num_passes / self.samples_per_second
