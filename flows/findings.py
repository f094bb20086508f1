"""What can be said of a workspace's settings before any work: a line for each finding, and nothing is changed."""

import json
import os
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import yaml

from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError, choose_exit_code
from amun.core.memory import GIB
from amun.core.params import ADDED_KEYS
from amun.core.paths import PARAMS, SECRET, TRAIN, UNLEARNED
from amun.core.stage_names import BASE_STAGES, WAVE_STAGES
from tasks.tools import dvc
from tasks.tools.environment import API_VARIABLE, MLFLOW_VARIABLE
from tasks.tools.git import name_owner, run_git
from tasks.workspace.machine_notes import list_notes
from tasks.workspace.workspace import Workspace, require_params

S3_VARIABLE = "AWS_ENDPOINT_URL"
GLANCE_SECONDS = 20.0
# of what a wave writes: in the work tree, in the cache, and as much again for what is not whole yet
ROOM = 2.5


@dataclass(frozen=True)
class Finding:
    """Something that a person should know before a wave.

    Attributes:
        line: what, where, and what to do.
        exit_code: that a night would end with because of it: 2 for bad input, 1 for a failure, 0 for a good one.
        stops: whether nothing should be begun before it is mended.
    """

    line: str
    exit_code: int = 0
    stops: bool = False


Judge = Callable[[Workspace], Iterator[Finding]]


def find_all(workspace: Workspace, judges: tuple[Judge, ...] | None = None) -> list[Finding]:
    """Returns what every judge finds, what stops first.

    Args:
        workspace: or a clone that is none yet.
        judges: None takes all of them.
    """
    # two judges may find the same
    found = {finding: None for judge in judges or JUDGES for finding in _collect(judge, workspace)}
    return sorted(found, key=lambda finding: (not finding.stops, -finding.exit_code))


def _collect(judge: Judge, workspace: Workspace) -> Iterator[Finding]:
    try:
        yield from judge(workspace)
    except AmunError as error:
        yield Finding(str(error), choose_exit_code(error), stops=True)


def judge_params(workspace: Workspace) -> Iterator[Finding]:
    """Finds what a source, a search or a method does not take."""
    require_params(workspace.root)
    yield from ()


def judge_schedule(workspace: Workspace) -> Iterator[Finding]:
    """Finds an invalid schedule or time zone, and a night that never comes."""
    from tasks.tools.schedule import list_next_runs

    list_next_runs(workspace.params.schedule, datetime.now(UTC))
    yield from ()


def judge_intake(workspace: Workspace) -> Iterator[Finding]:
    """Finds a place for requests that is not there. The wave of those who have asked before runs all the same."""
    from tasks.workspace.intake_sources import count_waiting

    try:
        count_waiting(workspace)
    except AmunError as error:
        yield Finding(str(error), choose_exit_code(error))


def judge_server(_: Workspace) -> Iterator[Finding]:
    """Finds an MLflow server that is away or too old."""
    url = os.environ.get(MLFLOW_VARIABLE, "")
    if url.startswith(("http://", "https://")):
        from tasks.tools.registry_version import require_new_server

        require_new_server(url)
    yield from ()


def judge_prefect(_: Workspace) -> Iterator[Finding]:
    """Finds a Prefect server of the user's that is away."""
    url = os.environ.get(API_VARIABLE, "")
    if url.startswith(("http://", "https://")):
        from tasks.tools.servers import require_answer

        require_answer(API_VARIABLE, url)
    yield from ()


def judge_ledger(workspace: Workspace) -> Iterator[Finding]:
    """Finds a ledger that is away, damaged, of another release, or without the workspace's model."""
    if not (workspace.root / SECRET).exists():
        return  # `amun init` makes one, or joins another workspace's
    from tasks.workspace.workspace import open_ledger

    with open_ledger() as ledger:
        ledger.peek_wave(workspace.model, datetime.now(UTC))
    yield from ()


