"""All that a benchmark shows, made from its records: tables, figures, the page."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from amun.core.files import replace_file
from amun.study.figures.drawing import Drawing, render
from amun.study.figures.figure1 import draw_figure1
from amun.study.figures.figure2 import draw_figure2
from amun.study.figures.figure3 import draw_figure3
from amun.study.figures.figure5 import draw_figure5
from amun.study.figures.figure_delta import draw_figure_delta
from amun.study.page import Picture, render_page
from amun.study.records import Record
from amun.study.search_table import write_search_markdown
from amun.study.setup import Setup
from amun.study.tables import ResultTable, make_tables, write_csv, write_markdown

PAGE = "index.html"
CHOSEN, EXPECTED = "chosen.yaml", "expected.json"  # written beside it: what the search found, and published figures
FIGURES: dict[str, Callable[[Sequence[Record]], Drawing | None]] = {
    "figure1": draw_figure1,
    "figure2": draw_figure2,
    "figure3": draw_figure3,
    "figure5": draw_figure5,
    "figure_delta": draw_figure_delta,
}
PATTERNS = ("table*.csv", "table*.md", "search.md", "figure*.png", "figure*.svg", "figure*.csv", PAGE)


def publish(records: Sequence[Record], folder: Path, setup: Setup) -> None:
    """Writes tables, figures and page into a folder, each file in one piece, the page last.

    A figure without its records is left out, and one of an earlier run taken away; the page says so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = make_tables(records)
    drawings = {name: drawing for name, draw in FIGURES.items() if (drawing := draw(records)) is not None}
    rendered = {name: render(drawing) for name, drawing in drawings.items()}
    files = dict(_list_tables(tables)) | {"search.md": write_search_markdown(records, setup).encode()}
    for parts in rendered.values():
        files |= parts
    pictures = [_describe(drawing, rendered[name]) for name, drawing in drawings.items()]
    missing = [name for name in FIGURES if name not in drawings]
    files[PAGE] = render_page(records, setup, tables, pictures, missing).encode()
    for path in list_published(folder):
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        _write_whole(folder / name, content)


def list_published(folder: Path) -> list[Path]:
    """Returns the files that `publish` has written there, in the order of their names."""
    return sorted(path for pattern in PATTERNS for path in folder.glob(pattern))


def _list_tables(tables: Sequence[ResultTable]) -> Iterator[tuple[str, bytes]]:
    for table in tables:
        yield f"{table.name}.csv", write_csv(table.rows).encode()
        yield f"{table.name}.md", write_markdown(table).encode()


def _describe(drawing: Drawing, files: dict[str, bytes]) -> Picture:
    return Picture(drawing.name, drawing.title, drawing.caption, files[f"{drawing.name}.svg"])


def _write_whole(path: Path, content: bytes) -> None:
    with replace_file(path) as unfinished:
        unfinished.write_bytes(content)
