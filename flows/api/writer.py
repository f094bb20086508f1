"""The one writer of the service: what has come while it wrote is recorded in one transaction: none waits long."""

import asyncio
from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool

from amun.ledger import Ledger, Posted
from amun.ledger.posted import PostedDemand

MAX_TOGETHER = 256  # demands in one transaction


class Writer:
    """Records demands in the order in which they have come, from one event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[tuple[PostedDemand, asyncio.Future[Posted]]] = []
        self._task: asyncio.Task[None] | None = None

    async def take(self, posted: PostedDemand) -> Posted:
        """Returns the answer to a demand once it is recorded; raises as `take_posted`."""
        answer: asyncio.Future[Posted] = asyncio.get_running_loop().create_future()
        self._waiting.append((posted, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())
        return await answer

    async def _write(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[:MAX_TOGETHER], self._waiting[MAX_TOGETHER:]
            demands = [posted for posted, _ in taken]
            answers: list[Posted | Exception]
            try:
                answers = [*await run_in_threadpool(self._ledger.take_all_posted, demands, now=datetime.now(UTC))]
            except Exception as error:
                answers = [error] * len(taken)
            for (_, waiting), answer in zip(taken, answers, strict=True):
                # whoever has gone away waits no more
                if waiting.done():
                    continue
                if isinstance(answer, Exception):
                    waiting.set_exception(answer)
                else:
                    waiting.set_result(answer)
