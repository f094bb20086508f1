"""The tables: which methods stand in which, what their cells say, and that a failure is told."""

import csv
import io

import pytest

from amun.study.records import Record
from amun.study.search_table import write_search_markdown
from amun.study.tables import make_tables, write_csv, write_markdown
from tests.amun.study.studies import FAILS, REASON, SETUP, make_study, make_trial


def test_tables_of_a_study() -> None:
    tables = {table.name: table for table in make_tables(make_study(shares=(0.1, 0.5)))}
    assert list(tables) == ["table1", "table2", "table1-50", "table2-50"]
    methods = {name: [row.method for row in table.rows] for name, table in tables.items()}
    assert methods["table1"][:3] == ["retrain", "base", "amun"]
    assert methods["table1"][-1] == "adversarial_fgsm"
    # what is the same in both settings was run once
    assert methods["table2"][:3] == ["retrain", "base", "amun"]
    assert "fine_tune" not in methods["table2"]
    assert "cannot work without the remain set: fine_tune, l1_sparse, scrub." in tables["table2"].notes[-1]
    assert "(2 to 3 pairs)" in tables["table1"].notes[0]
    assert "50 % forgotten" in tables["table1-50"].title


def test_csv_of_a_table() -> None:
    table = make_tables(make_study())[0]
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(write_csv(table.rows)))}
    assert float(lines["retrain"]["avg_gap_rmia_points_mean"]) == 0
    assert float(lines["amun"]["ft_auc_percent_mean"]) == pytest.approx(55, abs=3)
    assert float(lines["amun"]["ft_auc_percent_sd"]) > 0
    assert lines["amun"]["parameters"] == "learning_rate 0.02, cosine"
    assert lines["amun"]["avg_gap_rmia_points_less_amun_verdict"] == ""
    assert lines["fine_tune"]["avg_gap_rmia_points_less_amun_verdict"] == "behind (3 pairs only)"
    assert lines["salun"]["parameters"] == "learning_rate 0.02, mask_fraction 0.5, cosine"
    assert lines[FAILS]["runs"] == "2"
    assert lines[FAILS]["failures"] == f"1 of 3: {REASON}"
    assert lines[FAILS]["avg_gap_svc_points_less_amun_pairs"] == "2"


def test_method_that_always_fails_has_a_row() -> None:
    records = [
        record.model_copy(update={"test": None, "failure": REASON}) if record.trial.method == "scrub" else record
        for record in make_study()
    ]
    table = make_tables(records)[0]
    line = next(line for line in csv.DictReader(io.StringIO(write_csv(table.rows))) if line["method"] == "scrub")
    assert (line["runs"], line["failures"], line["ft_auc_percent_mean"]) == ("0", f"3 of 3: {REASON}", "")
    assert f"scrub 3 of 3: {REASON}" in table.notes[-1]


def test_markdown_says_targets_and_keeps_its_columns() -> None:
    text = write_markdown(make_tables(make_study())[0])
    assert "FT AUC, % (target: retrain's, about 50)" in text
    assert "avg gap with SVC, points (lower is better)" in text
    assert REASON.replace("|", "\\|") in text
    for block in text.split("\n## ")[1:]:
        widths = {line.replace("\\|", "").count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) == 1


def test_table_of_one_run_has_no_spread() -> None:
    table = make_tables(make_study(num_forget_sets=1))[0]
    assert "±" not in "".join(cell for row in table.results[0].rows for cell in row)


def test_search_says_budget_ranges_and_choice() -> None:
    text = write_search_markdown(make_study(), SETUP)
    assert "gets 8 trials" in text
    assert "0.001 to 0.3" in text
    assert "| amun | with the remain set | 8 | 1 of 8: lost | learning_rate 0.02, cosine |" in text
    assert "| amun | without the remain set | none now: an earlier search's choice | none |" in text


def test_method_that_the_search_found_no_parameters_for_has_a_row() -> None:
    lost = make_trial("scrub", kind="search", forget_set=0)
    records = [record for record in make_study() if record.trial.method != "scrub"]
    table = make_tables([*records, Record(trial=lost, failure=REASON)])[0]
    line = next(line for line in csv.DictReader(io.StringIO(write_csv(table.rows))) if line["method"] == "scrub")
    assert (line["runs"], line["failures"], line["parameters"]) == ("0", f"1 of 1: {REASON}", "")
