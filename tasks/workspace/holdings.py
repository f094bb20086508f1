"""How many samples of each person the sample store holds."""

from collections import Counter
from pathlib import Path

from amun.core.paths import CALIBRATION, TEST, TRAIN
from amun.ledger import Holding
from amun.store.store import read_owners


def read_holdings(root: Path) -> list[Holding]:
    """Returns what the sample store of a work tree holds of each subject."""
    train, *held_out = (read_owners(root / path) for path in (TRAIN, CALIBRATION, TEST))
    num_train = Counter(train.subject_ids.tolist())
    num_held_out = Counter(subject for store in held_out for subject in store.subject_ids.tolist())
    return [Holding(subject, num_train[subject], num_held_out[subject]) for subject in sorted(num_train | num_held_out)]
