"""The versions of the model as a line, from which those that are out of service branch off."""

from collections.abc import Sequence

from markupsafe import Markup

from amun.core.counts import tell_count
from flows.pages.drawings.svg import Axis, Drawing, draw_both, list_ticks
from tasks.views.lineage import Version

LANE = 30  # pixels between a line and what branches off it
MARGIN = 26


def draw_descent(versions: Sequence[Version]) -> Markup:
    """Returns the versions that waves have registered, each joined to the one that it was made from."""
    of_waves = [version for version in versions if version.wave is not None]
    if not of_waves:
        return Markup()
    serving = next((version for version in versions if "champion" in version.aliases), None)
    return draw_both(lambda width: _draw(of_waves, _tell_serving(serving), width))


def _draw(versions: Sequence[Version], serving: str, width: int) -> Drawing:
    lanes = assign_lanes(versions)
    first, last = versions[0].number, max(versions[-1].number, versions[0].number + 1)
    across = Axis(first, last, MARGIN, width - MARGIN)
    title = "The model's versions, and which was made from which"
    drawing = Drawing("descent", width, 0, title, _describe(versions, serving))
    legend = [("square", "done", "base"), ("disc", "done", "after a wave"), ("diamond", "serving", "serves")]
    legend += [("cross", "late", "out of service")] * any(version.rolled_back for version in versions)
    top = drawing.legend(16, legend) + 22
    places = {
        str(version.number): (across.place(version.number), top + LANE * lanes[version.number]) for version in versions
    }
    for version in versions:
        if version.parent in places:
            (x1, y1), (x2, y2) = places[version.parent], places[str(version.number)]
            drawing.path([(x1, y1), (x1 + (8 if y1 != y2 else 0), y2), (x2, y2)], "descent")
    size = max(1.5, min(5.0, (width - 2 * MARGIN) / (3 * (last - first + 1))))
    for version in versions:
        _add_version(drawing, version, *places[str(version.number)], size)
    foot = top + LANE * max(lanes.values()) + 14
    num_steps = min(last - first, 10)
    ticks = [tick for tick in list_ticks(first, last, num_steps) if tick == int(tick)]
    drawing.ticks_below(across, foot, [(tick, f"{tick:g}") for tick in ticks])
    drawing.text(width / 2, foot + 34, "version", "small", "middle")
    drawing.height = foot + 40
    return drawing


def _add_version(drawing: Drawing, version: Version, x: float, y: float, size: float) -> None:
    if "champion" in version.aliases:
        drawing.mark("diamond", x, y, max(size, 4) * 1.3, "serving")
    elif version.rolled_back is not None:
        drawing.mark("cross", x, y, size, "late")
    else:
        drawing.mark("square" if version.kind == "base" else "disc", x, y, size, "done")


def assign_lanes(versions: Sequence[Version]) -> dict[int, int]:
    """Returns on which line each version is drawn: 0 is the line of the version that serves, or else of the last."""
    by_number = {str(version.number): version for version in versions}
    serving = [version for version in versions if "champion" in version.aliases] or [versions[-1]]
    lanes: dict[int, int] = {}
    # the line of who serves first, then what is left from the newest on
    heads = [serving[0], *reversed(versions)]
    lane = 0
    for head in heads:
        at: Version | None = head
        is_new = False
        while at is not None and at.number not in lanes:
            lanes[at.number], is_new = lane, True
            at = None if at.parent is None else by_number.get(at.parent)
        lane += is_new
    return lanes


def _tell_serving(version: Version | None) -> str:
    if version is None:
        return "No version serves."
    foreign = ", which no wave has registered" if version.wave is None else ""
    return f"Version {version.number} serves{foreign}."


def _describe(versions: Sequence[Version], serving: str) -> str:
    num_out = sum(version.rolled_back is not None for version in versions)
    out = f" {tell_count(num_out, 'version is', 'versions are')} out of service after a rollback." if num_out else ""
    return f"{tell_count(len(versions), 'version')} in a line of descent. {serving}{out} The table has each of them."
