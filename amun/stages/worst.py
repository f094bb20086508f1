"""Who of a wave's people stands out most from strangers, by the test half: `amun wave show N --worst`. No stage of DVC.

It runs in a work tree of its own. What it prints names people: no file does.
"""

import numpy as np
import torch

from amun.audit.measuring import audit_half
from amun.core.errors import InputError
from amun.core.params import Params
from amun.core.paths import TEST
from amun.evidence.worst import PersonScore, Worst
from amun.stages.runner import run_stage

MAX_NAMED = 10


def find_worst(params: Params, device: torch.device) -> None:
    """Prints, as one line of JSON, the people with the largest scores, at most ten, the largest first; no canaries.

    Raises:
        InputError: people, samples or references are too few for any score.
    """
    memory = audit_half(params, device, TEST).memory
    if memory is None:
        raise InputError("nobody has a score: people, samples or references are too few (docs/audit.md)")
    order = np.argsort(-memory.scores, kind="stable")[:MAX_NAMED]
    people = tuple(PersonScore(subject_id=str(memory.people[one]), score=float(memory.scores[one])) for one in order)
    print(Worst(bound=memory.score_bound, num_people=len(memory.people), people=people).model_dump_json())


if __name__ == "__main__":
    run_stage(find_worst)
