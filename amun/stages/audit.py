"""Stage `audit`: judges an attempt on the calibration half, before and after, with the audit references."""

import torch

from amun.audit.plain import compute_confidence_auc
from amun.params import Params
from amun.paths import AUDIT_METRICS, CALIBRATION
from amun.stages.auditing import audit_half
from amun.stages.runner import run_stage
from amun.wave import write_json


def audit(params: Params, device: torch.device) -> None:
    """Writes accuracy and FT AUC of base and unlearned model, and the figure that the gate judges."""
    audited = audit_half(params, device, CALIBRATION)
    num_forget, num_judged = audited.sets.num_forget, audited.num_judged
    judged_ft_auc, ft_auc = audited.after.compute_nested_ft_aucs([num_judged, num_forget])
    figures = {
        "num_forget": num_forget,
        "num_judged": num_judged,
        "num_calibration": len(audited.sets.held_out),
        "num_references": audited.num_references,
        "accuracy_base": audited.before.accuracy,
        "accuracy": audited.after.accuracy,
        "ft_auc_base": audited.before.compute_ft_auc(num_forget),
        "ft_auc": ft_auc,
        "judged_ft_auc": judged_ft_auc,
        "standard_error": audited.compute_standard_error(num_judged),
        "confidence_auc_base": compute_confidence_auc(audited.sets_before, audited.before),
        "confidence_auc": compute_confidence_auc(audited.sets, audited.after),
        "not_measured": audited.not_measured,
    }
    write_json(AUDIT_METRICS, figures)


if __name__ == "__main__":
    run_stage(audit)
