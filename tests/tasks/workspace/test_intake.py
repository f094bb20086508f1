"""Files of requests from a folder and from a real S3 server: each is taken once, whatever happens in between."""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.params import IntakeParams
from amun.costs.s3 import count_intake
from amun.ledger import Ledger
from tasks.steps.intake import Intake, record_file, take_requests
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.tools.git import run_git
from tasks.tools.s3 import Location, list_objects, open_client
from tasks.workspace.intake_folder import FolderSource
from tasks.workspace.intake_sources import count_waiting, name_source, open_source
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import build_base
from tests.amun.shipped import PARAMS
from tests.die import wrap
from tests.swift import BUCKET, RequestLog
from tests.workspaces import read_tree

PEOPLE = [f"person-{number}" for number in range(6)]
FOLDER, PLAIN, VERSIONED = "folder", "bucket", "bucket with versions"


class FolderPlace:
    """A folder that files are put in as the page on the intake says."""

    def __init__(self, root: Path):
        root.mkdir()
        self.source = str(root)

    def put(self, name: str, text: str) -> None:
        path = Path(self.source) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".tmp")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.rename(path)

    def read(self) -> dict[str, str]:
        root = Path(self.source)
        paths = [path for path in root.rglob("*") if path.is_file()]
        return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}


class BucketPlace:
    """A prefix of its own on the S3 server."""

    def __init__(self, bucket: str, prefix: str):
        self.client, self.location = open_client(), Location(bucket, prefix)
        self.source = str(self.location)

    def put(self, name: str, text: str) -> None:
        self.client.put_object(Bucket=self.location.bucket, Key=self.location.join(name), Body=text.encode())

    def read(self) -> dict[str, str]:
        keys = [found.key for found in list_objects(self.client, self.location)]
        objects = {key: self.client.get_object(Bucket=self.location.bucket, Key=key) for key in keys}
        start = len(self.location.join(""))
        return {key[start:]: found["Body"].read().decode() for key, found in objects.items()}


Place = FolderPlace | BucketPlace


def make_intake(source: str | None, approvals: int = 0) -> IntakeParams:
    return IntakeParams(source=source, max_unmatched_share=0.5, approvals=approvals)


@pytest.fixture(scope="module")
def versioned(swift: dict[str, str]) -> str:
    """A bucket that keeps versions."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in swift.items():
            patch.setenv(name, value)
        client = open_client()
        client.create_bucket(Bucket="amun-versions")
        client.put_bucket_versioning(Bucket="amun-versions", VersioningConfiguration={"Status": "Enabled"})
    return "amun-versions"


@pytest.fixture(params=[FOLDER, PLAIN, VERSIONED])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == FOLDER:
        return FolderPlace(tmp_path / "requests")
    request.getfixturevalue("aws")
    bucket = BUCKET if request.param == PLAIN else request.getfixturevalue("versioned")
    return BucketPlace(bucket, tmp_path.name)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger that the environment names; a model in it holds the people."""
    monkeypatch.setenv(LEDGER_VARIABLE, f"sqlite:///{tmp_path}/ledger.db")
    with Ledger.create(os.environ[LEDGER_VARIABLE]) as opened:
        build_base(opened, PEOPLE)
        yield opened


@pytest.fixture
def workspace(place: Place, ledger: Ledger, tmp_path: Path) -> Workspace:
    assert ledger
    return make_workspace(tmp_path, place.source)


def make_workspace(root: Path, source: str | None) -> Workspace:
    """Returns a workspace in a folder of its own below `root`."""
    return Workspace(root / "workspace", PARAMS.model_copy(update={"intake": make_intake(source)}))


def list_requests(ledger: Ledger) -> list[tuple[str, int | None]]:
    """Returns of each request whose it is and the file it came in."""
    return [(request.subject_id, request.file_number) for request in ledger.list_requests()]


def take(workspace: Workspace) -> Intake:
    """Takes what waits, with none of Prefect around it."""
    taken: Intake = take_requests.fn(workspace)
    return taken


def run_in_process(function: Callable[..., Any], *arguments: Any) -> int:
    """Returns the number of a process that calls the function and ends."""
    pid = os.fork()
    if pid == 0:
        function(*arguments)
        os._exit(0)
    return pid


