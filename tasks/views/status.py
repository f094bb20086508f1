"""How a workspace stands: its requests, its waves, who is to be erased, and what serves."""

from dataclasses import dataclass
from datetime import UTC, datetime

from amun.ledger import Consumer, Wave
from amun.ledger.records import Status
from tasks.tools.registered import find_champion
from tasks.workspace.clear_waves import list_clear_bases
from tasks.workspace.deadlines import find_last_night
from tasks.workspace.listed import count_listed
from tasks.workspace.workspace import Workspace, open_ledger


@dataclass(frozen=True, kw_only=True)
class WorkspaceStatus(Status):
    """How a model stands with its requests, and its workspace beside that.

    Attributes:
        model: its name.
        champion: the version that serves; None as long as none does.
        last_night: until when the request that is due next has to be claimed; None where none is due.
        clear_bases: the waves whose base lies here with people's copies in clear.
        num_listed: entries of erased people on the suppression list; None where the key store does not answer.
        consumers: who serves the model, and how far each has come.
        last_wave: the last one that has ended, if any.
    """

    model: str
    champion: int | None
    last_night: datetime | None
    clear_bases: list[int]
    num_listed: int | None
    consumers: list[Consumer]
    last_wave: Wave | None


def read_status(workspace: Workspace) -> WorkspaceStatus:
    """Returns how the workspace stands.

    Raises:
        InputError, AmunError: the ledger or the registry is not at hand.
    """
    now = datetime.now(UTC)
    with open_ledger() as ledger:
        counts = ledger.count_status(workspace.model, now)
        consumers = ledger.list_consumers(workspace.model, now)
        waves = ledger.list_waves(workspace.model)
    closed = [wave for wave in waves if wave.closed_at is not None]
    champion = find_champion(workspace.model)
    return WorkspaceStatus(
        **vars(counts),
        model=workspace.model,
        champion=None if champion is None else champion.version,
        last_night=find_last_night(workspace.params, counts.next_due),
        clear_bases=list_clear_bases(workspace, waves),
        num_listed=count_listed(workspace.root),
        consumers=consumers,
        last_wave=closed[-1] if closed else None,
    )
