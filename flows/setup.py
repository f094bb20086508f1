"""`amun init`: makes a clone a workspace, or joins one that exists."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from amun.core.errors import AmunError, InputError
from amun.core.keys import SECRET_VARIABLE, create_secret, load_secret, parse_secret, store_secret
from amun.core.locks import hold_lock
from amun.core.paths import INIT_LOCK, SECRET, TRAIN
from amun.evidence.adoption import Adopted, read_adopted, require_source
from amun.ledger import Ledger
from amun.receipts.signing import locate_signing_key, provide_signing_key, read_signing_key
from amun.vault.database import KEYS_VARIABLE
from amun.vault.kek import KEK_VARIABLE
from amun.vault.vault import create_vault, open_vault
from flows.outcome import Outcome
from flows.running import run_build_base
from tasks.tools import dvc
from tasks.tools.environment import LEDGER_VARIABLE
from tasks.tools.git import list_wave_tags, require_branch, require_clean
from tasks.workspace.history import find_recorded_wave, require_history
from tasks.workspace.source import inspect_source, require_unknown_to_git
from tasks.workspace.wave_paths import BASE_PREFIXES, WAVE_PREFIXES, list_watched_paths
from tasks.workspace.workspace import Workspace, require_own_secret

if TYPE_CHECKING:
    from torch import nn

    from amun.store.alike import Size
    from amun.store.sources.catalogue import Listing


def is_finished(workspace: Workspace) -> bool:
    """Tells whether this clone is a workspace whose wave 0 is complete."""
    recorded = find_recorded_wave(workspace.root)
    if recorded is None or not (workspace.root / SECRET).exists():
        return False
    return recorded > 0 or not _has_open_base(workspace)


def is_joining(workspace: Workspace) -> bool:
    """Tells whether this clone comes from a workspace that has its wave 0 already."""
    return _is_recorded(workspace.root) and not (workspace.root / SECRET).exists()


def refuse_wrong_secret(workspace: Workspace) -> None:
    """Refuses to go on in a workspace with another secret than keyed its waves.

    Raises:
        InputError: it has one.
    """
    if (workspace.root / SECRET).exists():
        require_own_secret(workspace.root, load_secret(workspace.root))


def refuse_early(workspace: Workspace, remote: str | None, base: str | None) -> None:
    """Refuses what is seen at once, before anything is imported that takes seconds; a DVC remote's folder is made.

    Raises:
        InputError: a detached head, a secret that is none, keys that are not at hand, a base that is no safetensors
            file and names no version, or a remote that does not answer.
    """
    require_branch(workspace.root)
    if secret := os.environ.get(SECRET_VARIABLE):
        parse_secret(secret, SECRET_VARIABLE)
    if workspace.params.data.sealed:
        open_vault(workspace.root).check_before()
        locate_signing_key(workspace.root)
    if base is not None:
        require_source(workspace.root, base)
    if remote is not None:
        from tasks.tools.remote import require_remote

        require_remote(remote)


def create_workspace(
    workspace: Workspace, remote: str | None, git_remote: str | None, base: tuple[str, float] | None
) -> Outcome:
    """Makes the clone a workspace and runs wave 0; after an interruption it goes on where it stopped.

    Args:
        workspace: the clone.
        remote: of DVC.
        git_remote: to push each wave to.
        base: one that was trained elsewhere, and its accuracy as its owner says.

    Raises:
        InputError: uncommitted changes, no images, a model that cannot be built on them, a base that does not fit, or
            waves that this branch does not record: tagged here or on the remote, in the ledger or in the registry;
            nothing was created.
    """
    root, is_recorded = workspace.root, _is_recorded(workspace.root)
    require_history(root)
    # asked before `require_clean`, whose advice is to commit: images must not be committed
    require_unknown_to_git(root, workspace.params.data.root)
    require_clean(root, [*WAVE_PREFIXES, *BASE_PREFIXES], list_watched_paths(root))
    if not is_recorded:
        _refuse_other_waves(workspace)
    adopted, take_base = _choose_base(workspace, base)
    from tasks.tools.registered import require_own_model
    from tasks.tools.registry import ensure_model, translate_errors

    if git_remote is not None:
        from tasks.workspace.upstream import require_git_remote, set_git_remote

        require_git_remote(root, git_remote, is_new=not is_recorded)
    with translate_errors():
        require_own_model(root, workspace.model, adopted, is_recorded=is_recorded)
    # MLflow does not bear that two processes make its database
    with Ledger.create(os.environ[LEDGER_VARIABLE]) as ledger, hold_lock(root / INIT_LOCK):
        with translate_errors():
            ensure_model(root, workspace.model)
        ledger.register_model(workspace.model)
        if remote is not None:
            from tasks.tools.remote import resolve_remote

            dvc.set_remote(root, resolve_remote(remote))
        if git_remote is not None:
            set_git_remote(root, git_remote)
        if workspace.params.data.sealed:
            create_vault(root)
            provide_signing_key(locate_signing_key(root))
        take_base()
        # last: a clone with a secret is a workspace
        create_secret(root)
    return run_build_base(workspace)


def join_workspace(workspace: Workspace, git_remote: str | None) -> None:
    """Takes the secret from the environment and the data from the remote; runs nothing.

    Raises:
        InputError: the secret is not in the environment, or it is another workspace's; the clone lacks commits of the
            waves; the git remote does not answer.
        AmunError: there is no remote, or it does not give the data.
    """
    secret = os.environ.get(SECRET_VARIABLE)
    if not secret:
        raise InputError(
            f"{workspace.root} records the waves of a workspace: to join it put its secret (the content of its "
            f"{SECRET}) into {SECRET_VARIABLE}"
        )
    require_history(workspace.root)
    if not dvc.has_remote(workspace.root):
        raise AmunError(f"{workspace.root}: no DVC remote is configured, so the workspace's data cannot be had")
    require_own_secret(workspace.root, parse_secret(secret, SECRET_VARIABLE))
    from tasks.workspace.upstream import join_git_remote

    join_git_remote(workspace.root, git_remote)
    dvc.pull(workspace.root)
    _require_keys(workspace)
    store_secret(workspace.root, secret)


def _require_keys(workspace: Workspace) -> None:
    """Refuses to join where the data are sealed and their keys are not at hand.

    Raises:
        InputError: what is missing.
    """
    from amun.store.store import read_owners

    root = workspace.root
    try:
        read_owners(root / TRAIN)
        if workspace.params.data.sealed:
            open_vault(root).check()
    except AmunError as error:
        raise InputError(
            f"{root}: the workspace's data are sealed: to join it name its key store in {KEYS_VARIABLE} and the "
            f"key-encryption key in {KEK_VARIABLE} (docs/erasure.md): {error}"
        ) from None


def tell_missing_signing_key(workspace: Workspace) -> str:
    """Returns what a clone lacks to issue receipts, where the workspace has issued some; empty if nothing."""
    from tasks.workspace.receipt_chain import read_lines

    if not read_lines(workspace.root):
        return ""
    try:
        read_signing_key(locate_signing_key(workspace.root))
    except InputError as error:
        return str(error)
    return ""


def push_from_now_on(workspace: Workspace, git_remote: str) -> None:
    """Makes a workspace push its waves to a git remote, those it has to begin with.

    Raises:
        InputError: the remote does not answer or does not take the branch.
    """
    from tasks.workspace.upstream import push_all, require_git_remote, set_git_remote

    require_git_remote(workspace.root, git_remote)
    set_git_remote(workspace.root, git_remote)
    push_all(workspace.root, git_remote)


def _choose_base(workspace: Workspace, base: tuple[str, float] | None) -> tuple[Adopted | None, Callable[[], None]]:
    """Returns where the base is adopted from, if it is, and what puts it into the workspace.

    Nothing is created before that: images, architecture and weights are checked here.
    """
    root = workspace.root
    is_new, is_recorded = not (root / SECRET).exists(), _is_recorded(root)
    # a recorded base stays; looked up anew, the alias might name the version that wave 0 has registered
    if not is_new and (base is None or is_recorded):
        return read_adopted(root), lambda: None
    from tasks.workspace.adopt import drop_base, keep_base, read_base

    model = build_for_source(workspace)
    if base is None:
        return None, lambda: drop_base(root)
    adopted = read_base(root, *base, model)
    return adopted, lambda: keep_base(workspace, adopted, model)


def build_for_source(workspace: Workspace) -> "nn.Module":
    """Returns a model for the source's images, before anything is created for it.

    Every image's header is read, and none of their pixels: that is left to the stage.
    """
    return build_for_images(workspace, *inspect_source(workspace.root, workspace.params.data))


def build_for_images(workspace: Workspace, listing: "Listing", size: "Size") -> "nn.Module":
    """Returns a model for a source's images of this size; the list of training people and the trainer are read, too.

    Raises:
        InputError: the list, the trainer or the architecture does not fit.
    """
    from amun.model.architectures import build_model
    from amun.model.trainer import import_trainer
    from amun.store.alike import MODES
    from amun.store.train_list import read_train_list

    data = workspace.params.data
    if data.train_list is not None:
        read_train_list(workspace.root / data.train_list, listing.keys, listing.absent_keys)
    if trainer := workspace.params.training.function:
        import_trainer(trainer)
    return build_model(workspace.params.model, len(listing.classes), (len(MODES[data.images.colour]), *size), seed=0)


def _is_recorded(root: Path) -> bool:
    """Tells whether HEAD records a wave. A tag tells nothing: a clone may lack it, or have another workspace's."""
    return find_recorded_wave(root) is not None


