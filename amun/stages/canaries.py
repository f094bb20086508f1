"""Which canaries tonight needs: as few as let it show that its run forgets. No stage of DVC.

It names people on its last line, for the step that writes them into the wave by their keyed ids.
"""

import json
import math
import sys
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from amun.audit.canaries import match_canaries
from amun.audit.foresight import Foresight
from amun.core.keys import keyed_digest, load_secret
from amun.core.params import MIN_CANARIES, Params
from amun.core.paths import TRAIN
from amun.evidence.canaries import Canaries
from amun.evidence.wave import Wave, read_wave
from amun.stages.runner import run_stage
from amun.store.forgetting import add_canaries
from amun.store.store import read_owners

GROWTH = 1.2  # from one number of canaries that is tried to the next: no night takes a fifth more than it needs


def print_canaries(params: Params, device: torch.device, path: Path) -> None:
    """Prints tonight's canaries, as one line of JSON.

    Args:
        params: of the workspace.
        device: to compute on.
        path: of a JSON list of the people who may be taken.
    """
    pool = json.loads(path.read_text(encoding="utf-8"))
    print(Canaries(subject_ids=choose_canaries(params, device, read_wave(), pool)).model_dump_json())


def choose_canaries(params: Params, device: torch.device, wave: Wave, pool: list[str]) -> list[str]:
    """Returns the fewest canaries with whom the night can show that its run forgets.

    Args:
        params: of the workspace.
        device: to compute on.
        wave: tonight's, as it is without canaries.
        pool: who may be taken.

    Returns:
        Nobody where the night shows it without any, or not even with as many as it may take.
    """
    secret, train = load_secret(Path()), read_owners(TRAIN)
    asked = np.unique(train.subject_ids[train.is_among(wave.telling_ids)]).tolist()
    ready = draw_in_order(secret, "canary of a night", pool)
    # the night is to be like one in which so many of the others had asked; a night that is tried again draws the same
    is_left = ~train.is_erased & ~train.is_among(wave.gone_ids)
    others = set(train.subject_ids[is_left].tolist()).difference(pool, asked)
    drawn = draw_in_order(secret, "like whom", others)[: params.audit.canaries]
    # of the others a picture may have gone with somebody else's: references tell nothing of it any more
    looked_at = train.sample_ids[is_left & np.isin(train.subject_ids, [*pool, *drawn])].tolist()
    sight = Foresight(params, device, wave, looked_at)
    if not asked or not pool or not sight.foresee(wave).insufficient:
        return []
    if (likeness := sight.compare_people([*asked, *drawn, *ready])) is None:
        return []
    places = np.cumsum([len(asked), len(drawn)])
    of_asked, of_drawn, of_ready = (likeness.select(rows) for rows in np.split(np.arange(len(likeness.scores)), places))
    for number in list_numbers(min(len(ready), params.audit.canaries)):
        people = [ready[place] for place in match_canaries(of_asked, of_drawn, of_ready, number)]
        forgetting = add_canaries(wave.forgetting, secret, train, people)
        if people and not sight.foresee(wave.model_copy(update={"forgetting": forgetting})).insufficient:
            return sorted(people)
    return []


def draw_in_order(secret: bytes, purpose: str, people: Collection[str]) -> list[str]:
    """Returns people in an order that nobody without the secret can foresee, or has chosen."""
    return sorted(people, key=lambda person: keyed_digest(secret, purpose, person.encode()))


def list_numbers(most: int) -> Iterator[int]:
    """Yields the numbers of canaries to try, the least first and `most` at last; none where that is too few."""
    number = MIN_CANARIES
    while number < most:
        yield number
        number = math.ceil(number * GROWTH)
    if most >= MIN_CANARIES:
        yield most


if __name__ == "__main__":
    run_stage(partial(print_canaries, path=Path(sys.argv[1])))
