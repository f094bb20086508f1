"""Not a DVC stage: retrains exactly on what remained at the wave, and audits that model beside the wave's own.

A night never retrains for comparison; `amun wave compare` runs this at the wave's tag.
"""

import torch

from amun.audit.evaluation import audit_model, choose_audit_sets
from amun.audit.measuring import add_memory, keep_shown, measure_wave_memory, select_strangers
from amun.audit.trace import measure_trace, search_others
from amun.audit.weights import measure_weights
from amun.core.errors import InputError
from amun.core.params import Params
from amun.core.paths import AUDIT_LOGITS, COMPARISON, TEST, TRAIN, WAVE_BASE
from amun.evidence.figures import Comparison
from amun.evidence.wave import read_wave, write_json
from amun.model.building import build_for, load_for
from amun.model.history import show_epochs
from amun.model.trainer import count_epochs, train_model
from amun.stages.runner import run_stage
from amun.store.opening import SampleOpener
from amun.store.samples import read_samples
from amun.store.store import read_shape


def compare(params: Params, device: torch.device) -> None:
    """Writes the exactly retrained model's accuracy, memory left, FT AUC and trace on the test half; then drops it.

    Raises:
        InputError: the remaining training samples are not at hand.
    """
    if params.data.remain == "none":
        raise InputError("data.remain is none: exact retraining needs the remaining training samples")
    wave = read_wave()
    gone, opener = wave.earlier_gone_ids, SampleOpener(params.runtime, device)
    train, test = (opener.open(path, without=gone) for path in (TRAIN, TEST))
    references = read_samples(AUDIT_LOGITS, without=gone)
    sets = choose_audit_sets(wave, train, test, references)
    model = build_for(params, read_shape(TRAIN), device, params.training.seed)
    with show_epochs("retrain", count_epochs(params.training)) as show:
        train_model(
            model,
            sets.remain.image_set(device),
            sets.remain.labels.to(device),
            params=params.training,
            precision=params.runtime.precision,
            on_epoch=show,
        )
    audited = audit_model(model, sets, params.audit)
    base = load_for(params, read_shape(TRAIN), device, WAVE_BASE)
    before = audit_model(base, sets, params.audit)
    of_base, of_model = ((each.forget_logits, each.held_out_logits) for each in (before, audited))
    memory = measure_wave_memory(sets, references, of_base, of_model, params, wave)
    shown, shown_audit = keep_shown(wave, sets, audited)
    strangers = select_strangers(shown.held_out)
    others = search_others(base, strangers, shown.num_forget, params.adversarial, device)
    trace = measure_trace(params, device, model, others, wave.figure_ids)
    weights = measure_weights(base, model, shown.forget, strangers, device)
    figures = Comparison(
        accuracy=audited.accuracy,
        ft_auc=shown_audit.compute_ft_auc(),
        trace=trace.auc,
        trace_by_person=trace.auc_by_person,
        weights_by_person=weights.auc_by_person,
    )
    write_json(COMPARISON, add_memory(figures, memory, params))


if __name__ == "__main__":
    run_stage(compare)