def _refuse_other_waves(workspace: Workspace) -> None:
    """Refuses to build a first base where there are waves that this branch does not record.

    Raises:
        InputError: which, and what to do.
    """
    root = workspace.root
    if tags := list_wave_tags(root):
        raise InputError(
            f"{root} has the tag {tags[-1]} of a workspace that this branch does not record: check out that one's "
            "branch to join it, or `git tag --delete` its tags for a workspace of your own"
        )
    try:
        with Ledger(os.environ[LEDGER_VARIABLE]) as ledger:
            complete = [wave for wave in ledger.list_waves(workspace.model) if wave.state == "complete"]
    except InputError:  # no ledger, or one that has nothing of the model yet
        return
    if complete:
        wave = complete[-1]
        raise InputError(
            f"params.yaml: model.name: the ledger {ledger.name} has wave {wave.number} of {workspace.model} (commit "
            f"{str(wave.commit)[:12]}), which this branch does not record; choose another name, or join that workspace "
            "in a clone of its branch"
        )


def _has_open_base(workspace: Workspace) -> bool:
    from datetime import UTC, datetime

    try:
        with Ledger(os.environ[LEDGER_VARIABLE]) as ledger:
            wave = ledger.peek_wave(workspace.model, datetime.now(UTC))
    except InputError:  # a joined clone whose ledger is elsewhere
        return False
    return wave is not None and wave.number == 0
