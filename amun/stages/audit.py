"""Stage `audit`: judges an attempt on the calibration half, before and after, with the audit references."""

import torch

from amun.audit.plain import compute_confidence_auc
from amun.data.samples import read_samples
from amun.data.store import read_shape
from amun.params import Params
from amun.paths import AUDIT_METRICS, CALIBRATION, HELD_OUT_ADVERSARIAL, TRAIN, UNLEARNED
from amun.stages.auditing import WaveAudit, audit_half, describe_memory
from amun.stages.common import load_for
from amun.stages.runner import run_stage
from amun.stages.tracing import measure_trace
from amun.wave import write_json


def audit(params: Params, device: torch.device) -> None:
    """Writes accuracy and FT AUC of base and unlearned model, and the figures that the gate judges."""
    audited = audit_half(params, device, CALIBRATION)
    unlearned, others = load_for(params, read_shape(TRAIN), device, UNLEARNED), read_samples(HELD_OUT_ADVERSARIAL)
    trace = measure_trace(params, device, unlearned, (others.images.to(device), others.labels))
    write_json(AUDIT_METRICS, describe_audit(audited, trace, params))


def describe_audit(audited: WaveAudit, trace: float | None, params: Params) -> dict[str, float | str | None]:
    """Returns what the gate is told of an attempt, from its audit on the calibration half and its trace."""
    num_forget = audited.sets.num_forget
    return {
        "num_forget": num_forget,
        "num_calibration": len(audited.sets.held_out),
        "num_references": audited.num_references,
        "accuracy_base": audited.before.accuracy,
        "accuracy": audited.after.accuracy,
        "ft_auc_base": audited.before.compute_ft_auc(num_forget),
        "ft_auc": audited.after.compute_ft_auc(num_forget),
        "standard_error": audited.compute_standard_error(num_forget),
        **describe_memory(audited.memory, params),
        "confidence_auc_base": compute_confidence_auc(audited.sets_before, audited.before),
        "confidence_auc": compute_confidence_auc(audited.sets, audited.after),
        "trace": trace,
        "not_measured": audited.not_measured,
    }


if __name__ == "__main__":
    run_stage(audit)
