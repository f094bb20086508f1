"""Traces that hold no samples: names and digests of files beside them, and what killed commands have left."""

import os
from pathlib import Path

from amun.core.paths import STATE
from amun.core.temporary import remove_abandoned
from tasks.tools.dvc_traces import erase_site_cache
from tasks.workspace.worktree import has_worktrees, remove_abandoned_worktrees


def erase_traces(root: Path) -> None:
    """Removes DVC's site cache, and what killed commands have left: work trees and temporary files.

    A site cache that lies elsewhere (`DVC_SITE_CACHE_DIR`), and may be others', too, loses what it has of this clone.
    Said again it changes nothing.

    Raises:
        AmunError: another DVC is at work in the clone.
    """
    remove_abandoned()
    remove_abandoned_worktrees(root)
    is_own = (root / STATE).resolve() in Path(os.environ["DVC_SITE_CACHE_DIR"]).resolve().parents
    erase_site_cache(root, lambda: is_own and not has_worktrees(root))
