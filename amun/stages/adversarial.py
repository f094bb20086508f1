"""Stage `adversarial`: finds for each forget sample the nearest adversarial example of the base (Algorithm 1)."""

import math

import numpy as np
import torch

from amun.adversarial.search import find_adversarial
from amun.data.samples import Samples, read_samples, write_samples
from amun.errors import AmunError
from amun.params import Params
from amun.paths import ADVERSARIAL, ADVERSARIAL_METRICS, TRAIN, WAVE_BASE
from amun.progress import show_progress
from amun.stages.common import load_for
from amun.stages.runner import run_stage
from amun.wave import MIN_REPORTED, read_wave, write_json


def build_adversarial_set(params: Params, device: torch.device) -> None:
    """Writes D_A: the adversarial images (float32) with the base's wrong labels; no rows where nothing is forgotten.

    A batch in which the search finds none for some sample is left out and counted as missing.
    """
    train = read_samples(TRAIN)
    forget = train.select(train.is_among(read_wave().forget_ids))
    model = load_for(params, train, device, WAVE_BASE)
    batch_size = params.adversarial.batch_size
    is_found = np.zeros(len(forget), dtype=np.bool_)
    images, labels, norms = [forget.images[:0]], [forget.labels[:0]], [torch.empty(0)]
    with show_progress("adversarial", math.ceil(len(forget) / batch_size), "batches") as advance:
        for start in range(0, len(forget), batch_size):
            batch = slice(start, start + batch_size)
            try:
                found = find_adversarial(
                    model,
                    forget.images[batch].to(device),
                    forget.labels[batch].to(device),
                    params=params.adversarial,
                    sample_ids=forget.sample_ids[batch].tolist(),
                )
            except AmunError as error:
                # exact retraining needs none of them: the wave goes on, and the other attempts refuse
                print(f"  {error}", flush=True)
                continue
            is_found[batch] = True
            images.append(found.images.cpu())
            labels.append(found.labels.cpu())
            norms.append(found.delta_norm.cpu())
            advance()
    sample_ids, subject_ids = forget.sample_ids[is_found], forget.subject_ids[is_found]
    write_samples(ADVERSARIAL, Samples(sample_ids, subject_ids, torch.cat(labels), torch.cat(images)))
    mean_norm = float(torch.cat(norms).mean()) if is_found.sum() >= MIN_REPORTED else None
    counts = {"num_forget": len(forget), "num_missing": int((~is_found).sum())}
    write_json(ADVERSARIAL_METRICS, counts | {"mean_delta_norm": mean_norm})


if __name__ == "__main__":
    run_stage(build_adversarial_set)
