"""DVC, in this process: reproduce a single stage, freeze the base stages, and trust nothing that is not checked.

In process, because a killed run then takes its DVC with it; the stage it had started ends by itself when it finds
its parent gone.
"""

import json
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import BotoCoreError, ClientError
from dvc.exceptions import DvcException
from dvc.repo import Repo

from amun.core.commands import tell_command
from amun.core.errors import AmunError, AttemptError, InputError, WithheldError, join_lines
from amun.core.files import replace_file
from amun.core.network import read_timeout
from amun.core.paths import ADOPTED_WEIGHTS, ATTEMPT, WAVE, WAVE_BASE
from amun.core.progress import PROGRESS_FILE_VARIABLE
from amun.core.stage_names import BASE_STAGES
from amun.core.stage_result import FORCED_VARIABLE, RESULT_FILE_VARIABLE, UP_TO_DATE, StageResult
from amun.core.temporary import open_temporary
from tasks.tools import dvc_lock
from tasks.tools.digests import compute_md5
from tasks.tools.dvc_settings import LOCAL, SHARED, edit_settings, name_section
from tasks.tools.git import read_committed, restore_paths

dvc_lock.write_quickly()
LOCK_FILE = dvc_lock.LOCK_FILE
RWLOCK = Path(".dvc/tmp/rwlock")
_ATTEMPTS = "AWS_MAX_ATTEMPTS"
REMOTE = "storage"  # as `set_remote` names it
# as DVC tells of a stage that Ctrl-C has ended, with a shell in between or not
_INTERRUPTED = (f"exited with {-signal.SIGINT}", f"exited with {128 + signal.SIGINT}")


@dataclass(frozen=True)
class StageRun:
    """A stage that is up to date, and what its program did to become so.

    Attributes:
        stage: its name.
        result: of its program; `UP_TO_DATE` if it was.
        attempt: that it made or judged, from 1; None for other stages.
    """

    stage: str
    result: StageResult
    attempt: int | None = None


class DvcRefusalError(AmunError):
    """DVC could not do what it was asked; another DVC at work in the workspace is a common reason."""


class StageInterruptedError(AmunError):
    """Somebody has stopped a stage: DVC keeps a Ctrl-C from this process while one runs."""


class MissingDataError(AmunError):
    """Data that git names are in no cache and on no remote."""


def reproduce(
    root: Path,
    stage: str,
    *,
    force: bool = False,
    follow: Callable[[Path], AbstractContextManager[object]] = nullcontext,
) -> StageResult:
    """Brings one stage up to date, as `dvc repro -s` does, and returns what its program told; `UP_TO_DATE` if it was.

    Args:
        root: of the workspace.
        stage: to reproduce.
        force: run it although it is up to date.
        follow: is given the file to which the stage writes how far it has come, and entered while it runs.

    Raises:
        InputError, AmunError: the stage's own line; as `StageInterruptedError`, it was stopped.
    """
    with open_temporary() as folder:
        result_path, progress_path = Path(folder) / "result.json", Path(folder) / "progress.json"
        told = {RESULT_FILE_VARIABLE: str(result_path), PROGRESS_FILE_VARIABLE: str(progress_path)}
        told |= {FORCED_VARIABLE: "yes"} if force else {}
        os.environ.update(told)
        try:
            with follow(progress_path), open_repo(root) as repo:
                repo.reproduce(targets=[stage], single_item=True, force=force)
        except DvcRefusalError as error:
            _raise_stage_error(stage, result_path, error)
        finally:
            for name in told:
                del os.environ[name]
        return StageResult.read(result_path) if result_path.exists() else UP_TO_DATE


def _raise_stage_error(stage: str, result_path: Path, refusal: DvcRefusalError) -> None:
    result = StageResult.read(result_path) if result_path.exists() else None
    if result is not None and result.short:
        raise WithheldError(f"{stage}: {result.short}", f"{stage}: {result.error}") from None
    if result is not None and result.exit_code:
        kinds = {kind.exit_code: kind for kind in (AmunError, InputError, AttemptError)}
        raise kinds[result.exit_code](f"{stage}: {result.error}") from None
    error = refusal.__cause__ or refusal
    reason = join_lines(error.__cause__ or error)
    if reason.endswith(_INTERRUPTED):
        raise StageInterruptedError(f"stage {stage} was interrupted; type this again to go on") from None
    raise AmunError(f"stage {stage} failed: {reason}") from None


