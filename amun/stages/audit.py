"""Stage `audit`: judges an attempt on the calibration half, before and after, with the audit references."""

import torch

from amun.audit.decision import count_judged
from amun.audit.evaluation import audit_model, choose_audit_sets
from amun.audit.roc import auc_standard_error
from amun.data.samples import read_samples
from amun.params import Params
from amun.paths import AUDIT_LOGITS, AUDIT_METRICS, CALIBRATION, TRAIN, UNLEARNED, WAVE_BASE
from amun.stages.common import load_for
from amun.stages.runner import run_stage
from amun.wave import read_wave, write_json


def audit(params: Params, device: torch.device) -> None:
    """Writes accuracy and FT AUC of base and unlearned model, and the figure that the gate judges."""
    train = read_samples(TRAIN)
    sets = choose_audit_sets(read_wave(), train, read_samples(CALIBRATION), read_samples(AUDIT_LOGITS))
    before = audit_model(load_for(params, train, device, WAVE_BASE), sets, params.audit)
    after = audit_model(load_for(params, train, device, UNLEARNED), sets, params.audit)
    num_calibration = len(sets.held_out)
    num_judged = count_judged(
        sets.num_forget,
        len(sets.forget),
        num_calibration,
        margin=params.gate.auc_margin,
        pool_samples=params.gate.pool_samples,
    )
    figures = {
        "num_forget": sets.num_forget,
        "num_judged": num_judged,
        "num_calibration": num_calibration,
        "accuracy_base": before.accuracy,
        "accuracy": after.accuracy,
        "ft_auc_base": before.compute_ft_auc(sets.num_forget),
        "ft_auc": after.compute_ft_auc(sets.num_forget),
        "judged_ft_auc": after.compute_ft_auc(num_judged),
        "standard_error": auc_standard_error(num_judged, num_calibration) if num_judged else None,
    }
    write_json(AUDIT_METRICS, figures)


if __name__ == "__main__":
    run_stage(audit)
