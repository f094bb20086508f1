"""Tells what somebody has to be told, over every channel, each thing once; and the end of a night.

Nothing here fails a night, or delays it by more than the time that a server is given to answer.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from amun.core.errors import AmunError, join_lines
from amun.core.masking import mask_passwords
from amun.ledger import Alert, Ledger, NewAlert
from tasks.tools.channels import Channel, list_channels, run_bounded
from tasks.tools.message import Message, Told
from tasks.tools.webhook import beat
from tasks.workspace.alert_finding import describe_damage, describe_failed_night, find_alerts
from tasks.workspace.alert_kinds import advise, locate
from tasks.workspace.workspace import Workspace, open_ledger

if TYPE_CHECKING:
    # it imports DVC
    from tasks.workspace.scrubbing import Scrubbed

HEARTBEAT = "heartbeat"
TEST_PAGE = "docs/alerts.md"
NOT_KEPT = 0  # in place of a number, of what is told and stands in no ledger


@dataclass(frozen=True)
class Telling:
    """What came of telling over a channel.

    Attributes:
        channel: its name.
        num_told: how many things; 0 where there was nothing to tell.
        failure: why nobody was told; empty where somebody was.
        refusal: who was not told, where others were.
    """

    channel: str
    num_told: int
    failure: str = ""
    refusal: str = ""


def tell_alerts(workspace: Workspace, ledger: Ledger, found: Sequence[NewAlert], now: datetime) -> list[Telling]:
    """Tells over each channel what was found, unless that was told already, and what nobody could be told before.

    Args:
        workspace: whose channels.
        ledger: keeps what was told.
        found: what there is to tell now; what `alerts.mute` names is left out.
        now: the present time.

    Raises:
        AmunError: the ledger does not answer.
    """
    params = workspace.params.alerts
    channels = list_channels(params)
    wanted = [alert for alert in found if alert.kind not in params.mute]
    ledger.raise_alerts(workspace.model, wanted, [channel.name for channel in channels], now)
    claimed = {
        channel.name: (channel, alerts)
        for channel in channels
        # what was raised before it was muted is not told any more, either
        if (alerts := ledger.claim_deliveries(workspace.model, channel.name, now, params.mute))
    }
    calls = {name: partial(channel.send, write_message(alerts, now)) for name, (channel, alerts) in claimed.items()}
    ended = run_bounded(calls)
    tellings = []
    for name, (_, alerts) in claimed.items():
        is_told, said, is_partial = ended[name]
        failure = "" if is_told else said
        ledger.settle_deliveries([alert.number for alert in alerts], name, now, datetime.now(UTC), failure)
        # whoever was told is not told again and again for the sake of an address that nobody has any more
        tellings.append(Telling(name, len(alerts) * is_told, failure, said * is_partial))
    return tellings


def write_message(alerts: Sequence[Alert], now: datetime) -> Message:
    """Returns the message that tells these alerts of one model."""
    told = [
        Told(
            alert.number,
            alert.kind,
            alert.object,
            # in one zone: the message's id, by which a repetition is known, is made of it
            alert.raised_at.astimezone(UTC).isoformat(timespec="seconds"),
            alert.line,
            advise(alert.kind, alert.object),
            locate(alert.kind),
        )
        for alert in alerts
    ]
    content = "\n".join([alerts[0].model, *(f"{one.number} {one.raised_at}" for one in told)])
    return Message(f"msg_{hashlib.sha256(content.encode()).hexdigest()[:32]}", alerts[0].model, now, told)


def write_test_message(model: str, now: datetime) -> Message:
    """Returns a message that says nothing but that it has arrived."""
    told = Told(
        NOT_KEPT, "test", "", now.isoformat(timespec="seconds"), "a test: this has arrived", "nothing", TEST_PAGE
    )
    return Message(f"msg_{secrets.token_hex(16)}", model, now, [told])


def end_night(
    workspace: Workspace,
    *,
    has_failed: bool,
    is_parked: bool = False,
    due_at: datetime | None = None,
    scrubbed: "Scrubbed | None" = None,
) -> list[str]:
    """Records that a night has ended, tells what there is to tell, and sends the heartbeat of a good night.

    Returns a line for each thing that could not be done: the night has its own outcome, whatever became of this.

    Args:
        workspace: whose night it was.
        has_failed: it ended with an error.
        is_parked: the error is that its wave is parked, of which there is an alert of its own.
        due_at: when the night began to erase: whoever is due since then is the next night's; None takes the present.
        scrubbed: what it has found damaged of what DVC keeps; None where it has not looked.
    """
    now = datetime.now(UTC)
    try:
        with open_ledger() as ledger:
            found = find_alerts(workspace, ledger, now, is_night_over=True, due_at=due_at)
            is_good = not has_failed and all(alert.kind != "erasure-failed" for alert in found)
            ledger.record_night(workspace.model, now, is_good=is_good)
            failed = [describe_failed_night(workspace, now)] if has_failed and not is_parked else []
            damaged = [] if scrubbed is None else describe_damage(workspace, scrubbed, now)
            tellings = tell_alerts(workspace, ledger, [*failed, *found, *damaged], now)
    except Exception as error:  # whatever it is, the night goes on
        why = _tell_error(error)
        if not has_failed or is_parked:
            return [f"warning: nobody was alerted: {why}"]
        return [f"warning: the ledger keeps nothing of this night: {why}", *_tell_without_ledger(workspace, now)]
    return [*tell_failures(tellings), *(send_heartbeat() if is_good else [])]


def _tell_without_ledger(workspace: Workspace, now: datetime) -> list[str]:
    """Tells over every channel that a night has failed, where no ledger keeps it: on a full disk, for one.

    It may be told twice, which is better than never. Returns a line for each channel by which nobody was told.
    """
    found, params = describe_failed_night(workspace, now), workspace.params.alerts
    if found.kind in params.mute:
        return []
    alert = Alert(NOT_KEPT, workspace.model, found.kind, found.object, now, found.line)
    try:
        message = write_message([alert], now)
        ended = run_bounded({channel.name: partial(channel.send, message) for channel in list_channels(params)})
    except Exception as error:  # as above
        return [f"warning: nobody was alerted: {_tell_error(error)}"]
    return [
        f"warning: nobody was alerted by {name}: {said}" for name, (is_told, said, _) in ended.items() if not is_told
    ]


def _tell_error(error: Exception) -> str:
    # what is no error of ours may quote what nobody should read
    said = mask_passwords(join_lines(error)) if isinstance(error, AmunError) else ""
    return said or type(error).__name__


def tell_failures(tellings: Sequence[Telling]) -> list[str]:
    """Returns over which channels nobody could be told, or not everybody, a line for each."""
    lines = []
    for telling in tellings:
        if telling.failure:
            retry = "it is tried again the next time"
            lines.append(f"warning: nobody was alerted by {telling.channel}: {telling.failure}; {retry}")
        if telling.refusal:
            lines.append(f"warning: not everybody was alerted by {telling.channel}: {telling.refusal}")
    return lines


def send_heartbeat() -> list[str]:
    """Sends the heartbeat, where there is an address for it, and returns a line where that has failed."""
    try:
        ending = run_bounded({HEARTBEAT: beat})[HEARTBEAT]
    except Exception as error:  # whatever it is, the night goes on
        return [f"warning: no heartbeat was sent: {_tell_error(error)}"]
    return [] if ending.is_done else [f"warning: no heartbeat was sent: {ending.said}"]


def describe_channel(channel: Channel) -> str:
    """Returns who is told over a channel, or its name where the environment names nobody."""
    try:
        return channel.describe()
    except AmunError:
        return channel.name
