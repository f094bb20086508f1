"""Memory left: how much of what the base remembered of tonight's people is still in an unlearned model.

An image's *excess* is the signal that a model gives it beyond what the references give that never had its person. A
model that never had a person has no excess on average; the base has some, the more the more it remembers. Excesses are
weighted where references that had an image differ most from those that had not, summed by person, and corrected by
what held-out people of the same difficulty show. The sum of the unlearned model divided by that of the base is the
memory left: 0 is what exact retraining leaves, 1 is what the base had.

Source: ours. The excess is the signal of online attacks with references (LiRA, arXiv 2112.03570; RMIA, arXiv
2312.03262); the interval of the ratio is Fieller's (1954), with people as the units.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from amun.audit.canaries import RunScores
from amun.audit.observations import MIN_REFERENCES, Evidence, Floats
from amun.audit.overlooked import weigh_overlooked
from amun.audit.standing_out import Excesses, Scatter, bound_scores, fit_scatter
from amun.evidence.wave import MIN_PEOPLE

NUM_BINS = 10  # of difficulty
MIN_PER_BIN = 40  # samples
ALARM_DEVIATIONS = 3  # of the references' own, beyond which people stand out
VARIANCE_FLOOR = 0.01  # of the mean variance: where all references agree to the last bit, no sample weighs everything


@dataclass(frozen=True)
class Contributions:
    """What each person adds to a model's total; persons of the two kinds are independent of one another.

    Attributes:
        forget: (P,) the weighted excess of each person to forget, less what held-out people show.
        held_out: (Q,) how each held-out person moves that correction; they sum to 0.
    """

    forget: Floats
    held_out: Floats

    @property
    def total(self) -> float:
        """The model's total."""
        return float(self.forget.sum())

    def stretch(self, factor: float) -> "Contributions":
        """Returns those of a model of which all that it says of people is so many times as large."""
        return Contributions(self.forget * factor, self.held_out * factor)


@dataclass(frozen=True)
class ExactNull:
    """How the total of an exactly retrained model scatters around 0, as the references show it.

    Attributes:
        variance: between people.
        between: more than that, between one training and another; 0 where people account for all.
        num_pairs: of complementary references that show it, each of which tells of one training.
        mean_square: of what a person adds to the total.
        max_spread: the largest mean square that is no surprise, as a multiple of it.
        max_overlooked: the strongest sign that is no surprise of some people who are remembered among others.
        scatter: of a single person.
        growth: how many times that of the references the variance, between people and between trainings, and the mean
            square are. The signs of single people are the references' own: they are to sound however many leave.
    """

    variance: float
    between: float
    num_pairs: int
    mean_square: float
    max_spread: float
    max_overlooked: float
    scatter: Scatter
    growth: float

    @property
    def as_measured(self) -> "ExactNull":
        """The references' own, of as many images as they have."""
        return replace(
            self,
            variance=self.variance / self.growth,
            between=self.between / self.growth,
            mean_square=self.mean_square / self.growth,
            growth=1.0,
        )


