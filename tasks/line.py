"""The champion's line: the waves that made it what it is, as HEAD records them."""

import json
from collections.abc import Iterator
from pathlib import Path

from amun.errors import InputError
from amun.ledger import Wave
from amun.paths import WAVE
from tasks.git import is_ancestor, read_committed
from tasks.registry import Champion
from tasks.workspace import Workspace, open_ledger


def require_line(root: Path, champion: Champion | None) -> None:
    """Refuses a branch that is not where the champion was recorded last: it would not know who is forgotten.

    Raises:
        InputError: the champion's commit is not in the branch, or the branch has recorded another wave since.
    """
    recorded = find_recorded_wave(root)
    if champion is None and recorded is None:
        return
    if champion is None:
        raise InputError(f"{root}: wave {recorded} is recorded, but the registry has no champion; is it another one?")
    if champion.wave != recorded or not is_ancestor(root, champion.commit):
        raise InputError(
            f"{root}: the champion is version {champion.version} of wave {champion.wave}, recorded in commit "
            f"{champion.commit[:12]}, which is not where this branch is; check out the waves' branch and pull"
        )


def find_recorded_wave(root: Path, revision: str = "HEAD") -> int | None:
    """Returns the number of the wave that a revision records; None before wave 0."""
    committed = read_committed(root, WAVE, revision)
    return None if committed is None else int(json.loads(committed)["number"])


def walk_line(workspace: Workspace) -> Iterator[Wave]:
    """Yields the waves of the champion's line, newest first, through new bases too.

    What a wave was built on stands in the commit before its own.

    Raises:
        InputError: the ledger does not know a wave that the branch records.
    """
    with open_ledger() as ledger:
        waves = {wave.number: wave for wave in ledger.list_waves(workspace.model)}
    number = find_recorded_wave(workspace.root)
    while number is not None:
        if number not in waves:
            raise InputError(
                f"{workspace.root}: the branch records wave {number}, the ledger does not know it; "
                "was the ledger restored from a backup?"
            )
        yield waves[number]
        number = find_recorded_wave(workspace.root, f"{waves[number].commit}~1")
