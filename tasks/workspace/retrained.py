"""What exact retraining has left beside the base of the line, as the last wave that is recorded has it."""

import json
from pathlib import Path
from typing import Any

from amun.core.params import MIN_RETRAINED
from amun.core.paths import WAVE
from amun.evidence.wave import RetrainedFigures, parse_record
from tasks.tools.git import read_committed
from tasks.workspace.recorded import read_recorded

REBUILD = "until `amun base rebuild`"


def find_retrained(root: Path) -> RetrainedFigures | None:
    """Returns what exact retraining left beside the base of the last wave; None where that was not looked at.

    Raises:
        AmunError: no wave is recorded in HEAD, or its file there is damaged.
    """
    kept = parse_record(dict[str, Any], read_recorded(root, WAVE), f"{WAVE} in HEAD").get("retrained")
    return None if kept is None else parse_record(RetrainedFigures, json.dumps(kept), f"{WAVE} in HEAD")


def explain_other_number(root: Path, asked: int, *, judges_trace: bool) -> str:
    """Returns what the base has in place of so many models retrained beside it; empty where that is what was asked for.

    Args:
        root: of a workspace, perhaps one in which no wave was recorded.
        asked: `references.num_retrained`.
        judges_trace: `gate.max_trace` is not null.
    """
    if read_committed(root, WAVE) is None:
        return ""
    figures = find_retrained(root)
    before = 0 if figures is None else figures.num_asked
    if before == asked:
        if figures is None:
            return ""
        if max(len(figures.trace_by_person), len(figures.weights_by_person)) < MIN_RETRAINED:
            return f"bounds nothing: too few people for {MIN_RETRAINED} figures beside this base; write 0"
        if not figures.weights_by_person:
            return f"nobody had looked at the weights: they refuse nothing {REBUILD}"
        # where there are too few adversarial examples, neither trace was measured, nor would it be by a rebuild
        if judges_trace and figures.trace_by_person and not figures.trace:
            return f"nobody had looked at the trace by image: gate.max_trace bounds it {REBUILD}"
        return ""
    if figures is None:
        return f"was 0 for the base: nobody decides by trace or weights by person {REBUILD}"
    if not asked:
        return f"was {before} for the base: the bounds that they gave go on refusing {REBUILD}"
    return f"was {before} for the base: what these have shown stays {REBUILD}"