def freeze_base(root: Path) -> None:
    """Freezes the base stages: no change of code or parameters reruns one by accident."""
    with open_repo(root) as repo:
        for stage in BASE_STAGES:
            repo.freeze(stage)


def refreeze_base(root: Path) -> None:
    """Freezes the base stages where a new base that came to nothing has left them thawed."""
    if not _is_frozen(_read_stages(root)):
        freeze_base(root)


def has_thawed_base(root: Path) -> bool:
    """Tells whether HEAD has base stages that are not frozen, as they are while a new base is built.

    Raises:
        InputError: HEAD's `dvc.yaml` names no stages.
    """
    committed = read_committed(root, Path("dvc.yaml"))
    if committed is None:
        return False
    try:
        stages = _load_yaml(committed)["stages"]
    except (yaml.YAMLError, LookupError, TypeError):
        raise InputError(f"{root}: dvc.yaml at HEAD cannot be read; bring back an earlier one and commit it") from None
    return not _is_frozen(stages)


def _is_frozen(declared: dict[str, Any]) -> bool:
    return all(declared[stage].get("frozen") for stage in BASE_STAGES if stage in declared)


def thaw_base(root: Path) -> None:
    """Thaws the base stages, for a new base."""
    with open_repo(root) as repo:
        for stage in BASE_STAGES:
            repo.unfreeze(stage)


def add_file(root: Path, path: Path) -> None:
    """Puts one file under DVC with a `.dvc` file of its own."""
    with open_repo(root) as repo:
        repo.add([str(root / path)])


def checkout_file(root: Path, path: str) -> None:
    """Brings one output into the work tree from the cache."""
    with open_repo(root) as repo:
        repo.checkout(targets=[path], force=True)


def checkout(root: Path) -> None:
    """Brings every output in the work tree to what `dvc.lock` and the `.dvc` files say, from the cache."""
    with open_repo(root) as repo:
        repo.checkout(targets=_list_targets(root), force=True)


def has_remote(root: Path) -> bool:
    """Tells whether a default remote is configured."""
    with open_repo(root) as repo:
        return bool(repo.config["core"].get("remote"))


def push(root: Path) -> None:
    """Sends what the work tree's `dvc.lock` and `.dvc` files name to the default remote."""
    with open_repo(root) as repo:
        try:
            repo.push(targets=_list_targets(root))
        except (DvcException, OSError, BotoCoreError, ClientError) as error:
            raise AmunError(f"the DVC remote did not take the data: {join_lines(error)}") from None


def pull(root: Path) -> None:
    """Fetches what the work tree's `dvc.lock` and `.dvc` files name from the default remote.

    Raises:
        MissingDataError: it does not give them.
    """
    with open_repo(root) as repo:
        try:
            repo.pull(targets=_list_targets(root), force=True)
        except (DvcException, OSError, BotoCoreError, ClientError) as error:
            raise MissingDataError(f"the DVC remote did not give the data: {join_lines(error)}") from None


def fetch(root: Path) -> None:
    """Brings every output into the work tree, from the cache or else from the default remote."""
    try:
        checkout(root)
    except DvcRefusalError:
        pull(root)


def _list_targets(root: Path) -> list[str]:
    """Returns the DVC files of the pipeline's own data. The owner moves what else the workspace has under DVC."""
    names = ("dvc.yaml", f"{WAVE_BASE}.dvc", f"{ADOPTED_WEIGHTS}.dvc")
    return [name for name in names if (root / name).exists()]


def require_unchanged(root: Path, file: Path) -> None:
    """Refuses data that are not what their `.dvc` file says.

    Raises:
        InputError: they have changed, or are not there.
    """
    with open_repo(root) as repo:
        changes = [out.workspace_status() for out in repo.stage.load_one(str(root / file)).outs]
    for path, what in (change for found in changes for change in found.items()):
        raise InputError(
            f"{path} is {what}, against what {file} says: run {tell_command('dvc', 'add', path)} to take the change, "
            f"or {tell_command('dvc', 'checkout', file)} to undo it"
        )


