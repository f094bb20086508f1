"""Which waves were made from files in clear, as git records it, and what became of these files."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from amun.core.errors import InputError
from amun.core.paths import PARAMS
from amun.ledger import Wave
from amun.ledger.clear_waves import tell_cleared
from tasks.tools.git import has_commit, read_committed
from tasks.workspace.workspace import Workspace, open_ledger

_LOCK = Path("dvc.lock")


class ClearedWaveError(InputError):
    """A wave cannot be run again: its files lay in clear, and were destroyed."""


def is_base_sealed(stages: Mapping[str, Any]) -> bool:
    """Tells whether the samples of a wave's base are sealed, by the stages of its `dvc.lock`.

    Earlier releases sealed nothing, and recorded no such key.
    """
    recorded = stages.get("prepare", {}).get("params", {}).get(str(PARAMS), {})
    return bool(recorded.get("data.sealed", False))


def list_clear_bases(workspace: Workspace, waves: list[Wave]) -> list[int]:
    """Returns the waves that built a base in clear whose files nobody has destroyed, as far as this clone knows.

    Git and the ledger alone are asked: `amun status` has no time to look into files.
    """
    bases = [wave for wave in waves if wave.kind == "base" and wave.commit is not None]
    with open_ledger() as ledger:
        cleared = ledger.list_cleared(workspace.model)
    return [
        wave.number
        for wave in bases
        if (wave.number not in cleared or cleared[wave.number].destroyed_at is None)
        and _is_clear_at(workspace.root, str(wave.commit))
    ]


def _is_clear_at(root: Path, commit: str) -> bool:
    committed = read_committed(root, _LOCK, commit) if has_commit(root, commit) else None
    return committed is not None and not is_base_sealed(yaml.load(committed, Loader=yaml.CSafeLoader)["stages"])


def refuse_cleared(workspace: Workspace, number: int) -> None:
    """Refuses to run a wave again whose files are destroyed. A clone without the ledger finds no data instead.

    Raises:
        ClearedWaveError: they are, or are being.
    """
    try:
        with open_ledger() as ledger:
            ledger.peek_wave(workspace.model, datetime.now(UTC))
            cleared = ledger.list_cleared(workspace.model)
    except InputError:
        return
    if number in cleared:
        raise ClearedWaveError(f"wave {number} can no longer be run again: {tell_cleared(cleared[number])}")
