"""Stage `power`: what tonight's people could show, before anything is tried on them."""

import numpy as np
import torch

from amun.audit.evidence import compute_model_signals, gather_evidence
from amun.audit.night import foresee_night, share_alpha
from amun.data.samples import Samples, read_samples
from amun.data.store import read_shape
from amun.params import Params
from amun.paths import AUDIT_INCLUSION, AUDIT_LOGITS, CALIBRATION, POWER_METRICS, TRAIN, WAVE_BASE
from amun.stages.common import load_for
from amun.stages.runner import run_stage
from amun.training import compute_logits
from amun.wave import read_wave, write_json


def measure_power(params: Params, device: torch.device) -> None:
    """Writes how many people there are, how much the base remembers of them, and what exact retraining would show."""
    wave = read_wave()
    forget, held_out = read_samples(TRAIN, sample_ids=wave.forget_ids), read_samples(CALIBRATION)
    held_out = held_out.select(~held_out.is_among(wave.gone_ids))
    evidence = gather_evidence(
        forget, held_out, read_samples(AUDIT_LOGITS), read_samples(AUDIT_INCLUSION), params.audit
    )
    base = None
    if evidence is not None and len(forget):
        model = load_for(params, read_shape(TRAIN), device, WAVE_BASE)
        logits = [compute_logits(model, part.images.to(device)) for part in (forget, held_out)]
        base = compute_model_signals(logits[0], logits[1], forget, held_out, params.audit)
    num_people = _count_people(forget), _count_people(held_out)
    alpha = share_alpha(params.unlearning.attempts)
    write_json(POWER_METRICS, foresee_night(evidence, base, num_people, params.gate.max_memory_left, alpha))


def _count_people(samples: Samples) -> int:
    return len(np.unique(samples.subject_ids))


if __name__ == "__main__":
    run_stage(measure_power)