def judge_remotes(workspace: Workspace) -> Iterator[Finding]:
    """Finds a DVC or git remote that does not answer. A wave is computed all the same, and fails when it is sent."""
    root = workspace.root
    if not (root / SECRET).exists():
        return  # `amun init` looks at what it is given
    from tasks.tools.contents import require_remote_there
    from tasks.tools.dvc_settings import SHARED
    from tasks.tools.git_remote import run_remote_git
    from tasks.workspace.upstream import find_git_remote

    try:
        if (root / SHARED).exists() and dvc.has_remote(root):
            require_remote_there(root)
    except AmunError as error:
        yield Finding(str(error), choose_exit_code(error))
    try:
        if (remote := find_git_remote(root)) is not None:
            run_remote_git(root, "ls-remote", "--heads", remote)
    except AmunError as error:
        yield Finding(f"git remote: {error}", choose_exit_code(error))


def judge_owner(workspace: Workspace) -> Iterator[Finding]:
    """Finds a workspace that is another user's."""
    root = workspace.root
    if not os.access(root, os.W_OK):
        yield Finding(
            f"{root} belongs to {name_owner(root)}, and you may not write there; type this as that user",
            InputError.exit_code,
            stops=True,
        )
    elif root.stat().st_uid != os.getuid():
        yield Finding(
            f"{root} belongs to {name_owner(root)}: what you make there is yours, and may stop the owner's nights; "
            "type this as that user"
        )


def judge_line_ends(workspace: Workspace) -> Iterator[Finding]:
    """Finds a git that changes the ends of lines, so that no wave is reproduced elsewhere."""
    setting = run_git(workspace.root, "config", "--default", "false", "--get", "core.autocrlf")
    attribute = run_git(workspace.root, "check-attr", "text", "--", str(PARAMS))
    if setting != "false" and not attribute.endswith(": unset"):
        yield Finding(
            f"core.autocrlf is {setting} and {workspace.root} has no .gitattributes against it: files then differ from "
            "what the waves record; commit a .gitattributes with the line `* -text`"
        )


def judge_keys(workspace: Workspace) -> Iterator[Finding]:
    """Finds a workspace that is to seal what it writes, and has no keys for it."""
    root = workspace.root
    if not (root / SECRET).exists():
        return  # a clone that has not joined yet is told by `amun init` what it takes
    if workspace.params.data.sealed:
        from amun.vault.vault import open_vault

        open_vault(root).check()
    if (root / TRAIN).exists():
        from amun.store.store import read_shape

        read_shape(root / TRAIN)  # whatever is sealed today: what lies there must open
    yield from ()


def judge_receipts(workspace: Workspace) -> Iterator[Finding]:
    """Finds a chain of receipts that is not whole, and a signing key that is missing. The wave runs all the same."""
    if not (workspace.root / SECRET).exists():
        return
    from tasks.workspace.receipt_check import find_chain_faults

    for fault in find_chain_faults(workspace):
        yield Finding(fault.what, AmunError.exit_code)


def judge_memory(workspace: Workspace) -> Iterator[Finding]:
    """Finds swap that is not encrypted, and core dumps of what is started beside `amun`."""
    for line in list_notes(workspace):
        yield Finding(line)


def judge_engine(workspace: Workspace) -> Iterator[Finding]:
    """Finds a cluster that cannot be used. No night needs one: it stops what is begun before there is a base."""
    from amun.engine.on_ray import read_address

    if workspace.params.runtime.engine == "ray":
        try:
            read_address()
        except InputError as error:
            has_base = (workspace.root / dvc.LOCK_FILE).exists()
            yield Finding(str(error), 0 if has_base else InputError.exit_code, stops=not has_base)


def judge_earlier(workspace: Workspace) -> Iterator[Finding]:
    """Finds too few references to look at people of earlier waves. Each night would say so, and let its model pass."""
    from amun.audit.observations import MIN_REFERENCES

    people, num_audit = workspace.params.audit.earlier_people, workspace.params.references.num_audit
    if people and num_audit < MIN_REFERENCES:
        yield Finding(
            f"{PARAMS}: audit.earlier_people is {people}, and shows nothing with references.num_audit {num_audit}: "
            f"{MIN_REFERENCES} are needed, or earlier_people 0"
        )


