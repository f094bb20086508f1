"""How many erased people the suppression list has, for commands that must not wait for PyTorch."""

from pathlib import Path

from amun.core.errors import AmunError
from amun.vault.suppression import SUBJECT
from amun.vault.vault import open_vault


def count_listed(root: Path) -> int | None:
    """Returns how many entries of erased people the suppression list has; None where the key store does not answer."""
    try:
        store = open_vault(root).store
        return store.count_entries().get(SUBJECT, 0) if store.is_made() else 0
    except AmunError:
        return None
