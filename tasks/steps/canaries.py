"""Step *take canaries*: who is forgotten along with those who asked, where these alone could not show it."""

import json
from datetime import UTC, datetime

from prefect import task

from amun.audit.decision import Plan
from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.core.keys import load_secret
from amun.core.paths import TRAIN, WAVE
from amun.core.temporary import open_temporary
from amun.evidence.canaries import Canaries
from amun.evidence.wave import Wave, parse_record, read_wave, write_json
from amun.ledger import Claim
from amun.store.forgetting import add_canaries
from amun.store.store import read_owners
from tasks.tools.options import TASK_OPTIONS
from tasks.tools.story import tell
from tasks.workspace.canaries import drop_sharing, find_pool
from tasks.workspace.costs import weigh
from tasks.workspace.queue import foresee_wait
from tasks.workspace.stage_program import run_program
from tasks.workspace.workspace import Workspace, require_lease


@task(name="take canaries", tags={"gpu"}, **TASK_OPTIONS)
def take_canaries(workspace: Workspace, claim: Claim) -> None:
    """Writes tonight's canaries into `wave/wave.json`, as few as the night needs; none where they would not help."""
    require_lease(claim)
    root, wave = workspace.root, read_wave(workspace.root)
    if not workspace.params.audit.canaries or not wave.telling_ids or _may_wait(workspace):
        return
    pool = _read_pool(workspace, wave)
    people = _choose(workspace, pool) if pool else []
    if not people:
        return
    forgetting = add_canaries(wave.forgetting, load_secret(root), read_owners(root / TRAIN), people)
    if _is_retrained_at_once(workspace, wave.model_copy(update={"forgetting": forgetting})):
        return
    write_json(root / WAVE, wave.model_copy(update={"forgetting": forgetting}))
    tell(
        f"  forgotten along so that the run can be judged: {tell_count(len(people), 'canary', 'canaries')}, "
        f"{len(pool) - len(people)} left"
    )


def _may_wait(workspace: Workspace) -> bool:
    """Tells whether the night waits for more requests where it shows nothing: then no canary is used up."""
    return foresee_wait(workspace, datetime.now(UTC), with_open=True) is not None


def _read_pool(workspace: Workspace, wave: Wave) -> list[str]:
    """Returns who may be taken. Canaries are a help: where they cannot be read the night goes on without."""
    try:
        pool = find_pool(workspace, wave.forgetting)
    except InputError as error:
        tell(f"  no canaries: {error}")
        return []
    left = [] if pool is None else drop_sharing(workspace, pool, wave.forgetting)
    if not left:
        tell("  no canary is left: the night is judged by those who asked alone")
    return left


def _choose(workspace: Workspace, pool: list[str]) -> list[str]:
    with open_temporary() as folder:
        path = folder / "pool.json"
        path.write_text(json.dumps(pool), encoding="utf-8")
        printed = run_program(workspace.root, "canaries", "choosing canaries", str(path), is_printed=False)
    return parse_record(Canaries, printed, "what the program has printed").subject_ids


def _is_retrained_at_once(workspace: Workspace, wave: Wave) -> bool:
    """Tells whether no attempt would be made that canaries could show anything of."""
    attempts = workspace.params.unlearning.attempts
    every = Plan(tuple(range(1, len(attempts) + 1)))
    plan, _ = weigh(workspace, every, [*wave.forgotten, wave.forgetting])
    return all(attempts[number - 1].is_exact for number in plan.attempts)
