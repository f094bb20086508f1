"""On paper: what a wave takes beside exact retraining, and from which size on it is cheaper.

Sums over unit costs, nothing else: a wave searches, fine-tunes and looks at samples, as `params.yaml` says.
"""

from dataclasses import dataclass, replace

from amun.core.params import Params
from amun.evidence.wave import MIN_REPORTED
from amun.model.trainer import count_epochs


@dataclass(frozen=True)
class UnitCosts:
    """What one sample costs on one processor or device, in seconds.

    Attributes:
        train: a sample in one epoch of training, of the base or by exact retraining.
        tune: a sample in one epoch of an attempt to unlearn.
        search: to find one sample's adversarial example.
        audit: for each training image held, to judge one attempt.
        report: likewise, to look at the test half and for whoever stands out; the search there is not in it.
        fixed: of a night in which nothing is computed: servers, git, DVC, starting programs.
    """

    train: float
    tune: float
    search: float
    audit: float
    report: float
    fixed: float = 0.0

    def speed_up(self, factor: float) -> "UnitCosts":
        """Returns the costs on a device that is so many times as fast; what is fixed takes as long as ever."""
        computed = ("train", "tune", "search", "audit", "report")
        return replace(self, **{name: getattr(self, name) / factor for name in computed})


@dataclass(frozen=True)
class Load:
    """What is asked for: training images held, those to forget in a night, models that hold them, and devices."""

    num_images: int
    num_forget: int
    num_models: int = 1
    num_devices: int = 1


def count_searches(num_forget: int) -> int:
    """Returns for how many samples a wave searches: those to forget, and about as many held out on either half.

    Of the held-out ones none are searched for where there are too few to report anything (`search_others`).
    """
    return num_forget * (3 if num_forget >= MIN_REPORTED else 1)


def tune_seconds(tune: float, params: Params, load: Load) -> float:
    """Returns what the training of one attempt takes that is not exact.

    Args:
        tune: seconds of a sample in one epoch of it.
        params: how many epochs, and whether the remain set is at hand.
        load: how many images there are, and how many to forget.
    """
    num_images = load.num_images if params.data.remain == "use" else load.num_forget
    return params.unlearning.epochs * num_images * tune


def train_seconds(train: float, params: Params, load: Load) -> float:
    """Returns what exact retraining on the images left takes.

    Args:
        train: seconds of a sample in one epoch of it; in all of them, where the trainer is the user's own.
        params: how many epochs.
        load: how many images there are, and how many to forget.
    """
    return count_epochs(params.training) * (load.num_images - load.num_forget) * train


def unlearn_seconds(costs: UnitCosts, params: Params, load: Load) -> float:
    """Returns what a wave of one model takes on one device, if its one attempt passes."""
    looks = (costs.audit + costs.report) * load.num_images
    search = count_searches(load.num_forget) * costs.search
    return costs.fixed + search + tune_seconds(costs.tune, params, load) + looks


def retrain_seconds(costs: UnitCosts, params: Params, load: Load) -> float:
    """Returns what exact retraining of one model takes on one device, audit left out: it needs none."""
    return costs.fixed + train_seconds(costs.train, params, load)


def base_seconds(costs: UnitCosts, params: Params, num_images: int) -> float:
    """Returns what a base takes: itself, its references, of half the images each, and retrained models, in turn.

    Of the latter nearly all images count; the held-out images, of which references have half, too, do not.
    """
    references = params.references
    num_trainings = 1 + (references.num_audit + references.num_target) / 2 + references.num_retrained
    return costs.fixed + num_trainings * count_epochs(params.training) * num_images * costs.train


def find_break_even(costs: UnitCosts, params: Params, num_forget: int) -> int | None:
    """Returns the least number of images from which a wave is cheaper than retraining; None where it never is."""
    for exponent in range(40, 400):
        num_images = round(10 ** (exponent / 40))
        load = Load(num_images, num_forget)
        is_cheaper = unlearn_seconds(costs, params, load) < retrain_seconds(costs, params, load)
        if num_images > 2 * num_forget and is_cheaper:
            return num_images
    return None
