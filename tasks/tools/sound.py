"""Files that DVC keeps, compared with their digests before anything reads them, and damaged copies replaced.

DVC trusts an object of its cache for ever, and takes a changed file in the work tree for a new version of it. Each
content has three copies: in the work tree, in the cache, on the remote. One that is sound mends the others.
"""

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from amun.core.errors import AmunError
from amun.core.files import replace_file
from amun.core.paths import ADOPTED_WEIGHTS, WAVE_BASE
from amun.core.stage_names import WAVE_STAGES
from tasks.tools import dvc
from tasks.tools.contents import fetch_content, find_sent, locate_cached
from tasks.tools.digests import compute_md5


@dataclass(frozen=True)
class Damage:
    """A file of which a copy on this machine is not what it should be.

    Attributes:
        path: in the work tree.
        md5: of the content that it should have.
        cached: where the cache has that content, or should.
        in_tree: whether the work tree's copy is another, or missing.
    """

    path: str
    md5: str
    cached: Path
    in_tree: bool

    def describe(self, root: Path) -> str:
        """Returns which copy is damaged."""
        copy = root / self.path if self.in_tree else self.cached
        where = self.path if self.in_tree else f"the copy of {self.path} in the cache ({self.cached})"
        return f"{where} is {'damaged' if copy.exists() else 'missing'}"


def make_sound(root: Path, paths: Collection[str] | None = None, *, in_cache: bool = False) -> list[str]:
    """Replaces damaged copies of the files that DVC keeps; returns what was done, a line for each.

    Args:
        root: of the work tree.
        paths: of which of them; None is all.
        in_cache: whether the cache's copies count too; otherwise those of the work tree alone.

    Raises:
        AmunError: no copy is sound; the line says what to do.
    """
    return [mend(root, damage) for damage in find_damage(root, paths, in_cache=in_cache)]


def find_damage(root: Path, paths: Collection[str] | None = None, *, in_cache: bool = False) -> Iterator[Damage]:
    """Yields what is damaged; the arguments are those of `make_sound`."""
    stored = {path: md5 for path, md5 in read_stored(root).items() if paths is None or path in paths}
    damaged = {path for path, md5 in stored.items() if compute_md5(root / path) != md5}
    if not damaged and not in_cache:
        return
    cached = locate_cached(root, stored.values())
    for path, md5 in stored.items():
        if path in damaged or (in_cache and compute_md5(cached[md5]) != md5):
            yield Damage(path, md5, cached[md5], path in damaged)


def read_stored(root: Path) -> dict[str, str]:
    """Returns the MD5 of every file of the pipeline's that DVC keeps, by path: git keeps the others."""
    lock = dvc.read_lock(root) if (root / dvc.LOCK_FILE).exists() else {}
    locked = dvc.list_digests(lock)
    kept = {path: locked[path] for path in dvc.list_outputs(root, list(lock)) if path in locked}
    return kept | dvc.read_added(root, WAVE_BASE) | dvc.read_added(root, ADOPTED_WEIGHTS)


def read_recorded(root: Path) -> dict[str, str]:
    """Returns the same as HEAD has it, whatever a wave at work has written since: all of it was sent."""
    lock = dvc.read_lock_at(root, "HEAD")
    locked = dvc.list_digests(lock)
    kept = {path: locked[path] for path in dvc.list_outputs(root, list(lock)) if path in locked}
    added = [dvc.read_added_at(root, path, "HEAD") for path in (WAVE_BASE, ADOPTED_WEIGHTS)]
    return kept | added[0] | added[1]


def mend(root: Path, damage: Damage) -> str:
    """Replaces the damaged copies of a file by a sound one; returns what was done.

    Raises:
        AmunError: there is none.
    """
    done = f"{damage.describe(root)}: brought back"
    if not damage.in_tree:
        _keep(root / damage.path, damage.cached)
        return f"{done} from the work tree"
    origin = "from the cache"
    if compute_md5(damage.cached) != damage.md5:
        # or DVC would go on taking it for sound
        damage.cached.unlink(missing_ok=True)
        _fetch(root, damage)
        origin = "from the DVC remote"
    (root / damage.path).unlink(missing_ok=True)
    dvc.checkout_file(root, damage.path)
    return f"{done} {origin}"


def require_sent(root: Path) -> None:
    """Refuses a default remote that lacks anything which `dvc.lock` and the wave's base name.

    Raises:
        AmunError: names what it lacks, or it does not answer.
    """
    stored = read_stored(root)
    address, sent = find_sent(root, stored.values())
    if lacking := sorted(path for path, md5 in stored.items() if md5 not in sent):
        raise AmunError(
            f"the DVC remote {address} lacks {', '.join(lacking)} although DVC says that it has taken all; see that "
            "nobody removes objects there, then run the wave again, which sends them again"
        )


def _fetch(root: Path, damage: Damage) -> None:
    fetched = damage.cached.with_suffix(".fetched")
    fetched.parent.mkdir(parents=True, exist_ok=True)
    try:
        fetch_content(root, damage.md5, fetched)
        if compute_md5(fetched) != damage.md5:
            raise AmunError("the DVC remote's copy is damaged too")
        _keep(fetched, damage.cached)
    except AmunError as error:
        raise AmunError(f"{damage.describe(root)}; {error}; {_advise(root, damage)}") from None
    finally:
        fetched.unlink(missing_ok=True)


def _keep(source: Path, cached: Path) -> None:
    """Makes a file the cache's copy, in one piece and not to be written, as DVC keeps them."""
    with replace_file(cached) as unfinished:
        shutil.copyfile(source, unfinished)
        unfinished.chmod(0o444)


def _advise(root: Path, damage: Damage) -> str:
    if damage.path in [*dvc.list_outputs(root, WAVE_STAGES), str(WAVE_BASE)]:
        return "run the wave again, which makes it anew"
    return f"put a sound copy (from a backup, or another clone's cache) at {damage.cached}, then run this again"
