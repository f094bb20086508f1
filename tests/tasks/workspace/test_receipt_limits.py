"""What a receipt of erasure says that it does not show follows from what was done."""

from datetime import UTC, datetime

import pytest

from amun.evidence.receipt import Destruction, LearnedWeights, LeftFiles, Source
from tasks.workspace.receipt_limits import list_limits
from tests.amun.receipts.bodies import SCAN, make_body

NOW = datetime(2026, 1, 31, tzinfo=UTC)
UNSCANNED = "Nobody has scanned disks, remotes and databases for copies."
UNLOOKED = "Earlier versions of the model, and reference models"
TO_OWNER = "is left to its owner"
IN_CLEAR = "The weights of version 1, which had learned the samples, were removed from the registry, and lie in clear"
LEFT = "owner of the source of the data: labels.csv."
BY_PICTURES = "made with the secret of the workspace alone"
BY_FILES = "can tell which ids were the person's. Of a single sample that is which id it has"
UNJUDGED = "MLflow had 2 files of weights of no version, of which nobody can tell whom they have learned."
UNKNOWN = "Whether the data remote has them in clear is not known."


def weights(*, is_sealed: bool | None) -> tuple[LearnedWeights, ...]:
    return (LearnedWeights(version="1", md5="0" * 32, is_sealed=is_sealed, erased_before=None),)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, {UNSCANNED, UNLOOKED, TO_OWNER}),
        ({"weights": ()}, {UNSCANNED, TO_OWNER}),
        ({"weights": weights(is_sealed=True), "scan": SCAN}, {TO_OWNER}),
        ({"weights": weights(is_sealed=False), "scan": SCAN}, {TO_OWNER, IN_CLEAR}),
        ({"weights": weights(is_sealed=None), "scan": SCAN}, {TO_OWNER, UNKNOWN}),
        ({"weights": (), "left_files": LeftFiles(num_erased=1, num_unknown=0), "scan": SCAN}, {TO_OWNER}),
        ({"weights": (), "left_files": LeftFiles(num_erased=0, num_unknown=2), "scan": SCAN}, {TO_OWNER, UNJUDGED}),
        ({"weights": (), "scan": SCAN, "source": Source(deleted_at=NOW, left=())}, set()),
        (
            {"source": Source(deleted_at=NOW, left=("labels.csv",))},
            {UNSCANNED, UNLOOKED, LEFT},
        ),
    ],
)
def test_what_was_not_done_is_told_and_nothing_else(changes: dict[str, object], told: set[str]) -> None:
    body = make_body("0" * 64)
    nothing: dict[str, object] = {"weights": None, "left_files": None, "scan": None, "source": None}
    destroyed = body.destroyed.model_copy(update=nothing | changes)
    said = " ".join(list_limits(body.forgotten, destroyed))
    every = {UNSCANNED, UNLOOKED, TO_OWNER, IN_CLEAR, UNKNOWN, UNJUDGED, LEFT}
    assert {line for line in every if line in said} == told
    assert isinstance(destroyed, Destruction)


@pytest.mark.parametrize(("named_by", "told"), [("secret", {BY_PICTURES}), ("person", {BY_FILES}), (None, set())])
def test_what_still_tells_ids_of_samples_is_told(named_by: str | None, told: set[str]) -> None:
    body = make_body("0" * 64)
    forgotten = body.forgotten.model_copy(update={"samples_named_by": named_by})
    said = " ".join(list_limits(forgotten, body.destroyed))
    assert {line for line in (BY_PICTURES, BY_FILES) if line in said} == told


def test_whether_a_wave_was_drawn_is_told() -> None:
    body = make_body("0" * 64)
    assert body.drawn is not None
    for drawn in (None, body.drawn.model_copy(update={"draw": None})):
        assert "No wave was drawn and run again" in " ".join(list_limits(body.forgotten, body.destroyed, drawn=drawn))
    said = " ".join(list_limits(body.forgotten, body.destroyed, drawn=body.drawn))
    assert "Of 7 waves one was drawn and run again, wave 4. That shows nothing where the value" in said


def test_where_the_model_comes_from_is_told() -> None:
    body = make_body("0" * 64)
    said = " ".join(list_limits(body.forgotten, body.destroyed, "models:/theirs/3"))
    assert "adopted from models:/theirs/3" in said
    assert "was made from models that had learned the samples" in said
    exact = body.forgotten.model_copy(update={"method": "retrain"})
    assert "was made from models" not in " ".join(list_limits(exact, body.destroyed))


@pytest.mark.parametrize(
    ("num_canaries", "told"), [(0, "all who were forgotten"), (1, "1 canary alone"), (40, "40 canaries alone")]
)
def test_of_canaries_it_is_told_that_they_prove_the_run_alone(num_canaries: int, told: str) -> None:
    body = make_body("0" * 64)
    said = " ".join(list_limits(body.forgotten.model_copy(update={"num_canaries": num_canaries}), body.destroyed))
    assert f"what is left of {told}" in said
    assert ("They prove the run, and nothing of this person." in said) == bool(num_canaries)
    exact = body.forgotten.model_copy(update={"num_canaries": num_canaries, "method": "retrain"})
    assert f"The figures are of {told}" in " ".join(list_limits(exact, body.destroyed))
