"""What DVC notes of files beside its cache: its site cache, with names and MD5s that no `dvc gc` takes out of it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from dvc.repo import Repo

from tasks.tools.dvc import open_repo

_GONE = "gone-"  # of a folder's name that is being removed


def erase_site_cache(root: Path, may_take_others: Callable[[], bool]) -> None:
    """Removes DVC's site cache of a clone; DVC makes it anew, and computes MD5s anew where it needs them.

    Where there is no DVC there is none.

    Args:
        root: of the clone.
        may_take_others: tells whether those of other work trees, which lie beside it, are in no use. It is asked once
            it is known which there are: a work tree that is made later has another.

    Raises:
        DvcRefusalError: another DVC is at work in the clone.
    """
    if not (root / Repo.DVC_DIR).is_dir():
        return
    with open_repo(root) as repo:
        own = Path(repo.site_cache_dir)
        with repo.lock:
            repo.close()
            found = [*own.parent.iterdir()]
            for folder in found if may_take_others() else _list_own(own):
                _remove(folder)


def _list_own(own: Path) -> list[Path]:
    """Returns a clone's site cache, and what killed calls have left of earlier ones."""
    return [own, *own.parent.glob(f"{_GONE}{own.name}-*")]


def _remove(folder: Path) -> None:
    """Removes a folder of databases, which are there whole or not at all: a log alone would be taken for the newer."""
    gone = folder
    if not folder.name.startswith(_GONE):
        gone = Path(mkdtemp(dir=folder.parent, prefix=f"{_GONE}{folder.name}-")) / folder.name
        folder.rename(gone)
        gone = gone.parent
    shutil.rmtree(gone)
