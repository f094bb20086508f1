"""Not a DVC stage: retrains exactly on what remained at the wave, and audits that model beside the wave's own.

A night never retrains for comparison; `amun wave compare` runs this at the wave's tag.
"""

import torch

from amun.audit.evaluation import audit_model, choose_audit_sets
from amun.data.samples import read_samples
from amun.data.store import read_shape
from amun.errors import InputError
from amun.params import Params
from amun.paths import AUDIT_LOGITS, COMPARISON, TEST, TRAIN, WAVE_BASE
from amun.progress import show_progress
from amun.stages.auditing import describe_memory, measure_wave_memory
from amun.stages.common import build_for, describe_epoch, load_for
from amun.stages.runner import run_stage
from amun.stages.tracing import measure_trace, search_others
from amun.trainer import count_epochs, train_model
from amun.wave import read_wave, write_json


def compare(params: Params, device: torch.device) -> None:
    """Writes the exactly retrained model's accuracy, memory left, FT AUC and trace on the test half; then drops it.

    Raises:
        InputError: the remaining training samples are not at hand.
    """
    if params.data.remain == "none":
        raise InputError("data.remain is none: exact retraining needs the remaining training samples")
    references = read_samples(AUDIT_LOGITS)
    wave = read_wave()
    sets = choose_audit_sets(wave, read_samples(TRAIN), read_samples(TEST), references)
    model = build_for(params, read_shape(TRAIN), device, params.training.seed)
    with show_progress("retrain", count_epochs(params.training), "epochs") as advance:
        train_model(
            model,
            sets.remain.images.to(device),
            sets.remain.labels.to(device),
            params=params.training,
            precision=params.runtime.precision,
            on_epoch=lambda metrics: advance(describe_epoch(metrics)),
        )
    audited = audit_model(model, sets, params.audit)
    base = load_for(params, read_shape(TRAIN), device, WAVE_BASE)
    others = search_others(base, sets.held_out, sets.num_forget, params.adversarial, device)
    before = audit_model(base, sets, params.audit)
    of_base, of_model = ((each.forget_logits, each.held_out_logits) for each in (before, audited))
    memory = measure_wave_memory(sets, references, of_base, of_model, params, wave.telling_ids)
    figures = {
        "accuracy": audited.accuracy,
        **describe_memory(memory, params),
        "ft_auc": audited.compute_ft_auc(sets.num_forget),
        "trace": measure_trace(params, device, model, others),
    }
    write_json(COMPARISON, figures)


if __name__ == "__main__":
    run_stage(compare)
