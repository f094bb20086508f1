"""The channels over which somebody is told; all are used at once, and none is waited for longer than its time."""

import os
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import NamedTuple, Protocol

from amun.core.errors import AmunError, join_lines
from amun.core.params import AlertsParams
from tasks.tools.alert_command import CommandChannel
from tasks.tools.mail import SMTP_VARIABLE, MailChannel
from tasks.tools.message import Message, PartlyTakenError, read_bound
from tasks.tools.webhook import WEBHOOK_KEY_VARIABLE, WEBHOOK_VARIABLE, WebhookChannel

SPARE_SECONDS = 1.0  # for what bounds itself


class Channel(Protocol):
    """A way to tell somebody."""

    @property
    def name(self) -> str:
        """By what the ledger knows it."""

    def describe(self) -> str:
        """Returns who is told; raises `InputError` where the environment names nobody."""

    def check(self) -> None:
        """Raises `InputError` where nothing could be told over it, as far as that can be known."""

    def send(self, message: Message) -> str:
        """Tells the message and returns who has taken it.

        Raises:
            PartlyTakenError: it was taken, but not for everybody.
            AmunError: nobody has taken it.
        """


class Ending(NamedTuple):
    """How a call has ended.

    Attributes:
        is_done: it came to its end.
        said: what it returned, or why not.
        is_partial: it is done, but not for everybody.
    """

    is_done: bool
    said: str
    is_partial: bool = False


def list_channels(params: AlertsParams) -> list[Channel]:
    """Returns the channels that parameters and environment name."""
    channels: list[Channel] = []
    if params.mail_to and params.mail_from is not None:
        channels.append(MailChannel(params.mail_from, params.mail_to))
    if os.environ.get(WEBHOOK_VARIABLE):
        channels.append(WebhookChannel())
    if params.command:
        channels.append(CommandChannel(params.command))
    return channels


def list_idle_settings(params: AlertsParams) -> list[str]:
    """Returns a line for each variable of the environment that names a channel over which nobody is told."""
    lines = []
    if os.environ.get(SMTP_VARIABLE) and not params.mail_to:
        lines.append(f"{SMTP_VARIABLE}: set, and alerts.mail_to in params.yaml names nobody, so that no e-mail is sent")
    if os.environ.get(WEBHOOK_KEY_VARIABLE) and not os.environ.get(WEBHOOK_VARIABLE):
        lines.append(f"{WEBHOOK_KEY_VARIABLE}: set, and {WEBHOOK_VARIABLE} is not, so that no web address is told")
    return lines


def run_bounded(calls: Mapping[str, Callable[[], str]]) -> dict[str, Ending]:
    """Makes all calls at once, and returns of each how it has ended.

    Whoever has not ended in time is left to itself: a server that says a little now and then could be waited for
    without end.

    Args:
        calls: by name. One that raises has failed.
    """
    ended: SimpleQueue[tuple[str, Ending]] = SimpleQueue()

    def call(name: str) -> None:
        try:
            ended.put((name, Ending(True, calls[name]())))
        except PartlyTakenError as error:
            ended.put((name, Ending(True, join_lines(error), is_partial=True)))
        except Exception as error:  # whatever it is, it is told and nothing else
            said = join_lines(error) if isinstance(error, AmunError) else ""
            ended.put((name, Ending(False, said or f"failed with {type(error).__name__}")))

    seconds = read_bound()
    deadline = monotonic() + seconds + SPARE_SECONDS
    for name in calls:
        # the program ends without waiting for it
        Thread(target=call, args=(name,), name=f"telling by {name}", daemon=True).start()
    found = dict.fromkeys(calls, Ending(False, f"no answer within {seconds:g} s"))
    for _ in calls:
        try:
            name, ending = ended.get(timeout=max(0.0, deadline - monotonic()))
        except Empty:
            break
        found[name] = ending
    return found
