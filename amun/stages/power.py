"""Stage `power`: what tonight's people could show, before anything is tried on them."""

import torch

from amun.audit.foresight import Foresight
from amun.core.params import Params
from amun.core.paths import POWER_METRICS
from amun.evidence.wave import read_wave, write_json
from amun.stages.runner import run_stage


def measure_power(params: Params, device: torch.device) -> None:
    """Writes how many people there are, how much the base remembers of them, and what exact retraining would show."""
    wave = read_wave()
    write_json(POWER_METRICS, Foresight(params, device, wave).foresee(wave))


if __name__ == "__main__":
    run_stage(measure_power)
