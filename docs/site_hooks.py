"""What turns the pages of this folder into a site: its first page, a reference, and links that lead out of it."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = """# Reference, from the code

What `import amun` gives, as its docstrings say it.

{names}
"""


def on_files(files: Any, config: Any) -> Any:
    """Adds the README as the first page, and a page of the names that the package gives."""
    from mkdocs.structure.files import File

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {"index.md": re.sub(r"(?<=[(\"])docs/", "", readme), "reference.md": REFERENCE.format(names=list_names())}
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def list_names() -> str:
    """Returns a line for each name of the package, which mkdocstrings replaces by its docstring."""
    text = (ROOT / "amun" / "__init__.py").read_text(encoding="utf-8")
    homes = re.findall(r'^    "(amun\.[\w.]+)": \(([^)]*)\)', text, re.MULTILINE)
    return "\n\n".join(
        f"::: {home}.{name}\n    options: {{heading: amun.{name}}}"
        for home, names in homes
        for name in re.findall(r'"(\w+)"', names)
    )


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Names what lies outside this folder without a link: the site does not have it."""
    return unlink(markdown, page.file.src_uri)


def unlink(markdown: str, page: str) -> str:
    """Returns the page's text with each link that leads out of the folder as its words alone.

    Args:
        markdown: of the page.
        page: its path below this folder.
    """
    folder = (ROOT / "docs" / page).parent

    def replace(link: re.Match[str]) -> str:
        words, target = link.groups()
        path = (folder / target).resolve()
        is_there = "://" in target or (path.is_relative_to(ROOT / "docs") and path.exists())
        return link.group() if is_there else words

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)[^)]*\)", replace, markdown)
