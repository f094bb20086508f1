"""Stage `report`: the test half, read once, after the gate has decided."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from amun.audit.measuring import WaveAudit, add_memory, audit_half, fit_to_night
from amun.audit.night import read_night
from amun.audit.plain import compute_confidence_auc, find_confidence, measure_svc_shares
from amun.audit.retrained import bound_trace, bound_weights
from amun.audit.roc import roc_curve_binned
from amun.audit.trace import Trace, measure_trace, search_others
from amun.audit.weights import measure_weights
from amun.core.params import Params
from amun.core.paths import CONFIDENCE, REPORT_METRICS, ROC, TEST, TRAIN, UNLEARNED, WAVE_BASE
from amun.core.stage_result import Work
from amun.evidence.figures import ReportFigures
from amun.evidence.wave import MIN_REPORTED, read_wave, write_json
from amun.model.building import load_for
from amun.model.training import compute_accuracy
from amun.stages.runner import run_stage
from amun.store.store import read_shape

NUM_BINS = 20


def report(params: Params, device: torch.device) -> Work:
    """Writes the wave's figures on the test half, the ROC curve and the histograms of confidence.

    Returns:
        how many samples it has looked at.
    """
    audited = audit_half(params, device, TEST)
    write_json(REPORT_METRICS, _compute_figures(audited, params, device))
    _write_table(ROC, _draw_roc(audited))
    _write_table(CONFIDENCE, _bin_confidence(audited))
    return Work(audited.sets.num_samples)


def _compute_figures(audited: WaveAudit, params: Params, device: torch.device) -> ReportFigures:
    sets, before, after, retrained = audited.sets, audited.before, audited.after, read_wave().retrained
    ft_auc = after.compute_ft_auc()
    trace, weights = _measure_traces(audited, params, device)
    figures = ReportFigures(
        num_forget=sets.num_forget,
        num_test=len(sets.held_out),
        accuracy_base=before.accuracy,
        accuracy=after.accuracy,
        remain_accuracy=compute_accuracy(after.remain_logits, sets.remain.labels)
        if len(sets.remain) >= MIN_REPORTED
        else None,
        ft_auc_base=before.compute_ft_auc(),
        ft_auc=ft_auc,
        standard_error=None if ft_auc is None else audited.compute_standard_error(),
        confidence_auc_base=compute_confidence_auc(audited.sets_before, before),
        confidence_auc=compute_confidence_auc(sets, after),
        trace=trace.auc,
        trace_standard_error=trace.standard_error,
        trace_by_person=trace.auc_by_person,
        max_trace_by_person=bound_trace(retrained, trace.num_people),
        trace_by_person_standard_error=trace.standard_error_by_person,
        weights_by_person=weights.auc_by_person,
        max_weights_by_person=bound_weights(retrained, weights.num_people),
        weights_by_person_standard_error=weights.standard_error_by_person,
        not_measured=audited.not_measured,
    )
    shares = {} if audited.num_references else measure_svc_shares(sets, after)
    reported = add_memory(figures.model_copy(update=shares), audited.memory, params, is_refuting=True)
    return fit_to_night(reported, audited.memory, read_night(), params)


def _measure_traces(audited: WaveAudit, params: Params, device: torch.device) -> tuple[Trace, Trace]:
    """Returns what whoever holds the base sees by adversarial examples, and what by the weights."""
    shape, sets = read_shape(TRAIN), audited.sets
    base, unlearned = (load_for(params, shape, device, path) for path in (WAVE_BASE, UNLEARNED))
    others = search_others(base, sets.held_out, sets.num_forget, params.adversarial, device)
    weights = measure_weights(base, unlearned, sets.forget, sets.held_out, device)
    return measure_trace(params, device, unlearned, others), weights


def _draw_roc(audited: WaveAudit) -> pd.DataFrame:
    curves: dict[str, npt.NDArray[np.float64]] = {}
    for name, scores in (("before", audited.before.scores), ("after", audited.after.scores)):
        if scores is not None and audited.after.compute_ft_auc() is not None:
            curves["false_positive_rate"], curves[name] = roc_curve_binned(scores.forget, scores.held_out, NUM_BINS)
    return pd.DataFrame(curves, columns=["false_positive_rate", "before", "after"])


def _bin_confidence(audited: WaveAudit) -> pd.DataFrame:
    num_forget = audited.sets.num_forget
    edges = np.linspace(0, 1, NUM_BINS + 1)
    table = pd.DataFrame({"confidence": edges[:-1]})
    for moment, model, sets in (
        ("before", audited.before, audited.sets_before),
        ("after", audited.after, audited.sets),
    ):
        for name, logits, labels in (
            ("forget", model.forget_logits, sets.forget.labels),
            ("remain", model.remain_logits, sets.remain.labels),
            ("test", model.held_out_logits, sets.held_out.labels),
        ):
            # The last wave's report has the same model's histogram of the images left then. Where few are forgotten
            # tonight, the difference of the two would show those few.
            is_told = moment == "after" or name != "remain" or num_forget not in range(1, MIN_REPORTED)
            counts, _ = np.histogram(find_confidence(logits, labels).numpy(), edges)
            is_enough = len(logits) >= MIN_REPORTED
            table[f"{name}_{moment}"] = counts / len(logits) if is_told and is_enough else np.nan
    return table


def _write_table(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6g")


if __name__ == "__main__":
    run_stage(report)
