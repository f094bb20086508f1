"""Listens whether a server of somebody else's still answers, while what needs it works."""

from threading import Event
from time import monotonic

from amun.core.network import read_timeout
from tasks.tools.programs import has_stage_at_work
from tasks.tools.servers import answers

LISTEN_SECONDS = 1.0


def wait_for_silence(url: str, is_over: Event) -> bool:
    """Returns True once the server has said nothing for `AMUN_TIMEOUT_S`, or False when nobody wants to know any more.

    A stage that computes needs no server: for as long as one does, silence is let pass.
    """
    timeout = read_timeout()
    heard, num_silent = monotonic(), 0
    while not is_over.wait(min(LISTEN_SECONDS, timeout)):
        if answers(url, timeout):
            heard, num_silent = monotonic(), 0
            continue
        num_silent += 1
        # asked once more: one question may get lost where a server has much to do
        if num_silent > 1 and monotonic() - heard >= timeout and not has_stage_at_work():
            return True
    return False
