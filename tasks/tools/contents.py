"""Where the contents that DVC names by their MD5 still are: the cache, the default remote."""

import json
from collections.abc import Collection
from pathlib import Path

import yaml
from botocore.exceptions import BotoCoreError, ClientError
from dvc.exceptions import DvcException

from amun.core.errors import AmunError, join_lines
from tasks.tools.dvc import has_remote, open_repo

DIRECTORY = ".dir"  # ends the MD5 of a folder, whose content is a list of files


def locate_cached(root: Path, digests: Collection[str]) -> dict[str, Path]:
    """Returns where the cache holds the contents of these MD5s, or would."""
    if not digests:
        return {}
    with open_repo(root) as repo:
        return {digest: Path(repo.cache.local.oid_to_path(digest)) for digest in digests}


def find_cached(root: Path, digests: Collection[str]) -> dict[str, Path]:
    """Returns where the cache holds the contents of these MD5s; what it has lost is left out."""
    return {digest: path for digest, path in locate_cached(root, digests).items() if path.exists()}


def list_tracked(root: Path, dvc_file: Path) -> set[str]:
    """Returns the MD5 of every file that a `.dvc` file tracks, as far as the cache can say which these are.

    Args:
        root: of the work tree.
        dvc_file: of `dvc add` or `dvc import`, relative to it.

    Raises:
        AmunError: a list of files in the cache is damaged.
    """
    outputs = yaml.safe_load((root / dvc_file).read_text(encoding="utf-8")).get("outs", [])
    digests = {str(output["md5"]) for output in outputs if "md5" in output}
    folders = {digest for digest in digests if digest.endswith(DIRECTORY)}
    for path in find_cached(root, folders).values():
        try:
            digests |= {str(entry["md5"]) for entry in json.loads(path.read_text(encoding="utf-8"))}
        except (ValueError, KeyError, TypeError):
            raise AmunError(f"{path} is damaged, which lists the files of {dvc_file}: fetch it again") from None
    return digests


def fetch_content(root: Path, digest: str, target: Path) -> None:
    """Writes what the default remote has under an MD5 to a file, whether it still is that content or not.

    Raises:
        AmunError: there is no remote, it does not answer, or it has nothing under that name.
    """
    if not has_remote(root):
        raise AmunError("there is no DVC remote")
    with open_repo(root) as repo:
        try:
            remote = repo.cloud.get_remote_odb()
            remote.fs.get_file(remote.oid_to_path(digest), str(target))
        except FileNotFoundError:
            raise AmunError(f"the DVC remote has lost {remote.oid_to_path(digest)}") from None
        except (DvcException, OSError, BotoCoreError, ClientError) as error:
            raise AmunError(f"the DVC remote does not answer: {join_lines(error)}") from None


def find_sent(root: Path, digests: Collection[str]) -> tuple[str, set[str]]:
    """Returns the default remote's address, and which of these MD5s it holds.

    Raises:
        AmunError: it does not answer.
    """
    with open_repo(root) as repo:
        try:
            remote = repo.cloud.get_remote_odb()
            address: str = repo.config["remote"][repo.config["core"]["remote"]]["url"]
            return address, {digest for digest in digests if remote.exists(digest)}
        except (DvcException, OSError, BotoCoreError, ClientError) as error:
            raise AmunError(f"the DVC remote does not answer: {join_lines(error)}") from None


def require_remote_there(root: Path) -> None:
    """Refuses a default remote that does not answer, or a folder that is not there.

    Raises:
        AmunError: names it.
    """
    address, _ = find_sent(root, ["0" * 32])  # of nothing
    if "://" not in address and not Path(address).is_dir():
        raise AmunError(f"the DVC remote {address} is not there; mount it, or change it with `dvc remote modify`")
