"""How many images models are trained on: the base, the references, and a model that is retrained exactly tonight.

References are retrained exactly, too, each on half of all images. What a model with fewer says of people whom it never
had scatters more. That is foreseen here, so that a night is not called sufficient that exact retraining itself would
not pass. That the variance grows as the number falls was measured on the digits (`python -m bench.left`).
"""

from dataclasses import dataclass

from amun.core.paths import AUDIT_LOGITS, TRAIN
from amun.evidence.wave import Wave, list_gone
from amun.store.store import read_owners, read_shape


@dataclass(frozen=True)
class Sizes:
    """How many images models are trained on.

    Attributes:
        base: the base, before any wave.
        reference: each reference.
        left: a model that is retrained exactly tonight.
        yardstick: the last exactly trained version; None where that is not known.
    """

    base: int
    reference: int
    left: int
    yardstick: int | None

    @property
    def growth(self) -> float:
        """How many times the variance of the references that of an exactly retrained model is; 1 where it has as many.

        More images than a reference's would make it smaller; that is not made use of.
        """
        return max(1.0, self.reference / max(1, self.left))


def read_sizes(wave: Wave) -> Sizes:
    """Returns the sizes of a wave in the current folder."""
    train = read_owners(TRAIN)
    yardstick = None
    if wave.yardstick_wave is not None:
        unknown = list_gone([earlier for earlier in wave.forgotten if earlier.number <= wave.yardstick_wave])
        yardstick = int((~train.is_among(unknown)).sum())
    return Sizes(
        base=len(train),
        reference=read_shape(AUDIT_LOGITS).num_samples // 2,
        left=int((~train.is_among(wave.gone_ids)).sum()),
        yardstick=yardstick,
    )
