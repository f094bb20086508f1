"""What a wave writes into the work tree: the explicit list that is committed, and nothing else."""

from pathlib import Path

from amun.core.paths import (
    ADOPTED,
    ADOPTED_WEIGHTS,
    ATTEMPT,
    DECISIONS,
    EXCLUSIONS,
    FORGOTTEN,
    PLAN,
    RECEIPT_CHAIN,
    WAVE,
    WAVE_BASE,
    WORKSPACE,
)
from amun.core.stage_names import BASE_STAGES, WAVE_STAGES
from tasks.tools.dvc import LOCK_FILE, list_dependencies, list_paths
from tasks.workspace.workspace import PACKAGES

WAVE_FILES = (LOCK_FILE, *map(str, (WAVE, PLAN, ATTEMPT, DECISIONS, FORGOTTEN)), f"{WAVE_BASE}.dvc")
BASE_FACTS = (str(EXCLUSIONS), str(ADOPTED), f"{ADOPTED_WEIGHTS}.dvc")
BASE_FILES = ("dvc.yaml", ".dvc/config", *BASE_FACTS)

# where a killed run may have left something uncommitted
WAVE_PREFIXES = (LOCK_FILE, "wave/", "metrics/", "plots/", str(RECEIPT_CHAIN))
BASE_PREFIXES = (*BASE_FILES, str(WORKSPACE))


def list_wave_paths(root: Path, kind: str) -> list[str]:
    """Returns the paths that a wave of this kind (`base` or `deletion`) commits."""
    if kind == "base":
        return [*WAVE_FILES, *BASE_FILES, *list_paths(root, [*BASE_STAGES, *WAVE_STAGES])]
    return [*WAVE_FILES, *list_paths(root, WAVE_STAGES)]


def list_restored_paths(root: Path) -> list[str]:
    """Returns the paths that going back to an earlier version brings back: what waves found out, no configuration."""
    return [*WAVE_FILES, *BASE_FACTS, *list_paths(root, [*BASE_STAGES, *WAVE_STAGES])]


def list_watched_paths(root: Path) -> list[str]:
    """Returns the files and folders in which a new file could change what a wave computes: it must be committed."""
    return [*PACKAGES, *list_dependencies(root)]