class Instrument:
    """How samples are weighted and what is expected of them, from the references alone: it sees no audited model."""

    def __init__(self, evidence: Evidence, growth: float = 1.0):
        """Takes the references' evidence, and how many times their variance that of an exactly retrained model is."""
        self.evidence = evidence
        self._growth = growth
        self.expected, gaps, variances, difficulty = _describe(evidence)
        precision = 1 / variances
        self.weights: Floats = gaps * precision
        codes, is_forgotten = evidence.people
        scales = np.zeros(len(is_forgotten))
        np.add.at(scales, codes[evidence.is_forget], (self.weights * gaps)[evidence.is_forget])
        self.scales: Floats = scales[is_forgotten]  # what each person to forget would add, remembered as by references
        self.scale = float(self.scales.sum())
        covariates = np.stack([np.ones_like(gaps), _standardise(gaps), _standardise(difficulty)], axis=1)
        is_forget = evidence.is_forget
        weighted = covariates[~is_forget] * precision[~is_forget, None]
        inverse = np.linalg.pinv(weighted.T @ covariates[~is_forget])
        self._covariates = covariates
        self._solve = inverse @ weighted.T
        pull = self.weights[is_forget] @ covariates[is_forget] @ inverse
        self._leverage = weighted @ pull

    @cached_property
    def null(self) -> ExactNull | None:
        """How the total of an exactly retrained model scatters; None where fewer than six references can show it."""
        return _find_null(self.evidence, self.scale, self._growth)

    def describe_people(self, contributions: Contributions) -> Excesses:
        """Returns the excesses of the people to forget, from what they add to the total of a model."""
        codes, is_forgotten = self.evidence.people
        num_samples = np.bincount(codes[self.evidence.is_forget], minlength=len(is_forgotten))[is_forgotten]
        return Excesses(contributions.forget, self.scales, num_samples.astype(np.float64))

    def weigh(self, signals: Floats) -> Contributions:
        """Returns what each person adds to the total of a model with these signals (N,)."""
        is_forget, residuals = self.evidence.is_forget, self._correct(signals)
        codes, is_forgotten = self.evidence.people
        count = len(is_forgotten)
        forget, held_out = np.zeros(count), np.zeros(count)
        np.add.at(forget, codes[is_forget], (self.weights * residuals)[is_forget])
        np.add.at(held_out, codes[~is_forget], -self._leverage * residuals[~is_forget])
        return Contributions(forget[is_forgotten], held_out[~is_forgotten])

    def weigh_images(self, signals: Floats) -> Floats:
        """Returns (F,) what each sample to forget adds to the total of a model with these signals (N,)."""
        added: Floats = (self.weights * self._correct(signals))[self.evidence.is_forget]
        return added

    def _correct(self, signals: Floats) -> Floats:
        """Returns (N,) the excesses, less what held-out samples of the same difficulty show.

        That is no memory: this model is surer, or less sure, of all.
        """
        excess = signals - self.expected
        corrected: Floats = excess - self._covariates @ (self._solve @ excess[~self.evidence.is_forget])
        return corrected


