"""`amun keys`: the keys under which people's payloads are sealed."""

from typing import TYPE_CHECKING, Annotated

import typer

from amun.core.counts import tell_count
from flows.cli import shared

if TYPE_CHECKING:
    from amun.vault.vault import Summary

app = typer.Typer(help="The keys of the people whose samples are held.", no_args_is_help=True)


@app.command("create")
def create_keys() -> None:
    """Make a key store and its key-encryption key, in a workspace that has none yet."""
    from amun.core.paths import TRAIN
    from amun.store.rows import is_sealed
    from amun.vault.vault import create_vault, open_vault

    root = shared.open_here().root
    if (root / TRAIN).exists() and is_sealed(root / TRAIN):
        open_vault(root).check()  # what is sealed has its keys in another key store than a new one
    vault = create_vault(root)
    print(f"the key store {vault.store.name} lies under the key-encryption key in {vault.kek.name}")


@app.command("show")
def show_keys(as_json: shared.AsJson = False) -> None:
    """Show where keys and key-encryption key lie, how many people have one, and how many are erased; no key itself."""
    from amun.vault.vault import open_vault

    vault = open_vault(shared.open_here().root)
    shared.show(vault.describe(), as_json, _print)


@app.command("rotate")
def rotate_keys(
    before: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="ADDRESS",
            help="Where the key-encryption key lay until now, as AMUN_KEK named it; it moves to where AMUN_KEK says.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Put all keys under a new key-encryption key and destroy the old one; ends what a killed call has begun."""
    from amun.vault.kek import name_kek
    from amun.vault.rotation import move_kek, rotate_kek
    from amun.vault.vault import open_vault

    vault = open_vault(shared.open_here().root)
    if before is None:
        rotate_kek(vault)
    else:
        move_kek(vault, name_kek(before))
    shown = vault.describe()
    keys = tell_count(shown.num_keys, "key")
    print(f"the key-encryption key is {shown.fingerprint} now, over {keys}; the one before is destroyed")


def _print(shown: "Summary") -> None:
    print(f"key store          {shown.key_store}")
    print(f"keys               {shown.num_keys} of people, {shown.num_weights} of models' weights")
    entries = tell_count(shown.num_listed, "entry", "entries")
    print(f"suppression list   {entries} of people, {shown.num_pictures} of pictures")
    print(f"key-encryption key {shown.kek} ({shown.fingerprint})")
    if shown.is_rotating:
        print("it is being changed, or a change was killed: `amun keys rotate` ends it")
