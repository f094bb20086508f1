"""The generated pages are what their sources say now."""

from docs.build_parameters import PAGE, build_page


def test_parameters_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == build_page(), "run `make docs` and commit docs/parameters.md"


def test_parameters_page_tells_what_the_entries_of_a_list_are() -> None:
    (line,) = (line for line in build_page().splitlines() if line.startswith("| `data.images.size`"))
    assert "| list of 2, each: whole number, ≥ 1 or null |" in line


def test_parameters_page_explains_a_key() -> None:
    (line,) = (line for line in build_page().splitlines() if line.startswith("| `training.momentum`"))
    assert "number, ≥ 0, < 1 | `0.9`" in line
    assert line.endswith("| train, references, unlearn |")
