"""Stage `audit`: judges an attempt on the calibration half, before and after, with the audit references."""

import torch

from amun.audit.measuring import WaveAudit, add_memory, add_refuting, audit_half, fit_to_night, select_strangers
from amun.audit.night import NightPower, read_night
from amun.audit.plain import compute_confidence_auc
from amun.audit.retrained import bound_trace, bound_trace_by_person, bound_weights
from amun.audit.trace import Trace, measure_trace
from amun.audit.weights import measure_weights
from amun.core.params import Params
from amun.core.paths import AUDIT_METRICS, CALIBRATION, HELD_OUT_ADVERSARIAL, TRAIN, UNLEARNED, WAVE_BASE
from amun.core.stage_result import Work
from amun.evidence.figures import AuditFigures
from amun.evidence.wave import RetrainedFigures, read_wave, write_json
from amun.model.building import load_for
from amun.stages.runner import run_stage
from amun.store.samples import read_samples
from amun.store.store import read_shape


def audit(params: Params, device: torch.device) -> Work:
    """Writes accuracy and FT AUC of base and unlearned model, and the figures that the gate judges.

    Returns:
        how many samples it has looked at.
    """
    wave, audited = read_wave(), audit_half(params, device, CALIBRATION)
    base, unlearned = (load_for(params, read_shape(TRAIN), device, path) for path in (WAVE_BASE, UNLEARNED))
    trace = measure_trace(params, device, unlearned, read_samples(HELD_OUT_ADVERSARIAL), wave.figure_ids)
    weights = measure_weights(base, unlearned, audited.sets.forget, select_strangers(audited.sets.held_out), device)
    write_json(AUDIT_METRICS, describe_audit(audited, trace, weights, wave.retrained, read_night(), params))
    return Work(audited.sets.num_samples)


def describe_audit(
    audited: WaveAudit,
    trace: Trace,
    weights: Trace,
    retrained: RetrainedFigures | None,
    night: NightPower,
    params: Params,
) -> AuditFigures:
    """Returns what the gate is told of an attempt.

    Args:
        audited: the calibration half.
        trace: of the attempt, beside people of that half.
        weights: what its weights tell, likewise.
        retrained: what exact retraining was found to leave; None where nothing was retrained for that.
        night: what it could show.
        params: all of `params.yaml`.
    """
    figures = AuditFigures(
        num_forget=audited.sets.num_forget,
        num_calibration=len(audited.sets.held_out),
        num_references=audited.num_references,
        accuracy_base=audited.before.accuracy,
        accuracy=audited.after.accuracy,
        ft_auc_base=audited.before.compute_ft_auc(),
        ft_auc=audited.after.compute_ft_auc(),
        standard_error=audited.compute_standard_error(),
        confidence_auc_base=compute_confidence_auc(audited.sets_before, audited.before),
        confidence_auc=compute_confidence_auc(audited.sets, audited.after),
        trace=trace.auc,
        trace_standard_error=trace.standard_error,
        max_trace=bound_trace(retrained, trace.num_people),
        trace_by_person=trace.auc_by_person,
        max_trace_by_person=bound_trace_by_person(retrained, trace.num_people),
        weights_by_person=weights.auc_by_person,
        max_weights_by_person=bound_weights(retrained, weights.num_people),
        not_measured=audited.not_measured,
    )
    judged = add_refuting(add_memory(figures, audited.memory, params), audited.memory, params)
    return fit_to_night(judged, audited.memory, night, params)


if __name__ == "__main__":
    run_stage(audit)