def read_lock(root: Path) -> dict[str, Any]:
    """Returns the stages of `dvc.lock`: for each its `deps` and `outs` with their digests."""
    stages: dict[str, Any] = _load_yaml((root / LOCK_FILE).read_bytes())["stages"]
    return stages


def read_lock_at(root: Path, commit: str) -> dict[str, Any]:
    """Returns the stages of `dvc.lock` at a commit of this clone; none where it has no such file."""
    committed = read_committed(root, Path(LOCK_FILE), commit)
    stages: dict[str, Any] = _load_yaml(committed)["stages"] if committed else {}
    return stages


def list_digests(lock: dict[str, Any]) -> dict[str, str]:
    """Returns the MD5 of every output of the stages of a `dvc.lock`, by path."""
    return {out["path"]: out["md5"] for stage in lock.values() for out in stage.get("outs", [])}


def read_digests(root: Path) -> dict[str, str]:
    """Returns the MD5 of every output that `dvc.lock` and the wave's base name, by path."""
    return list_digests(read_lock(root)) | read_added(root, WAVE_BASE)


def read_added(root: Path, path: Path) -> dict[str, str]:
    """Returns the MD5 that a file's own `.dvc` file names, by path; nothing where there is none."""
    file = root / f"{path}.dvc"
    return _parse_added(path, file.read_text(encoding="utf-8")) if file.exists() else {}


def read_added_at(root: Path, path: Path, commit: str) -> dict[str, str]:
    """Returns the same as a commit of this clone has it."""
    committed = read_committed(root, Path(f"{path}.dvc"), commit)
    return _parse_added(path, committed) if committed else {}


def _parse_added(path: Path, text: str) -> dict[str, str]:
    added: list[dict[str, str]] = yaml.safe_load(text)["outs"]
    return {str(path): added[0]["md5"]}


def check_digests(root: Path) -> None:
    """Refuses a lock file whose stages do not fit together, or files that are not what it says.

    A late orphan of a killed run can overwrite an output while DVC still reports success.

    Raises:
        AmunError: names the stage and the file.
    """
    digests = read_digests(root)
    for name, stage in read_lock(root).items():
        for dependency in stage.get("deps", []):
            path = dependency["path"]
            if path in (str(WAVE), str(ATTEMPT)):
                present = compute_md5(root / path)
            else:
                present = digests.get(path, dependency["md5"])  # code is not compared: the base stages are frozen
            if dependency["md5"] != present:
                raise AmunError(f"{name} was computed from another {path} than the one at hand; run the wave again")
    for path, digest in digests.items():
        if compute_md5(root / path) != digest:
            raise AmunError(f"{path} is not what {LOCK_FILE} says; run the wave again")


def repair_rwlock(root: Path) -> None:
    """Removes a torn `.dvc/tmp/rwlock`: DVC does not write it in one piece and refuses it for ever."""
    path = root / RWLOCK
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        path.unlink()


def release_rwlock(root: Path, number: int) -> None:
    """Takes the locks of a process that has ended out of `.dvc/tmp/rwlock`; those of others stay."""
    path = root / RWLOCK
    content = json.loads(path.read_text(encoding="utf-8"))
    write = {key: one for key, one in content.get("write", {}).items() if one["pid"] != number}
    read = {key: [one for one in several if one["pid"] != number] for key, several in content.get("read", {}).items()}
    with replace_file(path) as unfinished:
        left = {"write": write, "read": {key: several for key, several in read.items() if several}}
        unfinished.write_text(json.dumps(left), encoding="utf-8")


def repair_files(root: Path) -> None:
    """Brings DVC's own files back to HEAD where a killed run has left them torn: DVC writes them in place."""
    for path, key in ((LOCK_FILE, "stages"), ("dvc.yaml", "stages"), (f"{WAVE_BASE}.dvc", "outs")):
        if (root / path).exists() and not _has_key(root / path, key):
            restore_paths(root, [path])


