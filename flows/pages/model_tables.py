"""What people read of the model's versions: the lineage as a tree, one version in full, what lies between two."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flows.pages.layout import NOT_MEASURED, Fact, auc, day, percent, print_facts, text
from flows.pages.listing import View, choose_page, print_page
from flows.pages.table import Column, Table, new_table, print_table
from tasks.views.lineage import Version

if TYPE_CHECKING:
    # they read MLflow's runs; the list of versions does without, and is there at once
    from tasks.views.version_details import Details
    from tasks.views.version_diff import Difference

# figures that say how good a version is, among those of how it was made
JUDGED = ("accuracy/", "memory_left/", "ft_auc/", "trace/", "test/", "earlier/")


COLUMNS = (
    Column("wave", 5),
    Column("from", 3),
    Column("method", 4),
    Column("forgotten", 6, "forgotten", "so far"),
    Column("accuracy", 8, "test", "accuracy"),
    Column("ft-auc", 9, title="FT AUC"),
    Column("registered", 7),
    Column("marks", 1, title="", is_text=True),
)


def choose_versions(versions: Sequence[Version], view: View) -> tuple[Sequence[Version], int]:
    """Returns the page of the versions that is asked for, by number, and how many versions all pages have.

    Raises:
        InputError: there is no such page.
    """
    return choose_page(versions, view, lambda version: [str(version.number), *_describe_row(version)])


def print_lineage(model: str, versions: Sequence[Version], view: View, num_versions: int) -> None:
    """Prints a page of versions as a tree, of so many on all pages; versions of no wave stand below it."""
    table = Table(Column("version", title=model), *COLUMNS)
    for line, version in _draw([version for version in versions if version.wave is not None]):
        table.add_row(line, *_describe_row(version))
    print_page(table, view, num_versions, "version")
    if others := [str(version.number) for version in versions if version.wave is None]:
        print(f"\nin MLflow, but registered by no wave: version {', '.join(others)}")


def _draw(versions: Sequence[Version]) -> Iterator[tuple[str, Version]]:
    """Yields each version with its line of the tree, the branches of a version before what goes on from it."""
    children: dict[str, list[Version]] = defaultdict(list)
    for version in versions:
        children[version.parent or ""].append(version)

    def draw_line(first: Version, before: str, is_last: bool) -> Iterator[tuple[str, Version]]:
        """Yields a line of descent, which runs straight down; what has left it stands further in."""
        stem, inner = ("└─", "  ") if is_last else ("├─", "│ ")
        last = first
        yield f"{before}{stem}{'┬' if children[str(first.number)] else '─'} version {first.number}", first
        while descendants := children[str(last.number)]:
            *left, last = descendants
            for branch in left:
                yield from draw_line(branch, before + inner, is_last=False)
            goes_on = children[str(last.number)]
            yield f"{before}{inner}{'├' if goes_on else '└'} version {last.number}", last

    numbers = {str(version.number) for version in versions}
    roots = [version for version in versions if version.parent not in numbers]
    for root in roots:
        yield from draw_line(root, "", is_last=root is roots[-1])


def _describe_row(version: Version) -> list[str]:
    return [
        text(version.wave),
        version.parent or "",
        "new base" if version.kind == "base" else text(version.method),
        "not here" if version.num_subjects is None else str(version.num_subjects),
        percent(version.accuracy),
        _tell_auc(version),
        day(version.registered_at),
        ", ".join(_list_marks(version)),
    ]


def _list_marks(version: Version) -> list[str]:
    marks = list(version.aliases)
    if version.rolled_back is not None:
        marks.append(f"rolled back: {version.rolled_back}")
    if version.wave is None:
        marks.append("registered by no wave")
    elif version.wave_state != "complete":
        marks.append(f"its wave is {version.wave_state or 'not in this ledger'}")
    return marks


def _tell_auc(version: Version) -> str:
    if version.ft_auc is None or version.standard_error is None:
        return auc(version.ft_auc, NOT_MEASURED if version.num_forget and version.accuracy is not None else "")
    return f"{version.ft_auc:.3f} ± {version.standard_error:.3f}"


def print_version(details: "Details") -> None:
    """Prints one version in full, from who made it to where its files are."""
    version = details.version
    print(f"version {version.number} of {details.model}" + "".join(f", {mark}" for mark in _list_marks(version)))
    _print_part("made", details.origin)
    for number, decision in enumerate(details.decisions):
        outcome = "passed" if decision.passed else "refused"
        name = "gate" if number == 0 else ""
        print(f"  {name:<30} attempt {decision.attempt} {decision.method} {outcome}: {decision.reason}")
        if decision.warning:
            print(f"  {'':<30} warning: {decision.warning}")
    _print_part("figures", details.metrics)
    _print_part("parameters", details.parameters)
    _print_part("data (MD5 in dvc.lock)", details.data)
    _print_part("keyed digests", details.digests)
    _print_part("files in MLflow, bytes", details.files)


def print_difference(difference: "Difference") -> None:
    """Prints what changed from one version to another."""
    before, after = difference.before, difference.after
    print(f"from version {before.number} (wave {before.wave}) to version {after.number} (wave {after.wave})")
    for title, waves in (
        ("forgotten in between", difference.forgotten),
        ("not forgotten any more", difference.recalled),
    ):
        if waves:
            table = new_table(f"  {title}", "subjects", "training samples", "held-out samples")
            for wave in waves:
                table.add_row(
                    f"  wave {wave.number}", str(wave.num_subjects), str(wave.num_forget), str(wave.num_held_out)
                )
            print_table(table)
    figures = {name: values for name, values in difference.metrics.items() if name.startswith(JUDGED)}
    _print_changes("figures", figures)
    _print_changes("parameters", difference.parameters)
    _print_changes("data (MD5 in dvc.lock)", difference.data)
    print(f"commits {difference.commit_range}")
    for commit in difference.commits:
        print(f"  {commit}")
    if not difference.commits:
        print("  no change of code or parameters")


def _print_part(title: str, facts: Mapping[str, Fact]) -> None:
    if facts:
        print(title)
        print_facts(facts)


def _print_changes(title: str, changes: dict[str, tuple[Any, Any]]) -> None:
    if not changes:
        print(f"{title}: the same")
        return
    table = new_table(f"{title}", "before", "after")
    for name, (before, after) in changes.items():
        table.add_row(f"  {name}", text(before), text(after))
    print_table(table)
