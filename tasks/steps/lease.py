"""Step *claim*: the wave and its lease, for as long as a run works on it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from prefect import tags
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from amun.core.errors import LeaseLostError
from amun.core.keys import fingerprint, load_secret
from amun.core.log import tell_about
from amun.ledger import Claim, WaveBusy, WaveKind, describe_holder, heartbeat
from tasks.tools.lost_runs import close_killed_runs
from tasks.tools.story import tell_requests
from tasks.workspace.deadlines import find_bounds
from tasks.workspace.workspace import LEASE_SECONDS, Workspace, open_ledger


@contextmanager
def hold_wave(workspace: Workspace, kind: WaveKind) -> Iterator[Claim | WaveBusy | None]:
    """Claims the model's open wave, or opens the next one, and holds its lease until the block ends.

    The block gets the claim; or who holds the wave; or None where nothing is pending. A run that fails gives its
    lease back, so that the next one need not wait for it to expire.
    """
    with open_ledger() as ledger:
        now = datetime.now(UTC)
        claim = ledger.claim_wave(
            workspace.model,
            kind=kind,
            holder=describe_holder(),
            now=now,
            lease_seconds=LEASE_SECONDS,
            bounds=find_bounds(workspace.params, now),
        )
        if not isinstance(claim, Claim):
            yield claim
            return
        found_by = _list_tags(workspace, claim)
        _name_flow_run(claim, found_by)
        try:
            with (
                heartbeat(ledger, claim, lease_seconds=LEASE_SECONDS),
                tags(*found_by),
                tell_about(model=claim.model, wave=claim.number),
            ):
                tell_requests(ledger, claim, "in the wave")
                yield claim
        except LeaseLostError:
            raise
        except BaseException:
            with suppress(LeaseLostError):
                ledger.renew_lease(claim, datetime.now(UTC), 0)
            raise


def _name_flow_run(claim: Claim, found_by: list[str]) -> None:
    """Names the running flow after its wave: until the claim nobody knows the number.

    The one that the wave was taken over from has ended, whatever Prefect says of it.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    with get_client(sync_client=True) as client:
        client.update_flow_run(
            context.flow_run.id,
            name=f"{claim.model}-wave-{claim.number:04d}",
            tags=sorted({*context.flow_run.tags, *found_by}),
        )
    if claim.resumed:
        close_killed_runs(found_by, context.flow_run.id)


def _list_tags(workspace: Workspace, claim: Claim) -> list[str]:
    """Returns the tags by which Prefect's page finds the wave's flow run and its tasks.

    Several workspaces may share a server, and name their models alike.
    """
    own = fingerprint(load_secret(workspace.root))[:8]
    return [f"model:{claim.model}", f"wave:{claim.number}", f"workspace:{own}"]
