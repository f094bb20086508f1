"""Step *look again*: does the model of tonight's attempt remember people whom earlier waves have forgotten?"""

import numpy as np
from prefect import task

from amun.audit.decision import count_references
from amun.audit.earlier import Earlier, choose_earlier, expect_base_memory
from amun.audit.night import read_night
from amun.audit.observations import explain_too_few
from amun.core.errors import AmunError
from amun.core.keys import load_secret
from amun.core.paths import AUDIT_LOGITS, CALIBRATION, TRAIN
from amun.evidence.attempts import read_decisions, write_decisions
from amun.evidence.earlier import BRINGS_BACK, EarlierFigures
from amun.evidence.figures import UnlearnFigures, read_figures
from amun.evidence.wave import Wave, parse_record, read_wave
from amun.store.drawing import find_strangers
from amun.store.samples import StoredOwners
from amun.store.store import read_owners, read_shape
from tasks.tools.options import TASK_OPTIONS
from tasks.tools.story import tell
from tasks.workspace.looks import Looks, read_looks
from tasks.workspace.stage_program import run_program
from tasks.workspace.workspace import Workspace


@task(name="look again", tags={"gpu"}, **TASK_OPTIONS | {"task_run_name": "look again attempt {number}"})
def look_at_earlier(workspace: Workspace, number: int) -> str:
    """Keeps what the attempt's model shows of earlier waves' people; returns why it is refused for it, else nothing.

    A model that was retrained exactly has seen none of them, and one that has nothing to forget is the one before.
    """
    root, limit = workspace.root, workspace.params.audit.earlier_people
    wave = read_wave(root)
    if not limit or not wave.forgotten or not wave.forget_ids or read_figures(UnlearnFigures, root).is_exact:
        return ""
    train = read_owners(root / TRAIN)
    looks = read_looks(root, wave)
    earlier = choose_earlier(wave, train, load_secret(root), limit, looks.turn)
    if not earlier.num_people:
        return ""
    figures = _look(workspace, wave, train, earlier, looks)
    decisions = read_decisions(root)
    kept = (made.model_copy(update={"earlier": figures}) if made.attempt == number else made for made in decisions)
    write_decisions(root, tuple(kept))
    tell(f"  earlier waves: {figures.describe()}")
    if not figures.brings_back:
        return ""
    margin = workspace.params.gate.max_memory_left
    return f"{BRINGS_BACK}: {figures.describe()}, shown to be more than {margin:g}"


def _look(workspace: Workspace, wave: Wave, train: StoredOwners, earlier: Earlier, looks: Looks) -> EarlierFigures:
    """Measures, unless so few people, samples or references can show nothing: then no program is started.

    Raises:
        AmunError: the program failed, or has looked at other people.
    """
    root = workspace.root
    calibration = read_owners(root / CALIBRATION)
    is_held_out = ~calibration.is_among(wave.gone_ids) & find_strangers(calibration, train)
    too_few = explain_too_few(
        (earlier.num_people, len(np.unique(calibration.subject_ids[is_held_out]))),
        (len(earlier.sample_ids), int(is_held_out.sum())),
        count_references(read_shape(root / AUDIT_LOGITS)),
    )
    if too_few:
        return EarlierFigures(num_people=earlier.num_people, num_held=earlier.num_held, not_computed=too_few)
    doing = "looking again at people of earlier waves"
    base_memory = expect_base_memory(earlier, wave, looks.nights, read_night(root))
    printed = run_program(root, "earlier", doing, str(looks.turn), repr(base_memory), is_printed=False)
    figures = parse_record(EarlierFigures, printed, "what the program has printed")
    if (figures.num_people, figures.num_held) != (earlier.num_people, earlier.num_held):
        raise AmunError(f"{doing}: their files have changed meanwhile; `amun wave run` goes on with the wave")
    return figures
