"""A workspace: its root, its parameters, and the checks that it is one and fits the installed package."""

import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import amun
from amun.core.commands import tell_command
from amun.core.errors import AmunError, InputError
from amun.core.keys import SECRET_VARIABLE, fingerprint, load_secret
from amun.core.locks import hold_lock
from amun.core.params import Params, read_params
from amun.core.paths import PARAMS, SECRET, STAGE_LOCK, WAVE
from amun.ledger import Claim, Ledger
from tasks.tools.environment import LEDGER_VARIABLE, set_environment
from tasks.tools.git import find_root, read_committed

PACKAGES = ("amun", "tasks", "flows")
LEASE_SECONDS = 120.0


@dataclass(frozen=True)
class Workspace:
    """Where a run works.

    Attributes:
        root: the git work tree.
        params: its `params.yaml`.
    """

    root: Path
    params: Params

    @property
    def model(self) -> str:
        """The name of the model that this workspace keeps."""
        return self.params.model.name


def open_clone(path: Path) -> Workspace:
    """Returns the clone around `path`, workspace or not yet, with the environment of its tools set.

    Raises:
        InputError: it is no git work tree, its parameters are wrong, or it is not the installed package's code.
    """
    root = find_root(path)
    require_versions()
    require_same_code(root)
    workspace = Workspace(root, read_params(root / PARAMS))
    set_environment(root)
    # a user's own code lies in the workspace; stages find it there by themselves, and before any other of its name
    sys.path.insert(0, str(root))
    return workspace


def open_workspace(path: Path) -> Workspace:
    """Returns the workspace around `path`.

    Raises:
        InputError: as `open_clone`, or `amun init` was not run there, or the secret is another workspace's.
    """
    workspace = open_clone(path)
    require_own_secret(workspace.root, load_secret(workspace.root))
    return workspace


def require_params(root: Path) -> None:
    """Refuses parameters that nothing could be run with: what a source, a search or a method takes is asked too.

    Opening a workspace only asks for the form of `params.yaml`, for this takes PyTorch's import.

    Raises:
        InputError: one is wrong; the line names it.
    """
    from amun.params import load_params

    load_params(root / PARAMS)


def require_own_secret(root: Path, secret: bytes) -> None:
    """Refuses a secret other than the one that keyed the recorded waves: with it nobody forgotten would be found.

    Raises:
        InputError: it is another one.
    """
    committed = read_committed(root, WAVE)
    if committed is not None and json.loads(committed)["secret_fingerprint"] != fingerprint(secret):
        raise InputError(
            f"{root}: the secret (from {SECRET_VARIABLE}, or else {SECRET}) is not the one that keyed its waves"
        )


def open_ledger() -> Ledger:
    """Returns the ledger that the environment names."""
    return Ledger(os.environ[LEDGER_VARIABLE])


def require_lease(claim: Claim) -> None:
    """Renews the lease before a write that others will see.

    Raises:
        LeaseLostError: another run has taken the wave over.
    """
    with open_ledger() as ledger:
        ledger.renew_lease(claim, datetime.now(UTC), LEASE_SECONDS)


def require_versions() -> None:
    """Refuses a SQLAlchemy with which Prefect's server looks healthy and never schedules a run."""
    installed = importlib.metadata.version("sqlalchemy")
    if not installed.startswith("2.0."):
        raise InputError(f"SQLAlchemy {installed} is installed, Prefect needs 2.0; run `make setup`")


def require_same_code(root: Path) -> None:
    """Refuses to work where a stage would run other code than this command.

    Raises:
        InputError: the workspace's packages differ from the installed ones, or are missing.
    """
    installed = Path(amun.__file__).parent.parent
    if installed == root:
        return
    for package in PACKAGES:
        if _read_sources(installed / package) != _read_sources(root / package):
            raise InputError(
                f"{root / package} differs from the installed package in {installed}; "
                f"run {tell_command('pip', 'install', '--constraint', root / 'constraints.txt', '--editable', root)}"
            )


def _read_sources(folder: Path) -> dict[str, bytes]:
    paths = [*folder.rglob("*.py"), *folder.rglob("*.html")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(paths)}


@contextmanager
def hold_stages(workspace: Workspace) -> Iterator[None]:
    """Lets no stage of this clone run meanwhile: what it writes could not be looked into.

    Raises:
        AmunError: one is running.
    """
    with ExitStack() as held:
        try:
            held.enter_context(hold_lock(workspace.root / STAGE_LOCK, waits=False))
        except BlockingIOError:
            raise AmunError("a stage is running here; type this again when its wave is over") from None
        yield
