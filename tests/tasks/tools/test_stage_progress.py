"""A long stage is seen on Prefect's page while it runs, on a real server."""

from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings

from amun.core.progress import Progress
from tasks.tools import stage_progress
from tasks.tools.stage_progress import follow_progress
from tests.processes import wait_until


def list_artifacts(client: SyncPrefectClient, flow_run_id: UUID) -> list[Artifact]:
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    return client.read_artifacts(artifact_filter=of_run)


def test_progress_of_a_long_stage_is_shown_and_ends_at_its_end(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_progress, "LONG_SECONDS", 0.1)
    monkeypatch.setattr(stage_progress, "UPDATE_SECONDS", 0.1)
    path = tmp_path / "progress.json"

    @task
    def run_stage() -> UUID:
        shown = UUID(flow_run.id)
        with get_client(sync_client=True) as client, follow_progress(path, "unlearn attempt 1"):
            Progress("unlearn amun", 1, 4, "epochs", "loss 2.0").write(path)
            wait_until(lambda: list_artifacts(client, shown), "the artifact")
            (artifact,) = list_artifacts(client, shown)
            assert (artifact.type, artifact.data) == ("progress", 25.0)
            assert artifact.description == "unlearn attempt 1: unlearn amun 1/4 epochs loss 2.0"
            Progress("unlearn amun", 4, 4, "epochs", "loss 0.1").write(path)
        return shown

    @flow
    def work() -> UUID:
        return run_stage()

    with temporary_settings({PREFECT_API_URL: variables["PREFECT_API_URL"]}):
        shown = work()
        with get_client(sync_client=True) as client:
            assert [artifact.data for artifact in list_artifacts(client, shown)] == [100.0]
