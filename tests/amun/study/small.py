"""A small study of real digits, and what its jobs have come to."""

import json
from pathlib import Path
from typing import Any

import yaml

from amun.store.samples import read_samples
from amun.study.preset import SHIPPED, Preset


def make_preset() -> Preset:
    content = yaml.safe_load((SHIPPED / "digits.yaml").read_text(encoding="utf-8"))
    content["params"]["model"]["options"] = {"channels": [8, 8]}
    content["params"]["data"]["num_samples"] = 400
    content["params"]["training"]["epochs"] = 15
    content["params"]["references"] = {"num_audit": 2, "num_target": 2, "seed": 0}
    content["params"]["unlearning"]["epochs"] = 2
    scale = {"shares": [0.2], "num_forget_sets": 1, "num_seeds": 1}
    content |= {"scale": scale, "full": scale, "num_trials": 2, "num_waves": 2, "delta_factors": [1.0, 3.0]}
    return Preset.model_validate(content)


def read_found(path: Path) -> Any:
    """Returns all that a job has come to but what it took."""
    if path.suffix == ".parquet":
        samples = read_samples(path)
        return samples.subject_ids.tolist(), samples.payloads.tolist()
    if path.suffix != ".json":
        return path.read_bytes()
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: value for name, value in found.items() if name not in ("costs", "seconds", "peak_mib")}
