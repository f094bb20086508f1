"""A version's weights: as the registry gives them, or, where its file is damaged, as DVC has kept them."""

import shutil
from pathlib import Path

from amun.core.errors import AmunError
from amun.core.keys import file_digest, load_secret
from amun.core.paths import UNLEARNED
from amun.core.temporary import open_temporary
from amun.vault.sealed_weights import ErasedWeightsError, read_plain
from tasks.tools import registry
from tasks.tools.contents import fetch_content, find_cached
from tasks.tools.new_file import require_free, write_private
from tasks.tools.registered import WaveVersion, get_registered
from tasks.workspace.store_files import read_lock
from tasks.workspace.workspace import Workspace


def fetch_weights(root: Path, version: WaveVersion, destination: Path, secret: bytes) -> list[str]:
    """Writes a version's weights to `destination`, and mends the registry's file where it is damaged.

    Returns what was done to it, a line for each, which is nothing as a rule.

    Raises:
        AmunError: the registry does not answer, or neither it nor DVC has them as they were registered.
    """
    try:
        registry.fetch_weights(version, destination, secret)
    except registry.DamagedWeightsError as error:
        done = mend_weights(root, version, secret, error)
        registry.fetch_weights(version, destination, secret)
        return [done]
    return []


def write_plain(workspace: Workspace, number: int, target: Path) -> None:
    """Writes a version's weights in clear to a new file.

    Raises:
        InputError: there is no such version, or the file cannot be written.
        AmunError: the registry does not answer, or nobody can read these weights any more.
    """
    root = workspace.root
    require_free("--to", target, root, holds="has learned people")
    version = get_registered(workspace.model, number)
    with open_temporary() as folder:
        fetched = Path(folder) / registry.WEIGHTS
        fetch_weights(root, version, fetched, load_secret(root))
        try:
            plain = read_plain(fetched)
        except ErasedWeightsError:
            raise AmunError(f"version {number}: nobody can read its weights any more: their key is destroyed") from None
    with write_private("--to", target) as unfinished:
        unfinished.write_bytes(plain)


def mend_weights(root: Path, version: WaveVersion, secret: bytes, damage: AmunError) -> str:
    """Gives the registry a version's weights again, as its wave's commit names them; returns what was done.

    Args:
        root: of a clone whose DVC cache or remote has them.
        version: whose.
        secret: of the workspace.
        damage: what was seen of the registry's file.

    Raises:
        AmunError: what was seen, why DVC does not have them, and what to do.
    """
    with open_temporary() as folder:
        weights = Path(folder) / registry.WEIGHTS
        try:
            _copy_weights(root, version, weights)
            if file_digest(secret, weights) != version.weights_digest:
                raise AmunError("nor does DVC have it")
        except AmunError as error:
            raise AmunError(
                f"{damage}; {error}; give it back from a backup: `mlflow artifacts log-artifact --run-id "
                f"{version.run_id} --local-file {registry.WEIGHTS}`"
            ) from None
        registry.replace_weights(version, weights)
    return f"{damage}: brought back from DVC"


def _copy_weights(root: Path, version: WaveVersion, target: Path) -> None:
    md5 = read_lock(root, version.commit).get(str(UNLEARNED))
    if md5 is None:
        raise AmunError(f"its commit {version.commit[:12]} is not in {root}")
    if (cached := find_cached(root, [md5]).get(md5)) is not None:
        shutil.copyfile(cached, target)
    else:
        fetch_content(root, md5, target)
