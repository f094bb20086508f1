"""How a workspace stands: its requests, its waves, who is to be erased, and what serves."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from amun.core.errors import InputError
from amun.ledger import Consumer, Pace, Wave
from amun.ledger.records import Status
from tasks.tools.registered import find_champion
from tasks.workspace.clear_waves import list_clear_bases
from tasks.workspace.deadlines import find_last_night
from tasks.workspace.listed import count_listed
from tasks.workspace.queue import find_pace
from tasks.workspace.workspace import Workspace, open_ledger

if TYPE_CHECKING:
    from tasks.workspace.canaries import Pool


@dataclass(frozen=True, kw_only=True)
class WorkspaceStatus(Status):
    """How a model stands with its requests, and its workspace beside that.

    Attributes:
        model: its name.
        champion: the version that serves; None as long as none does.
        last_night: until when the request that is due next has to be claimed; None where none is due.
        clear_bases: the waves whose base lies here with people's copies in clear.
        num_listed: entries of erased people on the suppression list; None where the key store does not answer.
        num_canaries: people by whom small nights can be judged; None where none are taken, or that is not known.
        num_canaries_left: at most so many of them can still be taken: no wave has, and they have not asked; likewise.
        canaries_unknown: why that is not known; None where it is, or none are taken.
        consumers: who serves the model, and how far each has come.
        last_wave: the last one that has ended, if any.
        pace: how the nights to come take the requests that wait; None where one night takes all.
    """

    model: str
    champion: int | None
    last_night: datetime | None
    clear_bases: list[int]
    num_listed: int | None
    num_canaries: int | None
    num_canaries_left: int | None
    canaries_unknown: str | None
    consumers: list[Consumer]
    last_wave: Wave | None
    pace: Pace | None


def read_status(workspace: Workspace) -> WorkspaceStatus:
    """Returns how the workspace stands.

    Raises:
        InputError, AmunError: the ledger or the registry is not at hand.
    """
    now = datetime.now(UTC)
    with open_ledger() as ledger:
        counts = ledger.count_status(workspace.model, now)
        consumers = ledger.list_consumers(workspace.model, now)
        last_wave, bases = ledger.find_last_wave(workspace.model), ledger.list_waves(workspace.model, "base")
        pace = find_pace(workspace, ledger, now)
    champion, (pool, unknown) = find_champion(workspace.model), _find_pool(workspace)
    return WorkspaceStatus(
        **vars(counts),
        model=workspace.model,
        champion=None if champion is None else champion.version,
        last_night=find_last_night(workspace.params, counts.next_due),
        clear_bases=list_clear_bases(workspace, bases),
        num_listed=count_listed(workspace.root),
        num_canaries=None if pool is None else pool.num_held,
        num_canaries_left=None if pool is None else pool.num_left,
        canaries_unknown=unknown,
        consumers=consumers,
        last_wave=last_wave,
        pace=pace,
    )


def _find_pool(workspace: Workspace) -> "tuple[Pool | None, str | None]":
    """Returns the canaries, or why they are not known: requests that are overdue are shown all the same."""
    if not workspace.params.audit.canaries:
        return None, None
    # PyTorch, without which nobody looks into the sample store, takes longer than all the rest
    from tasks.workspace.canaries import find_pool

    try:
        return find_pool(workspace), None
    except InputError as error:
        return None, str(error)
