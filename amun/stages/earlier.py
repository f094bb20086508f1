"""What the model at hand remembers of people whom earlier waves have forgotten. No stage of DVC: they may be erased.

It prints counts and figures of all together, as one line of JSON, and writes nothing.
"""

import sys
from functools import partial
from pathlib import Path

import torch

from amun.audit.earlier import choose_earlier, judge_earlier
from amun.audit.gather import compute_model_signals, gather_evidence
from amun.audit.memory import measure_memory
from amun.core.keys import load_secret
from amun.core.params import Params
from amun.core.paths import AUDIT_INCLUSION, AUDIT_LOGITS, CALIBRATION, TRAIN, UNLEARNED
from amun.evidence.wave import read_wave
from amun.model.building import load_for
from amun.model.training import compute_logits
from amun.stages.runner import run_stage
from amun.store.drawing import find_strangers
from amun.store.opening import SampleOpener
from amun.store.samples import read_samples
from amun.store.store import read_owners, read_shape


def look_at_earlier(params: Params, device: torch.device, turn: int, base_memory: float) -> None:
    """Prints what `wave/unlearned.safetensors` shows of some people of earlier waves, by the calibration half.

    Args:
        params: of the workspace.
        device: to compute on.
        turn: how many recorded waves have looked before.
        base_memory: what a base remembered of these people, as a share of what references remember.
    """
    wave, train = read_wave(), read_owners(TRAIN)
    earlier = choose_earlier(wave, train, load_secret(Path()), params.audit.earlier_people, turn)
    forget = read_samples(TRAIN, sample_ids=earlier.sample_ids)
    half = SampleOpener(params.runtime, device).open(CALIBRATION, without=wave.gone_ids)
    held_out = half.select(find_strangers(half, train))
    asked = [*earlier.sample_ids, *held_out.sample_ids.tolist()]
    references, inclusion = (read_samples(path, sample_ids=asked) for path in (AUDIT_LOGITS, AUDIT_INCLUSION))
    evidence = gather_evidence(forget, held_out, references, inclusion, params.audit)
    memory = None
    if evidence is not None:
        model = load_for(params, read_shape(TRAIN), device, UNLEARNED)
        logits = [compute_logits(model, part.image_set(device)) for part in (forget, held_out)]
        signals = compute_model_signals(logits[0], logits[1], forget, held_out, params.audit)
        memory = measure_memory(evidence, signals, signals)
    print(judge_earlier(earlier, memory, base_memory, params.gate.max_memory_left).model_dump_json())


if __name__ == "__main__":
    run_stage(partial(look_at_earlier, turn=int(sys.argv[1]), base_memory=float(sys.argv[2])))
