"""The command line `amun`. Nothing heavy is imported before a command needs it: `--help` answers at once."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from amun import __version__
from amun.core.errors import AmunError, InputError, choose_exit_code
from amun.core.files import tell_os_error
from amun.core.log import begin_log, has_begun
from amun.core.masking import format_masked
from amun.core.processes import forbid_core_dumps
from flows.cli import (
    alerts,
    api,
    audit,
    backups,
    base,
    benchmark,
    checks,
    consumers,
    doctor,
    erase,
    fleet,
    keys,
    metrics,
    models,
    receipts,
    report,
    requests,
    serving,
    shared,
    subjects,
    waves,
)
from tasks.tools.environment import ensure_utf8


class Commands(TyperGroup):
    """Turns an error into its one line and its exit code: 2 for bad input, 1 for a failure, such as a full disk."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            result = super().invoke(ctx)
            print(end="", flush=True)  # where a full disk would be noticed too late to be told
            return result
        except AmunError as error:
            # a log is kept, and read by others than who typed the command
            print(f"amun: {error.short if has_begun() else error.told}", file=sys.stderr)
            raise typer.Exit(choose_exit_code(error)) from None
        except OSError as error:
            if (line := tell_os_error(error)) is None:
                raise
            print(f"amun: {line}", file=sys.stderr)
            raise typer.Exit(AmunError.exit_code) from None

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Runs the command line and ends the process; what typer itself refuses is told in one line as well."""
        forbid_core_dumps()
        try:
            exit_code = super().main(*arguments, **options | {"standalone_mode": False})
        except typer.TyperException as error:
            # no message: the help was asked for, and is printed
            if message := " ".join(error.format_message().split()).rstrip("."):
                context = getattr(error, "ctx", None)
                command = "amun" if context is None else context.command_path
                print(f"amun: {message[0].lower()}{message[1:]}; see `{command} --help`", file=sys.stderr)
            exit_code = error.exit_code
        except typer.Abort:
            raise
        except Exception as error:
            # a fault of ours or of a tool's: its traceback may name an address
            sys.stderr.write(format_masked(error))
            exit_code = AmunError.exit_code
        sys.exit(exit_code)


app = typer.Typer(
    cls=Commands,
    help="Makes a trained image classifier forget people's data, in waves that run unattended.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(requests.app, name="request")
app.add_typer(waves.app, name="wave")
app.add_typer(base.app, name="base")
app.add_typer(models.app, name="model")
app.add_typer(fleet.app, name="fleet")
app.add_typer(consumers.app, name="consumer")
app.add_typer(subjects.app, name="subject")
app.add_typer(audit.app, name="audit")
app.add_typer(keys.app, name="keys")
app.add_typer(erase.app, name="erase")
app.add_typer(receipts.app, name="receipt")
app.add_typer(alerts.app, name="alert")
app.add_typer(api.app, name="api")
app.command()(checks.check)
app.command()(serving.serve)
app.command()(serving.deploy)
app.command()(benchmark.benchmark)
app.command()(doctor.doctor)
app.command()(backups.backup)
app.command()(backups.restore)
app.command()(metrics.metrics)
app.command()(report.report)


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        print(f"amun {__version__}")
        raise typer.Exit


@app.callback()
def tell_version(
    _: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the release and exit.")
    ] = False,
) -> None:
    """Takes the options that belong to no command."""


@app.command()
def init(
    remote: Annotated[
        str | None, typer.Option(help="DVC remote for the data: s3://bucket/prefix or a folder.", show_default=False)
    ] = None,
    git_remote: Annotated[
        str | None,
        typer.Option(help="Git remote of this clone (origin, ...) to push each wave to.", show_default=False),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="A base trained elsewhere: weights.safetensors, models:/NAME@alias or models:/NAME/VERSION.",
            show_default=False,
        ),
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Of --base, by your own evaluation, on images it was not trained on: 0 to 1. A base that is clearly "
            "worse here is refused.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make this clone a workspace and build the base, or join the workspace it was cloned from."""
    from tasks.workspace.workspace import open_clone

    if (base is None) != (accuracy is None):
        raise InputError(
            "--base and --accuracy go together: what the base reaches by your own evaluation, on images that it was "
            "not trained on, tells whether it is given here what it was trained for"
        )
    begin_log()
    clone = open_clone(Path.cwd())
    from flows import setup

    adopted = None if base is None or accuracy is None else (base, accuracy)
    setup.refuse_wrong_secret(clone)
    if base is not None and (setup.is_joining(clone) or setup.is_finished(clone)):
        raise InputError(f"{clone.root} has its base already; adopt another one in a new workspace")
    if not setup.is_finished(clone):
        if not setup.is_joining(clone):
            setup.refuse_early(clone, remote, base)
        checks.require_sound(clone)
    if setup.is_joining(clone):
        setup.join_workspace(clone, git_remote)
        print(f"joined the workspace of {clone.model}: its data are here, its waves can be reproduced")
        if missing := setup.tell_missing_signing_key(clone):
            print(f"note: this clone issues no receipts: {missing}")
    elif setup.is_finished(clone):
        if remote is not None:
            raise InputError(f"{clone.root} is a workspace already; change its remote with `dvc remote`")
        if git_remote is not None:
            setup.push_from_now_on(clone, git_remote)
            print(f"pushed to {git_remote}, as every wave will be")
            return
        print(f"{clone.root} is a workspace of {clone.model} already; `amun status` shows it")
    else:
        shared.tell_outcome(setup.create_workspace(clone, remote, git_remote, adopted))


@app.command()
def status(as_json: shared.AsJson = False) -> None:
    """Show the requests that wait, the people to be erased, open wave, champion; exit code 1 when one is overdue."""
    from flows.pages import wave_tables
    from tasks.views.status import read_status

    shown = read_status(shared.open_here())
    shared.show(shown, as_json, wave_tables.print_status)
    if shown.overdue or shown.erase_overdue:
        raise typer.Exit(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    if arguments is None:
        ensure_utf8()
    app(args=None if arguments is None else list(arguments), prog_name="amun")


if __name__ == "__main__":
    main()
