"""Stage `power`: what tonight's people could show, before anything is tried on them."""

import torch

from amun.audit.expected import expect_accuracy, is_retraining_alike
from amun.audit.gather import compute_model_signals, gather_evidence
from amun.audit.memory import measure_memory
from amun.audit.night import foresee_night, share_alpha
from amun.audit.sizes import read_sizes
from amun.core.params import Params
from amun.core.paths import AUDIT_INCLUSION, AUDIT_LOGITS, CALIBRATION, POWER_METRICS, TRAIN, WAVE_BASE
from amun.evidence.wave import read_wave, write_json
from amun.model.building import load_for
from amun.model.training import compute_logits
from amun.stages.runner import run_stage
from amun.store.drawing import find_strangers
from amun.store.opening import SampleOpener
from amun.store.samples import read_samples
from amun.store.store import read_owners, read_shape


def measure_power(params: Params, device: torch.device) -> None:
    """Writes how many people there are, how much the base remembers of them, and what exact retraining would show."""
    wave = read_wave()
    sizes, train = read_sizes(wave), read_owners(TRAIN)
    forget = read_samples(TRAIN, sample_ids=wave.telling_ids)
    half_before = SampleOpener(params.runtime, device).open(CALIBRATION, without=wave.earlier_gone_ids)
    half = half_before.select(~half_before.is_among(wave.gone_ids))
    held_out = half.select(find_strangers(half, train))
    references, inclusion = (
        read_samples(path, without=wave.earlier_gone_ids) for path in (AUDIT_LOGITS, AUDIT_INCLUSION)
    )
    evidence = gather_evidence(forget, held_out, references, inclusion, params.audit)
    memory, expected = None, None
    if is_retraining_alike(params):
        expected = expect_accuracy(half_before, train, references, inclusion, sizes, wave.yardstick)
    if evidence is not None and not evidence.explain_missing():
        model = load_for(params, read_shape(TRAIN), device, WAVE_BASE)
        logits = [compute_logits(model, part.image_set(device)) for part in (forget, held_out)]
        base = compute_model_signals(logits[0], logits[1], forget, held_out, params.audit)
        memory = measure_memory(evidence, base, base, sizes.growth)
    night = foresee_night(
        forget,
        held_out,
        memory,
        0 if evidence is None else evidence.num_references,
        expected,
        yardstick=wave.yardstick,
        margin=params.gate.max_memory_left,
        max_accuracy_drop=params.gate.max_accuracy_drop,
        alpha=share_alpha(params.unlearning.attempts),
    )
    write_json(POWER_METRICS, night)


if __name__ == "__main__":
    run_stage(measure_power)
