"""The lineage: every version of the model, what it descends from, and whom its line has forgotten.

The registry's tags say which version descends from which, the ledger how its wave ended, git at its commit what it
was made from and whom it has forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from amun.evidence.figures import ReportFigures
from amun.evidence.wave import ForgottenWave
from amun.ledger import Wave
from tasks.tools import registered
from tasks.tools.registered import COMMIT_TAG, ERASED_TAG
from tasks.tools.registry_tables import RegisteredVersion
from tasks.workspace.history import read_forgotten_at
from tasks.workspace.workspace import Workspace, open_ledger


@dataclass(frozen=True)
class Version:
    """One version of the model and its place in the lineage; figures are of the test half.

    Attributes:
        number: the registry's.
        wave: the wave that registered it; None where no wave did.
        kind: of that wave.
        wave_state: how that wave stands in the ledger; None where the ledger does not know it.
        parent: the version it was made from, or the name of the outside model it was adopted from; None for a base.
        commit: records its wave.
        method: how it was made.
        attempt: which of the attempts it is.
        registered_at: when.
        aliases: `champion` among them for the version that serves.
        rolled_back: what its mark says where it was taken out of service; else None.
        weights_erased_at: the day on which its weights were erased; None while they are there.
        num_forget: training samples that its own wave forgot.
        num_subjects: everybody whom its line has forgotten so far; None where its commit is not in this clone.
        accuracy: 0 to 1.
        ft_auc: of the samples its own wave forgot.
        standard_error: of the FT AUC.
    """

    number: int
    wave: int | None
    kind: str | None
    wave_state: str | None
    parent: str | None
    commit: str | None
    method: str | None
    attempt: int | None
    registered_at: datetime
    aliases: tuple[str, ...]
    rolled_back: str | None
    weights_erased_at: str | None
    num_forget: int | None
    num_subjects: int | None
    accuracy: float | None
    ft_auc: float | None
    standard_error: float | None

    @property
    def is_adopted(self) -> bool:
        """Whether it is a base that was trained elsewhere, or is an earlier version of this model."""
        return self.kind == "base" and self.parent is not None


def list_versions(workspace: Workspace) -> list[Version]:
    """Returns every version of the model by number."""
    model = workspace.model
    with open_ledger() as ledger:
        waves = {wave.number: wave for wave in ledger.list_waves(model)}
    found = registered.list_versions(model)
    counts = _count_subjects(workspace.root, found)
    return [_describe(version, waves, counts) for version in found]


def _count_subjects(root: Path, versions: Sequence[RegisteredVersion]) -> dict[int, int]:
    """Returns for each wave how many people its line had forgotten by then.

    A commit records its whole line, so the newest commit of each line tells of all its waves.
    """
    counts: dict[int, int] = {}
    of_waves = [version.tags for version in versions if "amun.wave" in version.tags]
    for tags in sorted(of_waves, key=lambda tags: -int(tags["amun.wave"])):
        if int(tags["amun.wave"]) not in counts:
            counts = _count_line(read_forgotten_at(root, tags[COMMIT_TAG]) or []) | counts
    return counts


def _count_line(forgotten: Sequence[ForgottenWave]) -> dict[int, int]:
    gone: set[str] = set()
    counts: dict[int, int] = {}
    for wave in forgotten:
        gone.update(wave.subject_keys)
        counts[wave.number] = len(gone)
    return counts


def _describe(version: RegisteredVersion, waves: dict[int, Wave], counts: dict[int, int]) -> Version:
    tags = version.tags
    number = int(tags["amun.wave"]) if "amun.wave" in tags else None
    wave = None if number is None else waves.get(number)
    summary = None if wave is None else wave.summary
    test = ReportFigures() if summary is None else summary.test
    return Version(
        number=version.number,
        wave=number,
        kind=tags.get("amun.kind"),
        wave_state=None if wave is None else wave.state,
        parent=tags.get("amun.parent_version") or tags.get("amun.adopted_from") or None,
        commit=tags.get(COMMIT_TAG),
        method=tags.get("amun.method"),
        attempt=int(tags["amun.attempt"]) if "amun.attempt" in tags else None,
        registered_at=version.registered_at,
        aliases=version.aliases,
        rolled_back=tags.get("amun.rolled_back"),
        weights_erased_at=tags.get(ERASED_TAG),
        num_forget=int(tags["amun.num_forget"]) if "amun.num_forget" in tags else None,
        num_subjects=None if number is None else counts.get(number),
        accuracy=test.accuracy,
        ft_auc=test.ft_auc,
        standard_error=test.standard_error,
    )