@dataclass(frozen=True)
class Memory:
    """The totals of a base and of an unlearned model, and how sure they are.

    Attributes:
        total: of the unlearned model; of the base itself where that is asked for.
        base_total: of the base.
        variance: of `total`, between people.
        covariance: of the two totals.
        base_variance: of `base_total`.
        null: of exact retraining.
        num_people: the smaller number of people, of those to forget and of those held out.
        num_forgotten: people to forget.
        scale: the total that the references would lead one to expect of a base.
        mean_square: of what a person to forget adds to `total`.
        overlooked: how much it looks as if some people were remembered among others who are not.
        people: (P,) the people who asked.
        scores: (P,) how far each of them stands out.
        run: likewise of them and of canaries, where all else is of canaries alone; None where there are none.
    """

    total: float
    base_total: float
    variance: float
    covariance: float
    base_variance: float
    null: ExactNull
    num_people: int
    num_forgotten: int
    scale: float
    mean_square: float
    overlooked: float
    people: npt.NDArray[np.str_]
    scores: Floats
    run: RunScores | None = None

    @property
    def score_bound(self) -> float:
        """The largest score that is no surprise of as many people who are all forgotten."""
        return bound_scores(len(self.people))

    @property
    def num_standing_out(self) -> int | None:
        """How many people stand out further than the largest of so many may by chance.

        None where so few have asked, beside canaries, that it would be said of single persons.
        """
        if len(self.people) < MIN_PEOPLE:
            return None
        return int((self.scores > self.score_bound).sum())

    @property
    def is_apart(self) -> bool | None:
        """Whether those who asked look more remembered than the run leaves canaries; None where there are none."""
        return None if self.run is None else self.run.is_apart

    @property
    def spread(self) -> float:
        """How far people lie from what is expected of them, on either side, as a multiple of what retraining leaves.

        Where some are remembered and others pushed below strangers, the total is 0 and the spread is not.
        """
        return self.mean_square / self.null.mean_square

    @property
    def left(self) -> float:
        """The memory left: 0 is what exact retraining leaves, 1 what the base had."""
        return self.total / self.base_total

    @property
    def as_measured(self) -> "Memory":
        """The same beside models with as many images as the references: what refutes by it does so without a guess."""
        return replace(self, null=self.null.as_measured)

    def bound(self, alpha: float) -> tuple[float, float] | None:
        """Returns the lower and the upper bound of the memory left, each missed with probability `alpha`.

        None where the base's own memory is not shown, so that no share of it can be bounded.
        """
        left = self.left
        quantile = self._find_quantile(self._vary(left), alpha)
        square = quantile**2
        a = self.base_total**2 - square * self.base_variance
        if a <= 0 or self.base_total <= 0:
            return None
        b = self.total * self.base_total - square * self.covariance
        # a fine-tuned model shares its base's training, so the scatter between trainings enters at most once
        c = self.total**2 - square * (self.variance + self.null.between)
        reach = np.sqrt(max(b**2 - a * c, 0.0))
        return float((b - reach) / a), float((b + reach) / a)

    def compute_power(self, margin: float, alpha: float) -> float:
        """Returns the chance, 0 to 1, that exact retraining would be shown to leave less than `margin` of the memory.

        An exactly retrained model's total scatters around 0 as the null says, independently of the base's.
        """
        if self.base_total <= 0:
            return 0.0
        scatter = self.null.variance + self.null.between
        people = self.null.variance + margin**2 * self.base_variance
        quantile = self._find_quantile(people, alpha)
        room = (margin * self.base_total - quantile * np.sqrt(people + self.null.between)) / np.sqrt(scatter)
        return float(max(0.0, 2 * ndtr(room) - 1))

    def find_noticed(self, margin: float, alpha: float, power: float) -> float | None:
        """Returns the least share of the people, 0 to 1, whom memory left would notice as not forgotten at all.

        Noticed is what the bound would refuse with a probability of `power`, were so many people, drawn by chance,
        remembered as the base remembers them, and the others forgotten exactly. None where no share would be, not even
        all, and where the bound refuses exact retraining itself so often that a refusal shows nothing.

        Args:
            margin: `gate.max_memory_left`.
            alpha: of one attempt.
            power: the probability, here and of exact retraining to pass.
        """
        if self.compute_power(margin, alpha) < power:
            return None
        shares = np.arange(1, self.num_forgotten + 1) / self.num_forgotten
        return next((float(share) for share in shares if 1 - self._pass_share(share, margin, alpha) >= power), None)

    def _pass_share(self, share: float, margin: float, alpha: float) -> float:
        """Returns the chance to pass, 0 to 1, of a model that remembers this share of the people, the others not."""
        null, square = self.null, self.base_total**2 / self.num_forgotten
        by_chance = share * (1 - share)  # which people they are
        # of a person's part of the total, less the margin's share of the base's
        people = null.variance + (by_chance + (share - margin) ** 2) * self.base_variance + by_chance * square
        # the interval is taken for as narrow as people alone make it
        reach = margin * self.base_total - stdtrit(self.num_people - 1, 1 - alpha) * np.sqrt(people)
        deviation = np.sqrt(null.variance + null.between + by_chance * self.base_variance)
        total = share * self.base_total
        return float(max(0.0, ndtr((reach - total) / deviation) - ndtr((-reach - total) / deviation)))

    def _vary(self, left: float) -> float:
        """Returns the variance, between people, of the total less this share of the base's."""
        return max(self.variance - 2 * left * self.covariance + left**2 * self.base_variance, 0.0)

    def _find_quantile(self, people: float, alpha: float) -> float:
        """Returns Student's quantile for a variance between people and that between trainings (Satterthwaite 1946)."""
        between = self.null.between
        freedom = float(self.num_people - 1)
        if between > 0:
            spread = people**2 / freedom + between**2 / (self.null.num_pairs - 1)
            freedom = (people + between) ** 2 / spread
        return float(stdtrit(freedom, 1 - alpha))


def measure_memory(evidence: Evidence, base: Floats, unlearned: Floats, growth: float = 1.0) -> Memory | None:
    """Returns how much of the base's memory of the people to forget an unlearned model has.

    Args:
        evidence: what the references say of the N samples.
        base: (N,) signals of the model before.
        unlearned: (N,) signals of the model after; those of the base once more for what the base has itself.
        growth: how many times the references' variance that of an exactly retrained model is, which has fewer images.

    Returns:
        None where there are fewer than 12 people or 20 samples of either kind, or fewer than six references that never
        saw two people of either kind; where a signal is no number; and where having been trained on a sample makes no
        difference to the references.
    """
    if evidence.explain_missing() or not all(np.isfinite(each).all() for each in (evidence.signals, base, unlearned)):
        return None
    instrument = Instrument(evidence, growth)
    return None if instrument.scale <= 0 or instrument.null is None else compare_totals(instrument, base, unlearned)


