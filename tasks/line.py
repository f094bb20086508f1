"""The champion's line: the waves that made it what it is, as HEAD records them."""

from collections.abc import Iterator
from pathlib import Path

from amun.errors import InputError
from amun.ledger import Wave
from tasks.git import has_tag, is_ancestor, name_tag
from tasks.history import find_recorded_wave
from tasks.registry import Champion, list_registered
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


def require_new_number(workspace: Workspace, number: int) -> None:
    """Refuses a number that a wave has had: the ledger is then older than branch or registry.

    Raises:
        InputError: the number, or a later one, is recorded, registered or tagged already.
    """
    root = workspace.root
    recorded, registered = find_recorded_wave(root), list_registered(workspace.model)
    last = max([-1 if recorded is None else recorded, *(version.wave for version in registered)])
    # tags alone would not do: a clone may lack them
    if last >= number or has_tag(root, name_tag(number)):
        raise InputError(
            f"{root}: wave {max(last, number)} exists already, but the ledger is only now at wave {number}; "
            "was the ledger restored from a backup?"
        )


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
