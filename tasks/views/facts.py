"""What a wave's files tell of it, read in one go for all who describe it: MLflow's pages, Prefect's, the ledger."""

from dataclasses import dataclass

from amun.audit.decision import find_alarms
from amun.core.params import GateParams
from amun.evidence.adoption import Adopted, read_adopted
from amun.evidence.attempts import Judged, read_decisions
from amun.evidence.figures import AdversarialFigures, AuditFigures, ReportFigures, UnlearnFigures, read_figures
from amun.evidence.wave import Wave, read_wave
from tasks.workspace.workspace import Workspace


@dataclass(frozen=True)
class WaveFacts:
    """A wave whose report is written.

    Attributes:
        wave: what it is about.
        gate: the bounds it was judged by.
        unlearned: which attempt, by which method, and whether that is exact.
        adversarial: what the search came to.
        audited: what the calibration half shows.
        reported: what the test half shows.
        decisions: the gate's, on each attempt, with what that attempt measured.
        warning: the alarms that sound on the test half; empty if none does.
        adopted: where the wave's base was adopted from; None for one trained here, and for what descends from either.
    """

    wave: Wave
    gate: GateParams
    unlearned: UnlearnFigures
    adversarial: AdversarialFigures
    audited: AuditFigures
    reported: ReportFigures
    decisions: tuple[Judged, ...]
    warning: str
    adopted: Adopted | None

    @property
    def attempts(self) -> tuple[Judged, ...]:
        """The decisions on attempts that were really made: none where nothing was to be forgotten."""
        return self.decisions if self.wave.forget_ids else ()


def read_facts(workspace: Workspace) -> WaveFacts:
    """Returns the facts of the wave that the workspace's files are about."""
    root, gate = workspace.root, workspace.params.gate
    wave, unlearned, reported = read_wave(root), read_figures(UnlearnFigures, root), read_figures(ReportFigures, root)
    return WaveFacts(
        wave=wave,
        gate=gate,
        unlearned=unlearned,
        adversarial=read_figures(AdversarialFigures, root),
        audited=read_figures(AuditFigures, root),
        reported=reported,
        decisions=read_decisions(root),
        warning=find_alarms(unlearned, reported, gate),
        adopted=read_adopted(root) if wave.kind == "base" else None,
    )