def compare_totals(instrument: Instrument, base: Floats, unlearned: Floats) -> Memory:
    """Returns what an instrument measures of two models. To compare several models, keep the instrument.

    Raises:
        ValueError: the instrument has no null.
    """
    null = instrument.null
    if null is None:
        raise ValueError(f"fewer than {MIN_REFERENCES} references show how exact retraining scatters")
    before, after = instrument.weigh(base), instrument.weigh(unlearned)
    return Memory(
        total=after.total,
        base_total=before.total,
        variance=_covary(after, after),
        covariance=_covary(after, before),
        base_variance=_covary(before, before),
        null=null,
        num_people=min(instrument.evidence.count_people()),
        num_forgotten=instrument.evidence.count_people()[0],
        scale=instrument.scale,
        mean_square=float(np.mean(np.square(after.forget))),
        overlooked=weigh_overlooked(after.forget, instrument.scales),
        people=np.unique(instrument.evidence.subjects)[instrument.evidence.people[1]],
        scores=null.scatter.score(instrument.describe_people(after)),
    )


def _find_null(evidence: Evidence, scale: float, growth: float) -> ExactNull | None:
    """Takes each reference for an exactly retrained model: it never saw half of the people.

    One that saw all but one of either kind shows nothing. None where fewer than six are left.

    What it says is stretched, so that its variance grows as that of a model with fewer images does. The signs of single
    people are not: that would let more of them pass.
    """
    totals, variances, scaled, squares, overlooked, strangers = [], [], [], [], [], []
    for reference in range(evidence.num_references):
        part = evidence.leave_out(reference)
        instrument = Instrument(part)
        if min(part.count_people()) < 2 or instrument.scale <= 0:
            continue
        people = instrument.weigh(evidence.signals[~evidence.inclusion[:, reference], reference])
        contributions = people.stretch(growth**0.5)
        share = instrument.scale / scale
        variance = _covary(contributions, contributions)
        totals.append(contributions.total / share)
        variances.append(variance / share**2)
        # a variance between people grows with their number, not with its square
        scaled.append(variance / share)
        squares.append(float(np.mean(np.square(contributions.forget))))
        overlooked.append(weigh_overlooked(people.forget, instrument.scales))
        strangers.append(instrument.describe_people(people))
    if len(totals) < MIN_REFERENCES:
        return None
    between = max(0.0, float(np.mean(np.square(totals)) - np.mean(variances)))
    mean_square = float(np.mean(squares))
    return ExactNull(
        variance=float(np.mean(scaled)),
        between=between,
        num_pairs=len(totals) // 2,
        mean_square=mean_square,
        max_spread=1 + ALARM_DEVIATIONS * float(np.std(squares)) / mean_square,
        max_overlooked=float(np.mean(overlooked) + ALARM_DEVIATIONS * np.std(overlooked)),
        scatter=fit_scatter(strangers),
        growth=growth,
    )


def _describe(evidence: Evidence) -> tuple[Floats, Floats, Floats, Floats]:
    """Returns, each (N,), the signal expected unseen, the gap to having been seen, the variance, and the difficulty.

    The gap and the variance of one sample would rest on a handful of references. So both are smoothed over samples of
    like difficulty. The difficulty is the mean over both kinds of references: its noise does not depend on
    the gap.
    """
    seen = evidence.inclusion
    num_seen, num_unseen = seen.sum(1), (~seen).sum(1)
    mean_seen = (evidence.signals * seen).sum(1) / num_seen
    mean_unseen = (evidence.signals * ~seen).sum(1) / num_unseen
    deviations = evidence.signals - np.where(seen, mean_seen[:, None], mean_unseen[:, None])
    variances = (deviations**2).sum(1) / (num_seen + num_unseen - 2)
    difficulty = (mean_seen + mean_unseen) / 2
    smooth = np.maximum(_smooth(difficulty, variances), VARIANCE_FLOOR * variances.mean())
    gaps = _smooth(difficulty, mean_seen - mean_unseen)
    return mean_unseen, gaps, smooth if smooth.all() else np.ones_like(smooth), difficulty


def _smooth(difficulty: Floats, values: Floats) -> Floats:
    """Returns (N,) the values' means over bins of equally many samples, interpolated between the bins' middles."""
    num_bins = max(1, min(NUM_BINS, len(values) // MIN_PER_BIN))
    order = np.argsort(difficulty, kind="stable")
    parts = np.array_split(order, num_bins)
    middles = np.array([difficulty[part].mean() for part in parts])
    means = np.array([values[part].mean() for part in parts])
    smoothed: Floats = np.interp(difficulty, middles, means)
    return smoothed


def _standardise(values: Floats) -> Floats:
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)


def _covary(first: Contributions, second: Contributions) -> float:
    """Returns the covariance of two totals: people are drawn, each with all of their samples."""
    return sum(
        float(np.cov(one, other)[0, 1]) * len(one)
        for one, other in ((first.forget, second.forget), (first.held_out, second.held_out))
    )