def judge_canaries(workspace: Workspace) -> Iterator[Finding]:
    """Finds canaries that cannot be read, are too few, or have asked. A night runs all the same."""
    from amun.core.params import MIN_CANARIES
    from tasks.workspace.canaries import find_pool

    limit = workspace.params.audit.canaries
    has_base = (workspace.root / dvc.LOCK_FILE).exists()
    try:
        pool = find_pool(workspace) if has_base else None
    except InputError as error:
        yield Finding(f"nights take no canaries: {error}")
        return
    if pool is not None and pool.num_asked:
        yield Finding(
            f"{PARAMS}: data.canaries: {tell_count(pool.num_asked, 'canary has', 'canaries have')} asked, which nobody "
            "does who is nobody's: are the others on that list?"
        )
    if pool is not None and pool.num_left < MIN_CANARIES:
        yield Finding(
            f"{PARAMS}: audit.canaries is {limit}, and {pool.num_left} are left of the "
            f"{tell_count(pool.num_held, 'person', 'people')} of data.canaries of whom the base was trained on "
            f"anything; fewer than {MIN_CANARIES} show nothing: name more before `amun base rebuild`, or write 0"
        )


def judge_retrained(workspace: Workspace) -> Iterator[Finding]:
    """Finds models that no base has, or another number than its base has: the bound on the trace is then another."""
    from tasks.workspace.retrained import explain_other_number

    num_retrained = workspace.params.references.num_retrained
    told = f"{PARAMS}: references.num_retrained is {num_retrained}, and"
    if workspace.params.data.remain == "none":
        if num_retrained:
            yield Finding(f"{told} does nothing with data.remain none, where nothing is ever retrained: write 0")
    elif (workspace.root / dvc.LOCK_FILE).exists():
        judges_trace = workspace.params.gate.max_trace is not None
        if other := explain_other_number(workspace.root, num_retrained, judges_trace=judges_trace):
            yield Finding(f"{told} {other}")


def judge_alerts(workspace: Workspace) -> Iterator[Finding]:
    """Finds channels over which nobody could be told; nothing is sent. A night runs all the same."""
    from tasks.tools.channels import list_channels, list_idle_settings
    from tasks.tools.webhook import check_heartbeat

    params = workspace.params.alerts
    for line in list_idle_settings(params):
        yield Finding(f"nobody is alerted: {line}")
    for check in [*(channel.check for channel in list_channels(params)), check_heartbeat]:
        try:
            check()
        except AmunError as error:
            yield Finding(f"nobody is alerted: {error}")


def judge_page(_: Workspace) -> Iterator[Finding]:
    """Finds a token that opens no page. A night runs all the same."""
    from flows.page_server import read_token

    try:
        read_token()
    except InputError as error:
        yield Finding(f"no report is served: {error}")


def judge_proxy(_: Workspace) -> Iterator[Finding]:
    """Finds servers of the user's that are asked through a proxy."""
    proxies = urllib.request.getproxies()
    for name in (MLFLOW_VARIABLE, API_VARIABLE, S3_VARIABLE):
        address = urlsplit(os.environ.get(name, ""))
        if address.scheme not in proxies or not address.hostname or urllib.request.proxy_bypass(address.netloc):
            continue
        yield Finding(
            f"{name}: {address.hostname} is asked through the proxy that {address.scheme}_proxy names; add it to "
            "NO_PROXY if it is inside your network"
        )


def judge_base(workspace: Workspace) -> Iterator[Finding]:
    """Finds parameters other than those of the base, and says what takes the new value and what does not."""
    if not (workspace.root / dvc.LOCK_FILE).exists():
        return
    stages, declared = dvc.read_lock(workspace.root), dvc.read_params(workspace.root)
    now = json.loads(workspace.params.model_dump_json())
    told = set[str]()
    for stage in BASE_STAGES:
        recorded = stages.get(stage, {}).get("params", {}).get(str(PARAMS), {})
        later = [key for key in declared.get(stage, []) if recorded and key in ADDED_KEYS]
        for key, before in ({key: yaml.safe_load(ADDED_KEYS[key]) for key in later} | recorded).items():
            present = _look_up(now, key)
            if key in told or key.startswith("runtime.") or present in (before, _MISSING):
                continue
            told.add(key)
            yield Finding(_describe_change(key, before, present, declared))


