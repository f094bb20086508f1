"""`amun backup` and `amun restore`: what git and DVC do not have of a workspace, as one file."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import shared

if TYPE_CHECKING:
    from tasks.workspace.backup import Taken

# of the parts, in words
WORDS = {
    "files": "MLflow's files",
    "mlflow.db": "MLflow's database",
    "ledger.db": "the ledger",
    "keys.db": "the key store",
    "receipt-key": "the signing key of receipts",
    "secret": "the secret",
}


def backup(
    to: Annotated[Path, typer.Option(metavar="FILE", help="A new file, outside git.", show_default=False)],
    kek_to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Takes a copy of the key-encryption key, without which no backup opens; an earlier copy is destroyed.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write what git and DVC do not have of this workspace to one file, sealed under its key-encryption key."""
    from tasks.workspace.backup import take_backup

    print_taken(take_backup(shared.open_here(), to, kek_to), to, kek_to)


def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="What `amun backup` has written.")],
    kek: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The copy of the key-encryption key; not where AMUN_KEK names the key itself.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Bring back what this clone lacks of its workspace; what is there already stays."""
    from tasks.workspace.restore import restore_backup
    from tasks.workspace.workspace import open_clone

    done = restore_backup(open_clone(Path.cwd()), archive, kek)
    print(f"brought back, as of {done.taken_at}: {_tell(done.brought) or 'the data'}")
    print("what came after it is lost: before the next night set holds, withdraw requests and revoke tokens again")
    if not done.has_data:
        print("there is no DVC remote: bring .dvc/cache from your own backup, then `dvc checkout`")
    print("`amun check` says whether a night can run")


def print_taken(taken: "Taken", to: Path, kek_to: Path | None) -> None:
    """Prints what a backup has, under which key, and until when it opens."""
    print(f"{to}: {_tell(taken.names)}")
    print(f"sealed under the key-encryption key {taken.fingerprint}, which is not in it", end="")
    print("" if kek_to is None else f"; its copy is {kek_to}: keep the two apart")
    print(f"it opens until that key is changed{_tell_next(taken.next_erasure)}; take another one after that")
    for line in taken.left_out:
        print(f"left out: {line}")


def _tell(names: tuple[str, ...]) -> str:
    return ", ".join(WORDS[name] for name in names)


def _tell_next(next_erasure: datetime | None) -> str:
    return "" if next_erasure is None else f", as erasures do: the next ones from {next_erasure:%Y-%m-%d %H:%M} UTC on"
