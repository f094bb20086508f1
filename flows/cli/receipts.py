"""`amun receipt`: what was stated to people who are erased, and whether it still stands as it was stated."""

from pathlib import Path
from typing import Annotated

import typer

from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError
from flows.cli import shared

app = typer.Typer(help="Receipts of people who are erased.", no_args_is_help=True)

RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="Id of the request: R-000001.")]


@app.command("list")
def list_receipts(
    columns: shared.Columns = None,
    limit: shared.Limit = None,
    page: shared.PageNumber = 1,
    is_all: shared.IsAll = False,
    search: shared.Search = "",
    as_json: shared.AsJson = False,
) -> None:
    """List the receipts, each with its place in the chain and until when its body is kept; the latest last."""
    from flows.pages import receipt_tables

    view = shared.read_view(columns, limit, page, is_all, search, as_json=as_json)
    workspace = shared.open_here()
    with shared.open_ledger() as ledger:
        receipts = ledger.list_receipts(workspace.model)
    days = workspace.params.receipts.retention_days
    chosen, num_receipts = receipt_tables.choose_receipts(receipts, days, view)
    shared.show(chosen, as_json, lambda listed: receipt_tables.print_list(listed, days, view, num_receipts))


@app.command("show")
def show_receipt(request_id: RequestId, as_json: shared.AsJson = False) -> None:
    """Show what the receipt of a request says."""
    from flows.pages import receipt_tables
    from tasks.workspace.receipts import open_receipt

    text = open_receipt(shared.open_here(), request_id)
    if as_json:
        print(text, end="")
    else:
        receipt_tables.print_receipt(text)


@app.command("export")
def export_receipt(
    request_id: RequestId,
    to: Annotated[Path, typer.Option(metavar="FILE.json", help="A new file, outside git.", show_default=False)],
) -> None:
    """Write the receipt of a request to a file that its owner alone can read, for the person."""
    from tasks.tools.new_file import require_free, write_private
    from tasks.workspace.receipts import open_receipt

    workspace = shared.open_here()
    require_free("--to", to, workspace.root)
    text = open_receipt(workspace, request_id)
    with write_private("--to", to) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    print(f"{to}: the receipt of {request_id}; the file is about one person, hand it over by a way that is fit for it")


@app.command("key")
def show_key(
    to: Annotated[
        Path | None, typer.Option(metavar="FILE.pem", help="A new file for the public keys.", show_default=False)
    ] = None,
    is_new: Annotated[
        bool, typer.Option("--new", help="Draw a new signing key first; the one before is destroyed.")
    ] = False,
) -> None:
    """Print the public keys that verify receipts, the one that signs now last; earlier ones are those of the chain."""
    from amun.receipts.signing import write_public_key
    from tasks.workspace.receipts import list_public_keys, renew_signing_key

    workspace = shared.open_here()
    if to is not None and to.exists():
        raise InputError(f"--to {to}: it exists already; remove it or name another file")
    if is_new:
        renew_signing_key(workspace)
    text = "".join(write_public_key(key) for key in list_public_keys(workspace))
    if to is None:
        print(text, end="")
        return
    try:
        to.write_text(text, encoding="ascii")
    except OSError as error:
        raise InputError(f"--to {to}: {error.strerror}") from None
    print(f"{to}: {tell_count(text.count('BEGIN'), 'public key')}")


@app.command("verify")
def verify_receipt(
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="The receipt.")],
    public_key: Annotated[
        Path,
        typer.Option(
            metavar="FILE.pem", help="The company's public keys, as you have them from it.", show_default=False
        ),
    ],
    chain: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The chain, receipts/chain.jsonl of the repository.", show_default=False),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(metavar="ID", help="The person whom it is to be about.", show_default=False)
    ] = None,
) -> None:
    """Verify a receipt, on any machine and with nothing else: exit code 1 and one line where anything is wrong."""
    from amun.receipts.chain import parse_chain
    from amun.receipts.drawing import list_draws, require_true_draws
    from amun.receipts.signing import parse_public_keys, tell_key
    from amun.receipts.statement import read_receipt, require_in_chain, require_signer, require_subject

    keys = parse_public_keys(_read(public_key), str(public_key))
    receipt = read_receipt(_read(file), str(file))
    require_signer(receipt, keys, str(file))
    shown = [f"signed by the key {tell_key(receipt.entry.public_key)}", f"number {receipt.entry.number}"]
    entries = None if chain is None else parse_chain(_read(chain), str(chain))
    require_true_draws(receipt.body, entries, str(file))
    if entries is not None:
        require_in_chain(receipt, entries, str(file))
        shown.append(f"in the chain of {len(entries)}, which is whole")
    if subject is not None:
        require_subject(receipt, subject, str(file))
        shown.append("about the person named")
    shown += [f"wave {draw.wave} drawn by {draw.value!r}" for draw in list_draws(receipt.body)]
    body = receipt.body
    print(f"{body.request} of {body.model}, erased on {body.destroyed.erased_at:%Y-%m-%d}: {', '.join(shown)}")


@app.command("check")
def check_receipts(as_json: shared.AsJson = False) -> None:
    """Check all receipts: bodies, signatures, the chain in ledger and git; exit code 1 when anything is wrong."""
    from flows.pages import receipt_tables
    from tasks.workspace.receipt_check import check_receipts as check

    state = check(shared.open_here())
    shared.show(vars(state), as_json, lambda _: receipt_tables.print_state(state))
    if state.faults:
        raise typer.Exit(AmunError.exit_code)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{path} cannot be read: {reason}") from None
