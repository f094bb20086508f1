"""The files of a workspace, in numbers that can be added up by hand; their number is that of `dvc.yaml`."""

import yaml

from amun.costs.night import Load
from amun.costs.stored import (
    ROW_BYTES,
    Sizes,
    find_too_many,
    list_base,
    list_kept,
    list_pushed,
    list_row_bytes,
)
from amun.evidence.wave import MIN_REPORTED
from tests.amun.shipped import PARAMS, ROOT

SIZES = Sizes(image=64, weights=1_000)
SETS = PARAMS.model_copy(update={"references": PARAMS.references.model_copy(update={"num_audit": 16, "num_target": 4})})
NONE = PARAMS.model_copy(update={"references": PARAMS.references.model_copy(update={"num_audit": 0, "num_target": 0})})


def test_there_is_a_file_for_each_that_the_stages_write() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    written = {name: len(stage.get("outs", [])) for name, stage in stages.items()}
    num_base = sum(written.pop(name) for name in ("prepare", "train", "references"))
    assert len(list_base(SIZES, SETS, 1, 10)) == num_base
    assert len(list_pushed(SIZES, 1)) == sum(written.values())


def test_files_have_a_row_for_each_sample() -> None:
    rows = [64, 16, 4 * 10 * 16, 4, 4 * 10 * 4]
    assert list_row_bytes(SIZES, SETS, 10) == [row + ROW_BYTES for row in rows]
    assert sum(list_base(SIZES, SETS, 500, 10)) == 500 * (sum(rows) + 5 * ROW_BYTES) + 1_000


def test_files_of_no_references_have_no_row() -> None:
    assert list_row_bytes(SIZES, NONE, 10) == [64 + ROW_BYTES, 0, 0, 0, 0]


def test_a_night_adds_weights_and_adversarial_examples_as_floats() -> None:
    assert list_pushed(SIZES, MIN_REPORTED) == [1_000, *[MIN_REPORTED * (256 + ROW_BYTES)] * 2]
    assert list_pushed(SIZES, MIN_REPORTED - 1)[2] == 0


def test_a_bucket_keeps_the_files_of_all_nights() -> None:
    load = Load(500, MIN_REPORTED)
    first, later = (list_kept(SIZES, SETS, load, 10, num_earlier) for num_earlier in (0, 365))
    assert len(later) - len(first) == 365 * 3
    assert sum(later) - sum(first) == 365 * (1_000 + 2 * MIN_REPORTED * (256 + ROW_BYTES))


def test_the_largest_file_is_of_images_or_of_logits() -> None:
    # logits of 16 references in 10 classes are more than an image of the digits, less than one of 32 x 32 in colour
    assert find_too_many(SIZES, SETS, 10, 10 * (640 + ROW_BYTES)) == 11
    assert find_too_many(Sizes(3_072, 1_000), SETS, 10, 10 * (3_072 + ROW_BYTES)) == 11
