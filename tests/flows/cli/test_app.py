"""What typer itself refuses is one line, as everything else that is refused."""

import errno
import gc
import os
import subprocess
import sys

import pytest
import typer

from amun import __version__
from amun.core.processes import NUM_ALLOCATED
from flows.cli import main
from flows.cli.app import Commands

PASSWORD = "swordfish"  # noqa: S105 - of nobody


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["wave", "show", "abc"], ("'N'", "integer", "`amun wave show --help`")),
        (["wave", "show"], ("missing argument 'N'",)),
        (["wave", "show", "1", "2"], ("unexpected extra argument", "2")),
        (["wave", "run", "--dry"], ("no such option", "--dry")),
        (["wave", "rum"], ("no such command", "rum", "run")),
        (["model", "diff", "1"], ("missing argument 'AFTER'",)),
        (["audit", "selftest", "--ful"], ("no such option", "--ful", "--full")),
        (["request", "list", "--state"], ("--state", "requires an argument")),
    ],
)
def test_usage_error_is_one_line(
    command: list[str], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("amun: ")
    assert [word for word in words if word not in line] == [], line


@pytest.mark.parametrize("command", [[], ["wave"], ["--help"]])
def test_help_is_no_error_line(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(command)
    said = capsys.readouterr()
    assert "Usage: amun" in said.out
    assert said.err == ""


def test_garbage_is_looked_for_rarely() -> None:
    before = gc.get_threshold()
    gc.set_threshold(700)
    try:
        with pytest.raises(SystemExit):
            main(["--version"])
        assert gc.get_threshold()[0] == NUM_ALLOCATED
    finally:
        gc.set_threshold(*before)


def test_interrupted_while_it_is_imported_it_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    # what stands for a key pressed in that moment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.__import__", interrupt)
        with pytest.raises(SystemExit) as ended:
            main(["--version"])
    said = capsys.readouterr()
    assert (ended.value.code, said.out, said.err) == (130, "", "")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"amun {__version__}\n"


def test_traceback_of_a_command_has_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @app.command()
    def ask() -> None:
        raise ValueError(f"http://ann:{PASSWORD}@host refuses")

    @app.command()
    def tell() -> None: ...

    with pytest.raises(SystemExit) as ended:
        app(["ask"])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert said.startswith("Traceback")
    assert said.endswith("ValueError: http://ann:***@host refuses\n")
    assert PASSWORD not in said


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_place_that_cannot_be_written_to_is_one_line(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @app.command()
    def write() -> None:
        raise OSError(number, os.strerror(number), "wave/base.safetensors")

    @app.command()
    def tell() -> None: ...

    with pytest.raises(SystemExit) as ended:
        app(["write"])
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (1, 1)
    assert said.startswith(f"amun: wave/base.safetensors: {os.strerror(number)}; ")


@pytest.mark.parametrize("options", [("--base", "x.safetensors"), ("--accuracy", "0.9")])
def test_base_and_its_accuracy_go_together(options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["init", *options])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith("amun: --base and --accuracy go together: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("module", ["flows.running", "tasks.workspace.erasing", "tasks.views.lineage"])
def test_what_each_night_imports_waits_for_no_pytorch(module: str) -> None:
    program = f"import sys, {module}; print(sorted({{'torch', 'mlflow', 'pyarrow', 'pandas'}} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
