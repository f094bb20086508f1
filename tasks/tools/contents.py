"""Where the contents that DVC names by their MD5 still are: the cache, the default remote."""

from collections.abc import Collection
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from dvc.exceptions import DvcException

from amun.core.errors import AmunError, join_lines
from tasks.tools.dvc import has_remote, open_repo


def locate_cached(root: Path, digests: Collection[str]) -> dict[str, Path]:
    """Returns where the cache holds the contents of these MD5s, or would."""
    if not digests:
        return {}
    with open_repo(root) as repo:
        return {digest: Path(repo.cache.local.oid_to_path(digest)) for digest in digests}


def find_cached(root: Path, digests: Collection[str]) -> dict[str, Path]:
    """Returns where the cache holds the contents of these MD5s; what it has lost is left out."""
    return {digest: path for digest, path in locate_cached(root, digests).items() if path.exists()}


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