_MISSING = object()


def _look_up(content: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return _MISSING
        content = content[part]
    return content


def _describe_change(key: str, before: Any, present: Any, declared: dict[str, list[str]]) -> str:
    stay = [stage for stage in BASE_STAGES if key in declared.get(stage, [])]
    take = [stage for stage in WAVE_STAGES if key in declared.get(stage, [])]
    taken = f"the next wave takes the new value ({', '.join(take)})" if take else "no wave takes the new value"
    return (
        f"{PARAMS}: {key} is {json.dumps(present)}, and was {json.dumps(before)} for the base: {taken}; what the base "
        f"was made from stays ({', '.join(stay)}) until `amun base rebuild`"
    )


def judge_model(workspace: Workspace) -> Iterator[Finding]:
    """Finds an architecture that does not build for the images at hand, or does not take the champion's weights."""
    from amun.model.architectures import build_model
    from amun.model.weights import load_weights
    from amun.store.alike import MODES
    from amun.store.store import read_shape

    data, store = workspace.params.data, workspace.root / TRAIN
    if store.exists():
        shape = read_shape(store)
        channels, height, width = shape.payload_shape
        model = build_model(workspace.params.model, shape.num_classes, (channels, height, width), seed=0)
        if (champion := workspace.root / UNLEARNED).exists():
            try:
                load_weights(champion, model)
            except InputError as error:
                yield Finding(f"{error}, or make a new base (`amun base rebuild`)", error.exit_code)
    elif data.images.size is not None:
        # on made-up images
        build_model(workspace.params.model, 2, (len(MODES[data.images.colour]), *data.images.size), seed=0)


def judge_source(workspace: Workspace) -> Iterator[Finding]:
    """Finds what of the source cannot be used, where no base was made from it yet; `amun init` looks at all of it.

    Nothing is fetched, no large bucket is listed to its end, and images are opened for `GLANCE_SECONDS` alone: a source
    may take hours.
    """
    if (workspace.root / TRAIN).exists():
        return
    from flows.setup import build_for_images
    from tasks.workspace.source import glance_at_source

    glance = glance_at_source(workspace.root, workspace.params.data, GLANCE_SECONDS)
    for line in glance.left_out:
        yield Finding(f"params.yaml: data.root: {line}")
    if glance.listing is not None and glance.size is not None:
        build_for_images(workspace, glance.listing, glance.size)


def judge_disk(workspace: Workspace) -> Iterator[Finding]:
    """Finds a disk with too little room for the next wave, by what the last one wrote. It would fail half way."""
    root = workspace.root
    if not (root / dvc.LOCK_FILE).exists():
        return
    stages = dvc.read_lock(root)
    outs = [out for name in WAVE_STAGES for out in stages.get(name, {}).get("outs", ())]
    needed, free = ROOM * sum(out.get("size", 0) for out in outs), shutil.disk_usage(root).free
    if free < needed:
        yield Finding(
            f"{root}: {free / GIB:.1f} GiB are free, and the next wave may need {needed / GIB:.1f}: make room "
            "(`du -sh .dvc/cache .amun` shows what takes it)",
            exit_code=1,
        )


SETTINGS: tuple[Judge, ...] = (
    judge_schedule,
    judge_server,
    judge_owner,
    judge_keys,
    judge_model,
    judge_line_ends,
    judge_proxy,
    judge_base,
    judge_retrained,
    judge_engine,
)
# what a dry run and `amun init` look at by themselves as well
JUDGES: tuple[Judge, ...] = (
    judge_params,
    *SETTINGS,
    judge_prefect,
    judge_ledger,
    judge_receipts,
    judge_remotes,
    judge_earlier,
    judge_canaries,
    judge_alerts,
    judge_page,
    judge_intake,
    judge_source,
    judge_memory,
    judge_disk,
)