def wait_for(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_files_are_taken_or_rejected_once_and_put_away(place: Place, workspace: Workspace, ledger: Ledger) -> None:
    others = {"notes.txt": "no csv", ".hidden.csv": "subject_id\nx\n", "done/old.csv": "subject_id\nx\n"}
    good = "subject_id,reference\nperson-0,T-1\nperson-1,\nstranger,T-3\n"
    bad = "subject_id,received_at\nperson-2,2026-01-31\nperson-3,yesterday\n"
    for name, text in {**others, "a/b.CSV": good, "c.csv": bad}.items():
        place.put(name, text)
    before = place.read()
    assert count_waiting(workspace) == 2
    assert place.read() == before
    started = datetime.now(UTC)
    assert take(workspace) == Intake(num_files=1, num_requests=3, num_unmatched=1, num_rejected=1)
    assert take(workspace) == Intake()
    assert count_waiting(workspace) == 0
    reason = "1 faulty line, nothing was recorded\nline 3, received_at: 'yesterday' is no date or time"
    after = place.read()
    assert after.pop("rejected/000002/c.csv.reason.txt").startswith(reason)
    assert after == {**others, "done/000001/a/b.CSV": good, "rejected/000002/c.csv": bad}
    assert list_requests(ledger) == [("person-0", 1), ("person-1", 1), ("stranger", 1)]
    first = ledger.get_request("R-000001")
    assert first.reference == "T-1"
    assert abs((first.received_at - started).total_seconds()) < 30  # when the file was written


def test_own_folder_that_a_joined_clone_lacks_is_empty_and_then_there(ledger: Ledger, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, ".amun/requests")
    workspace.root.mkdir()
    run_git(workspace.root, "init", "--quiet")
    (workspace.root / ".gitignore").write_text(".amun/\n", encoding="ascii")
    assert count_waiting(workspace) == 0
    assert not (workspace.root / ".amun").exists()
    assert take(workspace) == Intake()
    (workspace.root / ".amun/requests/a.csv").write_text("subject_id\nperson-0\n", encoding="ascii")
    assert take(workspace) == Intake(num_files=1, num_requests=1)
    assert list_requests(ledger) == [("person-0", 1)]


def test_file_of_strangers_is_put_away_whole(place: Place, workspace: Workspace, ledger: Ledger) -> None:
    strangers = [f"stranger {number}" for number in range(10)]
    many, few = ("\n".join(["subject_id", *PEOPLE, *names]) for names in (strangers, strangers[:5]))
    place.put("many.csv", many)
    assert take(workspace) == Intake(num_rejected=1)
    assert ledger.list_requests() == []
    after = place.read()
    reason = "10 of 16 people match nobody in the data, more than intake.max_unmatched_share (0.5) allows"
    assert after.pop("rejected/000001/many.csv.reason.txt").startswith(reason)
    assert after == {"rejected/000001/many.csv": many}
    place.put("few.csv", few)
    assert take(workspace) == Intake(num_files=1, num_requests=11, num_unmatched=5)


def test_requests_to_s3_are_as_many_as_foreseen(
    aws: dict[str, str], ledger: Ledger, tmp_path: Path, s3_log: RequestLog
) -> None:
    assert aws
    assert ledger
    place = BucketPlace(BUCKET, tmp_path.name)
    for number in range(3):
        place.put(f"{number}.csv", f"subject_id\nperson-{number}\n")
    workspace = make_workspace(tmp_path, place.source)
    start = s3_log.begin(place.client)
    assert take(workspace).num_requests == 3
    s3_log.wait_for_last(place.client)
    assert s3_log.count(start) == count_intake(3)
    # what an earlier night has put away lies below the same prefix: it is listed, and not read again
    place.put("late.csv", "subject_id\nperson-3\n")
    start = s3_log.begin(place.client)
    assert take(workspace).num_requests == 1
    s3_log.wait_for_last(place.client)
    assert s3_log.count(start) == count_intake(1, 3)


STEPS = {
    FOLDER: [
        ("after", "tasks.workspace.intake_folder:FolderSource._stage"),
        ("before", "amun.ledger:Ledger.take_file"),
        ("after", "amun.ledger:Ledger.take_file"),
        ("after", "tasks.workspace.intake_folder:FolderSource.put_away"),
        ("after", "amun.ledger:Ledger.reject_file"),
        ("before", "tasks.workspace.intake_folder:shutil.rmtree"),
    ],
    PLAIN: [
        ("before", "amun.ledger:Ledger.take_file"),
        ("after", "amun.ledger:Ledger.take_file"),
        ("after", "tasks.workspace.intake_bucket:BucketSource._write"),
        ("after", "tasks.workspace.intake_bucket:BucketSource._delete"),
        ("after", "amun.ledger:Ledger.reject_file"),
        ("after", "tasks.workspace.intake_bucket:BucketSource._write"),
        ("before", "tasks.workspace.intake_bucket:BucketSource._delete"),
    ],
}
STEPS[VERSIONED] = STEPS[PLAIN]


def take_and_die(workspace: Workspace, moment: str, target: str) -> None:
    wrap(target, moment)
    take(workspace)


def test_killed_between_any_two_steps_nothing_is_lost_or_doubled(
    place: Place, workspace: Workspace, ledger: Ledger, request: pytest.FixtureRequest
) -> None:
    good, bad = "subject_id\nperson-0\nstranger\n", "subject_id\nperson-1\nperson-1\n"
    place.put("1.csv", good)
    place.put("2.csv", bad)
    for moment, target in STEPS[request.node.callspec.params["place"]]:
        assert wait_for(run_in_process(take_and_die, workspace, moment, target)) == -signal.SIGKILL, target
    take(workspace)
    assert list_requests(ledger) == [("person-0", 1), ("stranger", 1)]
    after = place.read()
    assert after.pop("rejected/000002/2.csv.reason.txt").startswith("1 faulty line")
    assert after == {"done/000001/1.csv": good, "rejected/000002/2.csv": bad}
    assert take(workspace) == Intake()


def test_file_replaced_while_it_is_taken_is_another(place: Place, workspace: Workspace, ledger: Ledger) -> None:
    first, second = "subject_id\nperson-0\n", "subject_id\nperson-1\n"
    place.put("x.csv", first)
    source = open_source(workspace)
    assert source is not None
    waiting = next(iter(source.read_waiting()))
    assert waiting.id.source == name_source(workspace)
    place.put("x.csv", second)
    source.put_away(waiting, record_file(ledger, waiting, make_intake(None, approvals=1)))
    assert [request.subject_id for request in ledger.list_requests(state="held")] == ["person-0"]
    assert place.read() == {"x.csv": second, "done/000001/x.csv": first}
    take(workspace)
    place.put("x.csv", first + "person-2\n")
    take(workspace)
    assert list_requests(ledger) == [("person-0", 1), ("person-1", 2), ("person-2", 3)]
    assert sorted(place.read()) == ["done/000001/x.csv", "done/000002/x.csv", "done/000003/x.csv"]


def test_two_workspaces_take_each_file_once(place: Place, workspace: Workspace, ledger: Ledger) -> None:
    for person in PEOPLE:
        place.put(f"{person}.csv", f"subject_id\n{person}\nstranger of {person}\n")
    runs = [run_in_process(take, workspace) for _ in range(2)]
    assert [wait_for(pid) for pid in runs] == [0, 0]
    take(workspace)
    found = list_requests(ledger)
    assert sorted(subject for subject, _ in found) == sorted([*PEOPLE, *(f"stranger of {one}" for one in PEOPLE)])
    assert sorted(place.read()) == sorted(
        f"done/{number:06d}/{subject}.csv" for subject, number in found if subject in PEOPLE
    )


def test_version_that_was_replaced_unread_is_taken_too(
    aws: dict[str, str], versioned: str, ledger: Ledger, tmp_path: Path
) -> None:
    assert aws
    place = BucketPlace(versioned, tmp_path.name)
    place.put("x.csv", "subject_id\nperson-0\n")
    place.put("x.csv", "subject_id\nperson-1\n")
    assert take(make_workspace(tmp_path, place.source)) == Intake(num_files=2, num_requests=2)
    assert list_requests(ledger) == [("person-1", 1), ("person-0", 2)]


def test_no_source_is_nothing_to_take(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger
    workspace = make_workspace(tmp_path, None)
    assert (count_waiting(workspace), take(workspace)) == (0, Intake())


def test_relative_folder_is_the_workspaces_own_where_git_takes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    (root / ".amun").mkdir(parents=True)
    run_git(root, "init", "--quiet")
    (root / ".gitignore").write_text("/.amun/\n", encoding="utf-8")
    for source in (".amun/requests", "requests"):
        FolderPlace(root / source).put("x.csv", "subject_id\nperson-0\n")
    assert take(make_workspace(tmp_path, ".amun/requests")).num_requests == 1
    assert json.dumps(list_requests(ledger)) == '[["person-0", 1]]'
    with pytest.raises(InputError, match=r"^params.yaml: intake.source: requests lies where git would take"):
        take(make_workspace(tmp_path, "requests"))
    assert (root / "requests" / "x.csv").exists()


def test_name_that_is_no_utf8_is_taken_like_any_other(ledger: Ledger, tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "requests")
    name = os.fsdecode("Müller.csv".encode("latin-1"))
    place.put(name, "subject_id\nperson-0\n")
    assert take(make_workspace(tmp_path, place.source)).num_requests == 1
    assert [path.name for path in Path(place.source).rglob("*.csv")] == ["M\\xfcller.csv"]
    assert len(list_requests(ledger)) == 1


def test_no_link_is_followed_and_what_is_no_file_is_left(ledger: Ledger, tmp_path: Path) -> None:
    place, elsewhere = FolderPlace(tmp_path / "requests"), tmp_path / "elsewhere"
    (elsewhere / "inner").mkdir(parents=True)
    for name in ("inner/a.csv", "b.csv"):
        (elsewhere / name).write_text("subject_id\nperson-1\n", encoding="ascii")
    before = read_tree(elsewhere)
    place.put("sub/c.csv", "subject_id\nperson-0\n")
    root = Path(place.source)
    for name, target in {
        "linked": "../../elsewhere/inner",
        "b.csv": "../../elsewhere/b.csv",
        "round": "..",
        "nowhere.csv": "nowhere",
        ".hidden.csv": "../../elsewhere/b.csv",
        "notes.txt": "../../elsewhere/b.csv",
    }.items():
        (root / "sub" / name).symlink_to(target)
    os.mkfifo(root / "pipe.csv")
    (root / "taking/1").mkdir(parents=True)
    os.mkfifo(root / "taking/1/pipe.csv")
    (root / "taking/1/left.csv").symlink_to("../../../elsewhere/b.csv")
    workspace = make_workspace(tmp_path, place.source)
    where = f"intake.source: {place.source}"
    for number in (5, 5):
        told = f"^{re.escape(where)}: {number} files cannot be taken: no link is followed; put the file itself there$"
        with pytest.raises(AmunError, match=told):
            take(workspace)
    assert list_requests(ledger) == [("person-0", 1)]
    assert read_tree(elsewhere) == before
    assert [path.name for path in (root / "done").rglob("*.csv")] == ["c.csv"]
    assert [path.name for path in (root / "taking").iterdir()] == ["1"], "nothing is left of what was not moved"
    (root / "rejected").symlink_to("../elsewhere")
    place.put("d.csv", "subject_id\nperson-1\nperson-1\n")
    with pytest.raises(AmunError, match=f"^{re.escape(where)}: rejected must be no link; make it a folder$"):
        take(workspace)
    assert read_tree(elsewhere) == before


def test_file_that_cannot_be_moved_leaves_no_folder(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger
    place = FolderPlace(tmp_path / "requests")
    place.put("gone.csv", "subject_id\nperson-0\n")
    source = open_source(make_workspace(tmp_path, place.source))
    assert isinstance(source, FolderSource)
    (path,) = source._list_new()
    path.unlink()
    source._stage(path)
    assert list((Path(place.source) / "taking").iterdir()) == []


def test_source_that_is_not_there_is_said_in_one_line(aws: dict[str, str], ledger: Ledger, tmp_path: Path) -> None:
    assert aws
    assert ledger
    (tmp_path / "file").touch()
    for source in ("nowhere", "file"):
        with pytest.raises(
            InputError, match=rf"^intake.source: {re.escape(str(tmp_path))}/{source} is no folder; make it"
        ):
            count_waiting(make_workspace(tmp_path, str(tmp_path / source)))
    with pytest.raises(AmunError, match=r"^s3://no-such-bucket/x: it does not answer or refuses: .*NoSuchBucket"):
        take(make_workspace(tmp_path, "s3://no-such-bucket/x"))
    with pytest.raises(InputError, match=r"write s3://bucket/prefix"):
        take(make_workspace(tmp_path, "s3://"))
