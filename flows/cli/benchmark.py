"""`amun benchmark`: the paper's study on one's own data and machine."""

from typing import Annotated

import typer

from flows.cli import shared


def benchmark(
    preset: Annotated[str, typer.Option(help="digits, cifar10-small, cifar10, or a YAML file of your own.")],
    full: Annotated[
        bool, typer.Option("--full", help="All of it: the search for parameters, 50 %, the waves, every seed.")
    ] = False,
    by_subject: Annotated[
        bool, typer.Option("--by-subject", help="Forget people with all their samples, not single samples.")
    ] = False,
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method of your own beside the rest, package.module:function; may be repeated."),
    ] = None,
    root: Annotated[
        str | None, typer.Option(help="Folder of the source's files, in place of the preset's.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Start it however long it takes.")] = False,
) -> None:
    """Compare every unlearning method, as the paper does, and write tables, figures and a page."""
    from flows import benchmark as study

    wish = study.Wish(preset, full, by_subject, tuple(method or ()), root, yes)
    print(f"written: {study.run(shared.open_here(), wish) / 'index.html'}")
