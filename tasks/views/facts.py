"""What a wave's files tell of it, read in one go for all who describe it: MLflow's pages, Prefect's, the ledger."""

from dataclasses import dataclass
from typing import Any

from amun.core.params import GateParams
from amun.core.paths import ADVERSARIAL_METRICS, AUDIT_METRICS, REPORT_METRICS, UNLEARN_METRICS
from amun.evidence.adoption import Adopted, read_adopted
from amun.evidence.wave import Wave, read_wave
from tasks.steps.gate import check_report, read_decisions
from tasks.steps.record import read_metrics
from tasks.workspace.workspace import Workspace


@dataclass(frozen=True)
class WaveFacts:
    """A wave whose report is written.

    Attributes:
        wave: what it is about.
        gate: the bounds it was judged by.
        unlearned: `metrics/unlearn.json`: attempt, method, whether that is exact.
        adversarial: `metrics/adversarial.json`.
        audited: `metrics/audit.json`, on the calibration half.
        reported: `metrics/report.json`, on the test half.
        decisions: the gate's, on each attempt, with what that attempt measured.
        warning: where the test half contradicts the gate.
        adopted: where the wave's base was adopted from; None for one trained here, and for what descends from either.
    """

    wave: Wave
    gate: GateParams
    unlearned: dict[str, Any]
    adversarial: dict[str, Any]
    audited: dict[str, Any]
    reported: dict[str, Any]
    decisions: list[dict[str, Any]]
    warning: str
    adopted: Adopted | None

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """The decisions on attempts that were really made: none where nothing was to be forgotten."""
        return self.decisions if self.wave.forget_ids else []


def read_facts(workspace: Workspace) -> WaveFacts:
    """Returns the facts of the wave that the workspace's files are about."""
    root = workspace.root
    wave = read_wave(root)
    return WaveFacts(
        wave=wave,
        gate=workspace.params.gate,
        unlearned=read_metrics(root, UNLEARN_METRICS),
        adversarial=read_metrics(root, ADVERSARIAL_METRICS),
        audited=read_metrics(root, AUDIT_METRICS),
        reported=read_metrics(root, REPORT_METRICS),
        decisions=read_decisions(root),
        warning=check_report(root, workspace.params.gate),
        adopted=read_adopted(root) if wave.kind == "base" else None,
    )
