"""A version's weights: as the registry gives them, or, where its file is damaged, as DVC has kept them."""

import shutil
import tempfile
from pathlib import Path

from amun.core.errors import AmunError
from amun.core.keys import file_digest
from amun.core.paths import UNLEARNED
from tasks.tools import registry
from tasks.tools.contents import fetch_content, find_cached
from tasks.tools.registered import WaveVersion
from tasks.workspace.store_files import read_lock


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
    with tempfile.TemporaryDirectory() as folder:
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
