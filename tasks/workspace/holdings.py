"""How many samples of each person the sample store holds."""

from collections import Counter
from itertools import chain
from pathlib import Path

from amun.core.paths import CALIBRATION, TEST, TRAIN
from amun.ledger import Holding
from amun.store.store import read_owners


def read_holdings(root: Path) -> list[Holding]:
    """Returns what the sample store of a work tree holds of each subject; of whom it is erased, nothing."""
    train, *held_out = (_list_owners(root / path) for path in (TRAIN, CALIBRATION, TEST))
    num_train, num_held_out = Counter(train), Counter(chain(*held_out))
    return [Holding(subject, num_train[subject], num_held_out[subject]) for subject in sorted(num_train | num_held_out)]


def _list_owners(path: Path) -> list[str]:
    """Returns for each sample that can be opened whose it is."""
    stored = read_owners(path)
    owners: list[str] = stored.subject_ids[~stored.is_erased].tolist()
    return owners
