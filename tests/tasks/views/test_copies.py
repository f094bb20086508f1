"""What still holds copies of a person's samples: what lies beside the pipeline's own files is told, too."""

from datetime import UTC, datetime
from pathlib import Path

from amun.core.paths import BENCHMARKS, PARTIAL_ADVERSARIAL, PARTIAL_REFERENCES, SELFTEST, locate_mirror
from amun.ledger import Request
from tasks.views.copies import list_beside, list_ids
from tasks.views.trace import Trace
from tasks.workspace.workspace import Workspace
from tests.amun.shipped import PARAMS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = "s3://pictures/people"


def make_request(number: int | None) -> Request:
    return Request("R-000001", "person-1", NOW, NOW, None, number, (), ())


def test_what_is_there_beside_the_pipelines_files_is_told(tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"data": PARAMS.data.model_copy(update={"root": SOURCE})})
    workspace = Workspace(tmp_path, params)
    beside = [locate_mirror(SOURCE), PARTIAL_ADVERSARIAL, PARTIAL_REFERENCES, BENCHMARKS, SELFTEST]
    assert list(list_beside(workspace)) == []
    for path in beside:
        (tmp_path / path).mkdir(parents=True)
    assert [copy.place for copy in list_beside(workspace)] == [str(path) for path in beside]


def test_file_that_a_request_came_in_is_told() -> None:
    trace = Trace("digits-cnn", "person-1", "key", [], [], [], [make_request(7), make_request(None)])
    told = [(copy.place, copy.amount) for copy in list_ids(trace)]
    assert told == [("the ledger", "2"), ("the intake source, unless you removed them", "done/000007")]
