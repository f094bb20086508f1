"""Keeps a claim alive while long work goes on elsewhere, and says when it was lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

from amun.core.errors import AmunError, LeaseLostError
from amun.ledger.records import Claim
from amun.ledger.waves import WaveBook


class Heartbeat:
    """Renews a lease four times in its length, in a thread of its own."""

    def __init__(self, ledger: WaveBook, claim: Claim, lease_seconds: float):
        self._ledger = ledger
        self._claim = claim
        self._lease_seconds = lease_seconds
        self._stopped = Event()
        self._lost: LeaseLostError | None = None
        self._thread = Thread(target=self._run, name=f"lease of wave {claim.number}", daemon=True)
        self._renew()

    def check(self) -> None:
        """Returns while the claim is good.

        Raises:
            LeaseLostError: the wave is closed or in other hands, or the lease could not be renewed in time.
        """
        if self._lost is not None:
            raise self._lost
        if datetime.now(UTC) >= self._expires_at:
            raise LeaseLostError(
                f"the lease on wave {self._claim.number} of model '{self._claim.model}' was not renewed in time; "
                "this run writes nothing more"
            )

    def _start(self) -> None:
        self._thread.start()

    def _stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._lease_seconds / 4):
            try:
                self._renew()
            except LeaseLostError as error:
                self._lost = error
                return
            except AmunError:
                # a database away for a moment: the lease still holds, and `check` knows until when
                continue

    def _renew(self) -> None:
        now = datetime.now(UTC)
        self._ledger.renew_lease(self._claim, now=now, lease_seconds=self._lease_seconds)
        self._expires_at = now + timedelta(seconds=self._lease_seconds)


@contextmanager
def heartbeat(ledger: WaveBook, claim: Claim, *, lease_seconds: float) -> Iterator[Heartbeat]:
    """Renews the claim's lease, at once and then four times in its length, until the block ends.

    Complete or park the wave as the last thing in the block: a closed wave has no lease, and `check` then says so.

    Raises:
        LeaseLostError: the claim is not good to begin with.
    """
    beat = Heartbeat(ledger, claim, lease_seconds)
    beat._start()
    try:
        yield beat
    finally:
        beat._stop()
