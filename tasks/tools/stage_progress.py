"""How far a long stage has come, as a progress artifact on Prefect's page."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from threading import Event, Thread
from typing import cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from amun.core.masking import mask_passwords
from amun.core.progress import Progress

LONG_SECONDS = 5.0  # a stage that takes less shows none
UPDATE_SECONDS = 2.0


@contextmanager
def follow_progress(path: Path, title: str) -> Iterator[None]:
    """Shows what the stage writes to `path` for as long as the block runs, on the page of the running task."""
    has_ended = Event()
    # the thread's artifacts belong to this task's run
    thread = Thread(target=copy_context().run, args=(_follow, path, title, has_ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()


def _follow(path: Path, title: str, has_ended: Event) -> None:
    artifact: UUID | None = None
    shown: Progress | None = None
    wait = LONG_SECONDS
    try:
        while not has_ended.wait(wait):
            artifact, shown = _show(artifact, Progress.read(path), shown, title)
            wait = UPDATE_SECONDS
        if artifact is not None:
            _show(artifact, Progress.read(path), shown, title)
    except (PrefectException, httpx.HTTPError) as error:
        # a page that stands still is no reason to stop a stage
        said = mask_passwords(str(error))
        logging.getLogger(__name__).warning("the progress of %s is no longer shown: %s", title, said)


def _show(
    artifact: UUID | None, progress: Progress | None, shown: Progress | None, title: str
) -> tuple[UUID | None, Progress | None]:
    """Shows progress that is new; returns the artifact and what it shows now."""
    if progress is None or progress == shown:
        return artifact, shown
    percent = 100 * progress.done / progress.total
    told = f"{title}: {progress.name} {progress.done}/{progress.total} {progress.unit} {progress.note}".rstrip()
    if artifact is None:
        return cast(UUID, create_progress_artifact(percent, description=told)), progress
    update_progress_artifact(artifact, percent, description=told)
    return artifact, progress
