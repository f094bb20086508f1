"""What the gate asked of a wave, as the wave's commit has it: its parameters, and the accuracy that it was held to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from amun.core.errors import AmunError
from amun.core.paths import PARAMS, POWER_METRICS, WAVE
from amun.ledger import Wave
from tasks.tools.git_objects import read_blobs


@dataclass(frozen=True)
class GateRules:
    """The gate's parameters.

    Attributes:
        max_accuracy_drop: 0 to 1.
        auc_margin: of the FT AUC around 0.5.
        max_memory_left: of what the base remembered, on either side of 0; None in waves that were not judged by it.
        max_trace: of the larger of trace and 1 - trace; None where the gate does not judge it.
        pool_samples: a wave of fewer was judged together with people forgotten earlier, as version 0.1 did.
    """

    max_accuracy_drop: float
    auc_margin: float
    max_memory_left: float | None
    max_trace: float | None
    pool_samples: int = 0


@dataclass(frozen=True)
class Bounds:
    """What the gate asked of a wave, and of how many people.

    Attributes:
        rules: its parameters.
        least_accuracy: that an approximate attempt was let pass with, on the calibration half; None where the wave was
            held to none.
        num_people: whose training samples the wave forgot; None where it does not say.
        num_unseen: people never trained on, in the half by which the gate judged, and about as many in the other; None
            likewise.
    """

    rules: GateRules
    least_accuracy: float | None = None
    num_people: int | None = None
    num_unseen: int | None = None


def parse_rules(content: str | bytes, where: str) -> GateRules:
    """Returns the gate's parameters in a `params.yaml`.

    Raises:
        AmunError: it is damaged; the line says `where` it stands.
    """
    try:
        gate: dict[str, Any] = yaml.safe_load(content)["gate"]
        bounds = gate["max_accuracy_drop"], gate["auc_margin"], gate.get("max_memory_left"), gate.get("max_trace")
        return GateRules(*bounds, gate.get("pool_samples") or 0)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise AmunError(f"{where} in git is damaged: {error}") from None


def read_bounds(root: Path, waves: Sequence[Wave]) -> dict[int, Bounds]:
    """Returns what the gate asked of each wave, by its number; nothing of one whose commit is not in this clone.

    Raises:
        AmunError: git cannot read it, or it is damaged.
    """
    commits = {wave.number: wave.commit for wave in waves if wave.commit is not None}
    paths = (PARAMS, WAVE, POWER_METRICS)
    found = read_blobs(root, [f"{commit}:{path}" for commit in commits.values() for path in paths])
    # nights differ in few of their parameters, if in any, and YAML takes long to read
    parsed: dict[bytes, GateRules] = {}
    bounds = {}
    for number, commit in commits.items():
        params, recorded, power = (found[f"{commit}:{path}"] for path in paths)
        if params is not None:
            if params not in parsed:
                parsed[params] = parse_rules(params, f"{commit}:{PARAMS}")
            bounds[number] = _describe(parsed[params], recorded, power, commit)
    return bounds


def _describe(rules: GateRules, recorded: bytes | None, power: bytes | None, commit: str) -> Bounds:
    from amun.audit.night import choose_yardstick  # takes PyTorch, which the record of a request does not need

    try:
        yardstick: float | None = None if recorded is None else json.loads(recorded).get("yardstick")
        night: dict[str, Any] = {} if power is None else json.loads(power)
        least = None
        if yardstick is not None:
            drop = rules.max_accuracy_drop
            least = choose_yardstick(yardstick, night.get("expected_accuracy"), drop) - drop
        return Bounds(rules, least, night.get("num_people"), night.get("num_held_out_people"))
    except (ValueError, AttributeError, TypeError) as error:
        raise AmunError(f"{commit}:{WAVE} or {POWER_METRICS} there is damaged: {error}") from None
