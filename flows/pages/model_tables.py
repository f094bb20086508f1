"""What people read of the model's versions: the lineage as a tree, one version in full, what lies between two."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.tree import Tree

from flows.pages.layout import NOT_MEASURED, auc, day, new_table, percent, print_facts, print_table, text
from tasks.views.lineage import Version
from tasks.views.version_details import Details
from tasks.views.version_diff import Difference

# figures that say how good a version is, among those of how it was made
JUDGED = ("accuracy/", "memory_left/", "ft_auc/", "trace/", "test/")


def print_lineage(model: str, versions: Sequence[Version]) -> None:
    """Prints the versions as a tree. A line of descent runs straight down; versions of no wave stand below the tree."""
    known = [version for version in versions if version.wave is not None]
    tree = Tree(model)
    order = _grow(tree, known)
    table = new_table("", "wave", "from", "method", "forgotten\nso far", "test\naccuracy", "FT AUC", "registered", "")
    for line, version in zip(_draw(tree), [None, *order], strict=True):
        table.add_row(line, *([] if version is None else _describe_row(version)))
    print_table(table)
    if others := [str(version.number) for version in versions if version.wave is None]:
        print(f"\nin MLflow, but registered by no wave: version {', '.join(others)}")


def _grow(tree: Tree, versions: Sequence[Version]) -> list[Version]:
    """Hangs the versions into the tree and returns them in the order of its lines."""
    children: dict[str, list[Version]] = defaultdict(list)
    for version in versions:
        children[version.parent or ""].append(version)
    numbers = {str(version.number) for version in versions}
    order: list[Version] = []

    def hang(branch: Tree, first: Version) -> None:
        """Hangs a version with its line below it. Branches that left the line earlier hang one step further in."""
        top = point = branch.add(f"version {first.number}")
        order.append(first)
        last = first
        while descendants := children[str(last.number)]:
            *left, last = descendants
            for other in left:
                hang(point, other)
            point = top.add(f"version {last.number}")
            order.append(last)

    for version in versions:
        if version.parent not in numbers:
            hang(tree, version)
    return order


def _draw(tree: Tree) -> list[str]:
    console = Console(color_system=None)
    with console.capture() as captured:
        console.print(tree)
    return [line.rstrip() for line in captured.get().splitlines()]


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


def print_version(details: Details) -> None:
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


def print_difference(difference: Difference) -> None:
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


def _print_part(title: str, facts: dict[str, Any]) -> None:
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
