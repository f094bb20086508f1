"""The published figures: held within their tolerance, and a line for each that is not."""

import json
import math
from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.study.expected import find_deviations, write_expected
from amun.study.preset import SHIPPED
from amun.study.records import Record
from tests.amun.study.studies import make_study


def shift(records: list[Record], method: str, points: float) -> list[Record]:
    """Returns the records with another test accuracy of one method."""
    shifted = []
    for record in records:
        if record.trial.method == method and record.test is not None:
            accuracy = record.test.held_out_accuracy + points / 100
            test = record.test.model_copy(update={"held_out_accuracy": accuracy})
            shifted.append(record.model_copy(update={"test": test}))
        else:
            shifted.append(record)
    return shifted


def test_same_figures_and_near_ones_hold(tmp_path: Path) -> None:
    records, path = make_study(), tmp_path / "expected.json"
    write_expected(records, "A processor", path)
    assert find_deviations(records, path) == []
    assert find_deviations(shift(records, "amun", 0.9), path) == []

    deviations = find_deviations(shift(records, "amun", -9.0), path)
    assert any(line.startswith("table1: amun: held_out_accuracy_percent is 8") for line in deviations)
    assert all(": amun: " in line for line in deviations)


def test_missing_method_is_a_deviation_and_a_new_one_is_not(tmp_path: Path) -> None:
    records, path = make_study(), tmp_path / "expected.json"
    without = [record for record in records if record.trial.method != "scrub"]
    write_expected(records, "A processor", path)
    assert any(line.startswith("table1: scrub: ft_auc_percent is missing") for line in find_deviations(without, path))
    write_expected(without, "A processor", path)
    assert find_deviations(records, path) == []


def test_tolerance_is_the_floor_or_three_standard_errors(tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    write_expected(make_study(num_forget_sets=1), "A processor", path)
    bands = json.loads(path.read_text(encoding="utf-8"))["tables"]["table1"]["amun"]
    assert (bands["ft_auc_percent"]["tolerance"], bands["trace_auc_percent"]["tolerance"]) == (1.5, 3)
    assert "seconds" not in bands

    # at three places, 6 points apart from each other: a standard deviation of 6, a standard error of 6 / sqrt(3)
    apart = [
        record
        for forget_set, points in ((1, -6.0), (2, 0.0), (3, 6.0))
        for record in shift(make_study(num_forget_sets=1), "retrain", points)
        for record in [record.model_copy(update={"trial": record.trial.model_copy(update={"forget_set": forget_set})})]
    ]
    write_expected(apart, "A processor", path)
    band = json.loads(path.read_text(encoding="utf-8"))["tables"]["table1"]["retrain"]["held_out_accuracy_percent"]
    assert band["tolerance"] == pytest.approx(18 / math.sqrt(3), abs=1e-3)


def test_published_figures_tell_methods_from_the_untouched_base() -> None:
    """All but fine-tuning, which does leave the digits' base as it is: FT AUC 57.6 beside 58.8, accuracies the same."""
    tables = json.loads((SHIPPED / "digits-expected.json").read_text(encoding="utf-8"))["tables"]
    alike = set()
    for methods in tables.values():
        base = methods.pop("base")
        for method, bands in methods.items():
            if all(abs(band["mean"] - base[key]["mean"]) <= band["tolerance"] for key, band in bands.items()):
                alike.add(method)
    assert alike == {"fine_tune"}


@pytest.mark.parametrize("content", [None, "{", '{"tables": 1}'])
def test_file_that_is_no_file_of_expected_figures(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"expected\.json: ") as refused:
        find_deviations([], path)
    assert "\n" not in str(refused.value)
