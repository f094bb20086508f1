"""What going back to an earlier version would do, and whether it can be done; nothing here is a Prefect task."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from amun.core.commands import tell_command
from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.keys import load_secret
from amun.core.params import ModelParams, read_yaml
from amun.core.paths import CALIBRATION, PARAMS, TEST, TRAIN
from amun.core.temporary import open_temporary
from amun.evidence.wave import read_forgotten
from amun.ledger import WaveBusy, describe_holder
from amun.ledger.clear_waves import refuse_cleared
from amun.ledger.erasures import refuse_erased
from amun.ledger.holder import tell_holder
from amun.store.forgetting import find_lost
from amun.store.store import read_owners
from tasks.tools import dvc, registry
from tasks.tools.registered import WaveVersion, find_champion, get_registered
from tasks.views.version_details import describe_version
from tasks.workspace.deadlines import find_bounds
from tasks.workspace.history import find_recorded_wave
from tasks.workspace.holdings import read_holdings
from tasks.workspace.line import require_line, walk_line
from tasks.workspace.weights import fetch_weights
from tasks.workspace.workspace import Workspace, open_ledger
from tasks.workspace.worktree import open_worktree

MAX_REASON_LENGTH = 500  # MLflow's tags take little more


@dataclass(frozen=True)
class Plan:
    """What a rollback would do.

    Attributes:
        model: the model.
        champion: the version that serves now.
        target: the version that would.
        undone_waves: the waves whose versions would leave the champion's line, newest first.
        num_remembered: how many subjects the champion would remember again.
        consumers: who has reported a version that would be undone.
    """

    model: str
    champion: int
    target: int
    undone_waves: list[int]
    num_remembered: int
    consumers: list[str]

    def describe(self) -> str:
        """Returns it for the person who decides."""
        waves = ", ".join(str(number) for number in reversed(self.undone_waves))
        told = (
            f"{self.model} would go back from version {self.champion} to version {self.target}; undone: wave {waves}\n"
            f"it would remember {tell_count(self.num_remembered, 'person', 'people')} again until the wave that starts "
            "at once forgets them anew"
        )
        if self.consumers:
            told += f"\nserving what would be undone: {', '.join(self.consumers)}; load version {self.target} there"
        return told


def require_no_wave(workspace: Workspace) -> None:
    """Refuses to go back while a wave is at work, or so far that it has to be finished.

    Raises:
        InputError: which wave, and who holds it or what to do.
    """
    with open_ledger() as ledger:
        wave = ledger.peek_wave(workspace.model, datetime.now(UTC))
    if wave is None:
        return
    if not wave.is_abandoned:
        raise InputError(f"wave {wave.number} is being run by {tell_holder(wave.holder)}; roll back when it has ended")
    if wave.kind == "base" or find_recorded_wave(workspace.root) == wave.number:
        raise InputError(f"wave {wave.number} is not finished; run `amun wave run` first")


def plan_rollback(workspace: Workspace, version: int) -> Plan:
    """Returns what going back to a version would do; nothing is written but what the DVC cache lacks.

    Raises:
        InputError: the version is not one to go back to: unknown, the champion already, not in its line, of another
            architecture, or its weights or data are gone.
    """
    root, model = workspace.root, workspace.model
    champion = find_champion(model)
    if champion is None:
        raise InputError(f"the registry has no champion of {model} to roll back; run `amun init`")
    require_line(root, champion)
    target = get_registered(model, version)
    if target.version == champion.version:
        raise InputError(f"version {version} of {model} is the champion already")
    line = list(walk_line(workspace))
    versions = [wave.version for wave in line]
    if str(version) not in versions:
        raise InputError(
            f"version {version} of {model} is not in the champion's line, which is {' <- '.join(map(str, versions))}"
        )
    place = versions.index(str(version))
    undone = line[:place]
    numbers = [wave.number for wave in undone]
    with open_ledger() as ledger:
        refuse_cleared(str(version), ledger.list_cleared(model).get(line[place].number))
        refuse_erased(str(version), ledger.find_erased(model, numbers, datetime.now(UTC)))
    _require_files(workspace, target)
    with _open_line(root, target) as path:
        _require_same_model(workspace, path, target)
        _require_nobody_erased(path, target)
        held = {holding.subject_id for holding in read_holdings(path)}
    with open_ledger() as ledger:
        remembered = ledger.count_remembered(model, numbers, held)
        consumers = ledger.list_consumers(model, datetime.now(UTC))
    gone = {wave.version for wave in undone}
    serving = [consumer.name for consumer in consumers if consumer.version in gone]
    return Plan(model, champion.version, version, numbers, remembered, serving)


def write_intent(workspace: Workspace, plan: Plan, reason: str) -> None:
    """Writes the intent in the ledger, with the wave that is to carry it out.

    Raises:
        InputError: somebody else was faster.
    """
    now = datetime.now(UTC)
    with open_ledger() as ledger:
        answer = ledger.begin_rollback(
            plan.model,
            from_version=str(plan.champion),
            to_version=str(plan.target),
            undone_waves=plan.undone_waves,
            reason=reason,
            holder=describe_holder(),
            now=now,
            bounds=find_bounds(workspace.params, now),
        )
    if isinstance(answer, WaveBusy):
        raise InputError(
            f"wave {answer.number} is being run by {tell_holder(answer.holder)}; roll back when it has ended"
        )


def check_reason(reason: str) -> str:
    """Returns the reason in one line.

    Raises:
        InputError: it says nothing, or too much.
    """
    line = " ".join(reason.split())
    if not line or len(line) > MAX_REASON_LENGTH:
        raise InputError(f"--reason: say in up to {MAX_REASON_LENGTH} characters why the model goes back")
    return line


def _require_files(workspace: Workspace, target: WaveVersion) -> None:
    """Refuses a version that MLflow no longer has in full: what serves, and what the next wave starts from."""
    present = describe_version(workspace, target.version).files
    if missing := [name for name in (registry.WEIGHTS, registry.SERVING_FILE) if name not in present]:
        raise InputError(f"version {target.version} cannot serve again: MLflow no longer has {', '.join(missing)}")
    with open_temporary() as folder:
        fetch_weights(workspace.root, target, Path(folder) / registry.WEIGHTS, load_secret(workspace.root))


@contextmanager
def _open_line(root: Path, target: WaveVersion) -> Iterator[Path]:
    """Gives a work tree as the version's wave recorded it, its data in the cache from then on."""
    try:
        with open_worktree(root, target.commit) as path:
            yield path
    except dvc.MissingDataError as error:
        raise InputError(f"version {target.version} cannot be brought back, for its data are gone: {error}") from None


def _require_nobody_erased(path: Path, target: WaveVersion) -> None:
    """Refuses a version that remembers people whose samples nobody can open any more: none could be forgotten anew.

    Raises:
        InputError: there are some.
    """
    stores = [read_owners(path / name) for name in (TRAIN, CALIBRATION, TEST)]
    if lost := find_lost(stores, read_forgotten(path)):
        raise InputError(
            f"version {target.version} cannot serve again: it remembers {tell_count(len(lost), 'sample')} of people "
            "who are erased, and whom no wave could forget anew; `amun base rebuild` makes a base without them"
        )


def _require_same_model(workspace: Workspace, path: Path, target: WaveVersion) -> None:
    # the file of then need not have the keys of today
    made, present = ModelParams.model_validate(read_yaml(path / PARAMS)["model"]), workspace.params.model
    if (made.architecture, made.options) != (present.architecture, present.options):
        raise InputError(
            f"params.yaml: version {target.version} was built as another `model`; "
            f"bring that section back first ({tell_command('git', 'show', f'{target.commit[:12]}:{PARAMS}')})"
        )
