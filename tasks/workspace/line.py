"""The champion's line: the waves that made it what it is, and whom they forgot, as HEAD records them."""

from collections.abc import Iterator
from pathlib import Path

from amun.core.commands import tell_command
from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.keys import load_secret, subject_keys
from amun.core.paths import FORGOTTEN
from amun.evidence.wave import ForgottenWave, parse_forgotten
from amun.ledger import Wave
from tasks.tools.git import has_tag, is_ancestor, name_tag, read_committed
from tasks.tools.registered import WaveVersion, list_registered
from tasks.workspace.history import find_recorded_wave, find_wave_before
from tasks.workspace.recorded import find_record
from tasks.workspace.workspace import Workspace, open_ledger


def require_line(root: Path, champion: WaveVersion | None) -> None:
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


def require_unmoved(root: Path, champion: WaveVersion | None, version: int, commit: str) -> None:
    """Refuses to make a wave's version the champion in the place of another than the wave was begun from.

    Args:
        root: of the clone.
        champion: that the registry has now.
        version: to become the champion; where it is already, an earlier run has got so far.
        commit: that records the wave.

    Raises:
        InputError: somebody has set the alias since.
    """
    before = find_wave_before(root, commit)
    if champion is not None and champion.version == version:
        return
    if champion is None and before is None:
        return
    if champion is None or champion.wave != before or not is_ancestor(root, champion.commit):
        present = "gone" if champion is None else f"on version {champion.version}"
        past = "not there" if before is None else f"on the version of wave {before}"
        raise InputError(
            f"MLflow: somebody has moved the alias champion since this wave began: it is {present}, and was {past}; "
            "set it back, and `amun wave run` ends this wave. To go back for good, type "
            "`amun model rollback` after that"
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


def read_line(workspace: Workspace) -> list[ForgottenWave]:
    """Returns whom the champion's line has forgotten, oldest wave first, once HEAD and the ledger agree on it.

    What a killed run left in the work tree counts for nothing.

    Raises:
        InputError: HEAD does not say it, or says it of fewer people than the ledger.
        AmunError: HEAD cannot be read.
    """
    root = workspace.root
    committed, recorded = read_committed(root, FORGOTTEN), find_recorded_wave(root)
    if committed is None and recorded is not None:
        raise InputError(
            f"{root}: HEAD records wave {recorded}, but not {FORGOTTEN}, which says who is forgotten: bring it back "
            f"({tell_command('git', 'checkout', name_tag(recorded), '--', FORGOTTEN)}) and commit it"
        )
    line = [] if committed is None else parse_forgotten(committed, f"{FORGOTTEN} at HEAD of {root}")
    _require_remembered(workspace, line)
    return line


def _require_remembered(workspace: Workspace, line: list[ForgottenWave]) -> None:
    """Refuses a line without somebody whom the ledger has as forgotten: a wave would train on them again."""
    secret = load_secret(workspace.root)
    keys = {key for wave in line for key in wave.subject_keys}
    with open_ledger() as ledger:
        forgotten = ledger.subjects_forgotten(workspace.model)
    missing = [number for subject, number in forgotten.items() if keys.isdisjoint(subject_keys(secret, subject))]
    if missing:
        waves, people = ", ".join(map(str, sorted(set(missing)))), tell_count(len(missing), "person", "people")
        raise InputError(
            f"{workspace.root}: {FORGOTTEN} at HEAD lacks {people} whom the ledger has as forgotten by "
            f"wave {waves} of {workspace.model}: check out the waves' branch and pull, or bring the file back "
            f"({tell_command('git', 'checkout', name_tag(max(missing)), '--', FORGOTTEN)}) and commit it"
        )


def walk_line(workspace: Workspace) -> Iterator[Wave]:
    """Yields the waves of the champion's line, newest first, through new bases too.

    Raises:
        InputError: the ledger does not know a wave that the branch records.
    """
    with open_ledger() as ledger:
        waves = {wave.number: wave for wave in ledger.list_waves(workspace.model)}
    number = find_recorded_wave(workspace.root)
    if number in waves and waves[number].commit is None:
        # somebody has committed the files of a wave that is not recorded
        record = find_record(workspace.root)
        number = None if record is None else record.number
    while number is not None:
        if number not in waves:
            raise InputError(
                f"{workspace.root}: the branch records wave {number}, the ledger does not know it; "
                "was the ledger restored from a backup?"
            )
        yield waves[number]
        number = find_wave_before(workspace.root, str(waves[number].commit))
