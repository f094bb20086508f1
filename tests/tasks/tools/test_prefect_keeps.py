"""What Prefect keeps of a flow run that was deleted, as far as people's data rely on it; on a real server."""

import base64
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, FlowFilter, LogFilter
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from amun.core.errors import WithheldError, withhold_names
from amun.store.sources.catalogue import raise_problems
from flows.waves import build_base, deletion_wave
from tasks.tools.options import TASK_OPTIONS
from tests.processes import wait_until

PERSON = "anna"
EVENT = "person.seen"
KEY = "of-a-person"


@flow(persist_result=True)
def name_person(person: str) -> str:
    """Says a person's name in each way in which a run may."""
    get_run_logger().info("log of %s", person)
    create_markdown_artifact(f"artifact of {person}", key=KEY)
    emit_event(EVENT, resource={"prefect.resource.id": f"event-of-{person}"})
    return f"{flow_run.id} {person}"


@task(**TASK_OPTIONS)
def fail(person: str) -> None:
    raise ValueError(f"task of {person}")


@flow(persist_result=False)
def fail_whole(person: str) -> None:
    try:
        fail(person)
    except ValueError as error:
        raise ValueError(f"flow of {person}") from error


def list_logs(client: SyncPrefectClient, run: UUID) -> list[str]:
    of_run = LogFilter.model_validate({"flow_run_id": {"any_": [run]}})
    return [log.message for log in client.read_logs(log_filter=of_run)]


def list_artifacts(client: SyncPrefectClient) -> list[object]:
    named = ArtifactFilter(key=ArtifactFilterKey(any_=[KEY]))
    return [artifact.data for artifact in client.read_artifacts(artifact_filter=named)]


def list_events(client: SyncPrefectClient) -> list[str]:
    answer = client.request("POST", "/events/filter", json={"filter": {"event": {"name": [EVENT]}}})
    return [event["resource"]["prefect.resource.id"] for event in answer.json()["events"]]


def has_run(client: SyncPrefectClient, run: UUID) -> bool:
    try:
        client.read_flow_run(run)
    except ObjectNotFound:
        return False
    return True


def unpack(path: Path) -> bytes:
    """Returns what a file of a result has, which is base64 of what pickle makes of it."""
    return base64.b64decode(path.read_bytes())


def test_a_run_that_is_deleted_leaves_artifacts_events_and_results(variables: dict[str, str], tmp_path: Path) -> None:
    with (
        temporary_settings({PREFECT_API_URL: variables["PREFECT_API_URL"], PREFECT_LOCAL_STORAGE_PATH: tmp_path}),
        get_client(sync_client=True) as client,
    ):
        run = UUID(name_person(PERSON).split()[0])
        wait_until(lambda: list_logs(client, run) and list_events(client), "log and event")
        assert client.read_flow_run(run).parameters == {"person": PERSON}
        client.delete_flow_run(run)
        # parameters and log go with the run
        assert not has_run(client, run)
        wait_until(lambda: not list_logs(client, run), "the end of the log")
        assert list_artifacts(client) == [f"artifact of {PERSON}"]
        assert list_events(client) == [f"event-of-{PERSON}"]
        (kept,) = tmp_path.iterdir()
        assert PERSON.encode() in unpack(kept)


def test_a_flow_that_fails_leaves_its_error_even_if_no_result_is_kept(
    variables: dict[str, str], tmp_path: Path
) -> None:
    with temporary_settings({PREFECT_API_URL: variables["PREFECT_API_URL"], PREFECT_LOCAL_STORAGE_PATH: tmp_path}):
        with pytest.raises(ValueError, match="flow of anna"):
            fail_whole(PERSON)
        (kept,) = tmp_path.iterdir()
        assert b"flow of anna" in unpack(kept)


@task(**TASK_OPTIONS)
def read_source(key: str) -> None:
    with withhold_names():
        raise_problems([f"{key} cannot be read"])


@flow(name="of-a-source", persist_result=False)
def build(key: str) -> None:
    read_source(key)


def test_an_error_of_a_source_names_nobody_in_what_prefect_keeps(variables: dict[str, str], tmp_path: Path) -> None:
    with (
        temporary_settings({PREFECT_API_URL: variables["PREFECT_API_URL"], PREFECT_LOCAL_STORAGE_PATH: tmp_path}),
        get_client(sync_client=True) as client,
    ):
        with pytest.raises(WithheldError) as raised:
            build(f"{PERSON}/1.png")
        assert raised.value.told == f"params.yaml: data.root: 1 problem in the source: {PERSON}/1.png cannot be read"
        named = FlowFilter.model_validate({"name": {"any_": ["of-a-source"]}})
        (run,) = client.read_flow_runs(flow_filter=named)
        wait_until(lambda: len(list_logs(client, run.id)) > 2, "the log")
        states = [run.state, *(one.state for one in client.read_task_runs(flow_filter=named))]
        messages = [str(state.message) for state in states if state is not None]
        (kept,) = tmp_path.iterdir()
        messages += [*list_logs(client, run.id), unpack(kept).decode("latin-1")]
    assert sum("1 problem in the source" in message for message in messages) >= 3
    assert [message for message in messages if PERSON in message] == []


def test_our_flows_and_tasks_keep_no_results_whatever_the_settings_say() -> None:
    assert [each.persist_result for each in (build_base, deletion_wave, fail)] == [False, False, False]
