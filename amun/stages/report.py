"""Stage `report`: the test half, read once, after the gate has decided."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from amun.audit.decision import count_judged
from amun.audit.evaluation import AuditSets, ModelAudit, audit_model, choose_audit_sets
from amun.audit.gate import judge_forgetting
from amun.audit.roc import auc_standard_error, roc_curve_binned
from amun.data.samples import read_samples
from amun.params import Params
from amun.paths import AUDIT_LOGITS, CONFIDENCE, REPORT_METRICS, ROC, TEST, TRAIN, UNLEARNED, WAVE_BASE
from amun.stages.common import load_for
from amun.stages.runner import run_stage
from amun.training import compute_accuracy
from amun.wave import MIN_REPORTED, read_wave, write_json

NUM_BINS = 20


def report(params: Params, device: torch.device) -> None:
    """Writes the wave's figures on the test half, the ROC curve and the histograms of confidence."""
    train = read_samples(TRAIN)
    sets = choose_audit_sets(read_wave(), train, read_samples(TEST), read_samples(AUDIT_LOGITS))
    before = audit_model(load_for(params, train, device, WAVE_BASE), sets, params.audit)
    after = audit_model(load_for(params, train, device, UNLEARNED), sets, params.audit)
    write_json(REPORT_METRICS, _compute_figures(sets, before, after, params))
    _write_table(ROC, _trace_roc(sets, before, after))
    _write_table(CONFIDENCE, _bin_confidence(sets, before, after))


def _compute_figures(
    sets: AuditSets, before: ModelAudit, after: ModelAudit, params: Params
) -> dict[str, float | bool | None]:
    ft_auc, num_test = after.compute_ft_auc(sets.num_forget), len(sets.held_out)
    num_judged = count_judged(
        sets.num_forget,
        len(sets.forget),
        num_test,
        margin=params.gate.auc_margin,
        pool_samples=params.gate.pool_samples,
    )
    judged_ft_auc = after.compute_ft_auc(num_judged)
    return {
        "num_forget": sets.num_forget,
        "num_forgotten": len(sets.forget),
        "num_test": num_test,
        "accuracy_base": before.accuracy,
        "accuracy": after.accuracy,
        "remain_accuracy": compute_accuracy(after.remain_logits, sets.remain.labels),
        "ft_auc_base": before.compute_ft_auc(sets.num_forget),
        "ft_auc": ft_auc,
        "ft_auc_all": after.compute_ft_auc(len(sets.forget)),
        "standard_error": None if ft_auc is None else auc_standard_error(sets.num_forget, num_test),
        "judged_ft_auc": judged_ft_auc,
        "agrees_with_gate": None
        if judged_ft_auc is None
        else judge_forgetting(judged_ft_auc, num_judged, num_test, params.gate.auc_margin).passed,
    }


def _trace_roc(sets: AuditSets, before: ModelAudit, after: ModelAudit) -> pd.DataFrame:
    curves: dict[str, npt.NDArray[np.float64]] = {}
    if sets.num_forget >= MIN_REPORTED:
        for name, audited in (("before", before), ("after", after)):
            forget_scores = audited.forget_scores[: sets.num_forget]
            curves["false_positive_rate"], curves[name] = roc_curve_binned(
                forget_scores, audited.held_out_scores, NUM_BINS
            )
    return pd.DataFrame(curves, columns=["false_positive_rate", "before", "after"])


def _bin_confidence(sets: AuditSets, before: ModelAudit, after: ModelAudit) -> pd.DataFrame:
    edges = np.linspace(0, 1, NUM_BINS + 1)
    table = pd.DataFrame({"confidence": edges[:-1]})
    for moment, audited in (("before", before), ("after", after)):
        for name, logits in (
            ("forget", audited.forget_logits[: sets.num_forget]),
            ("remain", audited.remain_logits),
            ("test", audited.held_out_logits),
        ):
            counts, _ = np.histogram(logits.softmax(dim=-1).amax(dim=-1).numpy(), edges)
            table[f"{name}_{moment}"] = counts / len(logits) if len(logits) >= MIN_REPORTED else np.nan
    return table


def _write_table(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6g")


if __name__ == "__main__":
    run_stage(report)