def _has_key(path: Path, key: str) -> bool:
    try:
        content = _load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return False
    return isinstance(content, dict) and isinstance(content.get(key), dict | list)


@contextmanager
def open_repo(root: Path) -> Iterator[Repo]:
    """Gives DVC's view of a work tree; what DVC refuses meanwhile is told in one line.

    Raises:
        DvcRefusalError: what it said.
    """
    logging.getLogger("dvc").setLevel(logging.ERROR)
    repair_rwlock(root)
    # DVC takes many a path from where the process happens to be
    with chdir(root), Repo(str(root)) as repo, _bound_waits(repo):
        try:
            yield repo
        except DvcException as error:
            raise DvcRefusalError(f"DVC failed in {root}: {join_lines(error)}") from error


@contextmanager
def _bound_waits(repo: Repo) -> Iterator[None]:
    """Bounds how long a default remote on S3 may keep silent, unless its own configuration does."""
    remote = repo.config["remote"].get(repo.config["core"].get("remote"), {})
    if not str(remote.get("url", "")).startswith("s3://"):
        yield
        return
    seconds = read_timeout()
    remote.setdefault("connect_timeout", seconds)
    remote.setdefault("read_timeout", seconds)
    # DVC's library asks five times, and each time Amazon's below it as often: 25 silences would be waited for
    is_chosen = _ATTEMPTS in os.environ
    os.environ.setdefault(_ATTEMPTS, "1")
    try:
        yield
    finally:
        if not is_chosen:
            del os.environ[_ATTEMPTS]


def set_remote(root: Path, url: str) -> None:
    """Makes `url` (a folder or `s3://bucket/prefix`) the default remote, its objects verified when fetched."""
    with edit_settings(root / SHARED) as settings:
        settings.setdefault("core", {})["remote"] = REMOTE
        settings[name_section("remote", REMOTE)] = {"url": url, "verify": "True"}


def unset_remote(root: Path) -> None:
    """Makes a clone send its data nowhere."""
    if has_remote(root):
        with edit_settings(root / SHARED) as settings:
            del settings["core"]["remote"]


def share_cache(root: Path, worktree: Path) -> None:
    """Makes a worktree use the cache of the workspace, for itself alone."""
    with open_repo(root) as repo:
        cache = repo.cache.local_cache_dir
    with edit_settings(worktree / LOCAL) as settings:
        settings.setdefault("cache", {})["dir"] = str(cache)


def list_stages(root: Path, stages: Sequence[str]) -> list[str]:
    """Returns which of these stages the pipeline has: earlier versions of this project had fewer."""
    declared = _read_stages(root)
    return [stage for stage in stages if stage in declared]


def list_dependencies(root: Path) -> list[str]:
    """Returns the files and folders that the stages depend on."""
    return sorted({path for stage in _read_stages(root) for path in list_inputs(root, stage)})


def _read_stages(root: Path) -> dict[str, Any]:
    stages: dict[str, Any] = _load_yaml((root / "dvc.yaml").read_bytes())["stages"]
    return stages


def _load_yaml(text: str | bytes) -> Any:
    # C's, for these files are read before each stage, and Python's takes a tenth of a second
    return yaml.load(text, Loader=yaml.CSafeLoader)


def list_outputs(root: Path, stages: Sequence[str]) -> list[str]:
    """Returns the outputs of these stages that DVC keeps."""
    declared = _read_stages(root)
    return [path for stage in stages if stage in declared for path in declared[stage].get("outs", [])]


def list_inputs(root: Path, stage: str) -> list[str]:
    """Returns the files and folders that a stage depends on."""
    inputs: list[str] = _read_stages(root)[stage].get("deps", [])
    return inputs


def read_params(root: Path) -> dict[str, list[str]]:
    """Returns which hyperparameters each stage of `dvc.yaml` depends on."""
    return {name: list(stage.get("params", [])) for name, stage in _read_stages(root).items()}


def list_paths(root: Path, stages: Sequence[str]) -> list[str]:
    """Returns the outputs of these stages that git keeps."""
    declared = _read_stages(root)
    return [
        path
        for stage in stages
        for kind in ("metrics", "plots")
        for entry in declared.get(stage, {}).get(kind, [])
        for path in entry
    ]
