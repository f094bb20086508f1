"""What people read of a scan: a table of places, of whom there are copies, and what could not be read."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from amun.core.counts import tell_count
from amun.scan.fingerprint import FILE
from flows.pages.table import new_table, print_table

if TYPE_CHECKING:
    from tasks.workspace.scanning import Scan, Scanned, Target

MAX_LISTED = 20  # lines of a kind; more are counted
MEGA = 1_000_000


def describe(found: "Scan") -> dict[str, object]:
    """Returns a scan for a program, without the fingerprints."""
    return {
        "is_clean": found.is_clean,
        "people": [
            {
                "label": target.label,
                "has_key": target.has_key,
                "num_payloads": None if target.fingerprint is None else len(target.fingerprint.kinds),
                "num_blank": None if target.fingerprint is None else target.fingerprint.num_blank,
                "lack": target.lack,
            }
            for target in found.targets
        ],
        "num_weights": found.num_files,
        "places": [vars(place) for place in found.places],
    }


def print_scan(found: "Scan") -> None:
    """Prints what a scan has found."""
    if not found.targets and not found.places:
        print("nobody is to be looked for")
        return
    table = new_table("place", "contents", "MB", "readable", "sealed")
    for place in found.places:
        size = f"{place.num_bytes / MEGA:.1f}"
        table.add_row(place.place, str(place.num_contents), size, _tell(place.readable), _tell(place.sealed))
    print_table(table)
    _print_some([line for target in found.targets for line in _tell_target(target, found)])
    _print_some(
        [f"{label}: whole in {place.place} ({count})" for place in found.places for label, count in place.files.items()]
    )
    _print_some([f"found whole: {name}" for place in found.places for name in place.file_names])
    _print_some([f"not read: {problem}" for place in found.places for problem in place.problems])
    if found.is_clean:
        people = tell_count(len(found.targets), "request")
        files = tell_count(found.num_files, "file")
        weights = f", nor one of {files} of erased weights" if found.num_files else ""
        print(f"everything was read, and nobody can read a copy of the people of {people}{weights}")


def _tell(counts: "dict[str, int]") -> str:
    """Returns how many copies there are, and of how many people's requests."""
    copies, people = sum(counts.values()), len(counts)
    return f"{copies} of {tell_count(people, 'request')}" if copies else "0"


def _tell_target(target: "Target", found: "Scan") -> Iterator[str]:
    """Yields what is to be said of one person: whose copies lie where, and what the scan cannot say."""
    for words, kind in (("can be read", "readable"), ("sealed", "sealed")):
        counts = [(place.place, _get(place, kind)[target.label]) for place in found.places]
        places = ", ".join(f"{name} ({count})" for name, count in counts if count)
        key = "" if kind == "readable" else ", and there is a key" if target.has_key else ", which no key opens"
        if places:
            yield f"{target.label}: {words}{key}: {places}"
    if target.lack:
        yield f"{target.label}: {target.lack}"
    if target.fingerprint is not None:
        if num_blank := target.fingerprint.num_blank:
            yield f"{target.label}: {tell_count(num_blank, 'payload')} like others', which cannot be looked for"
        if not (target.fingerprint.kinds == FILE).any():
            yield f"{target.label}: the source's own image files were not at hand, and are not looked for"


def _get(place: "Scanned", kind: str) -> "dict[str, int]":
    counts: dict[str, int] = getattr(place, kind)
    return counts


def _print_some(lines: list[str]) -> None:
    """Prints the first lines, and how many more there are."""
    for line in lines[:MAX_LISTED]:
        print(line)
    if len(lines) > MAX_LISTED:
        print(f"and so {len(lines) - MAX_LISTED} more: --json has them all")
