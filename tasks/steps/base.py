"""What a new base needs around its stages: thawed before, nobody forgotten in it, frozen after."""

from prefect import task

from amun.core.counts import tell_count
from amun.core.errors import InputError, withhold_names
from amun.core.paths import EXCLUSIONS, FORGOTTEN
from amun.evidence.wave import list_excluded, write_json
from amun.ledger import Claim
from amun.vault.database import KEYS_VARIABLE
from amun.vault.vault import open_vault
from tasks.tools import dvc
from tasks.tools.options import NETWORK_OPTIONS, TASK_OPTIONS
from tasks.tools.story import tell
from tasks.workspace.adopt import describe_base, drop_base
from tasks.workspace.line import read_line
from tasks.workspace.source import describe_samples, refresh_source, require_same_people
from tasks.workspace.workspace import Workspace, open_ledger, require_lease


@task(name="thaw", **TASK_OPTIONS)
def prepare_base(workspace: Workspace, claim: Claim) -> None:
    """Thaws the base stages and writes whom they leave out and refuse: everybody forgotten so far, and their twins.

    Whoever was erased for any model is put on the suppression list under this workspace's secret, too.

    An adopted base is that of wave 0 alone: it has learned people who are forgotten since.

    Raises:
        InputError: the ledger has erased people, and there is no key store that would keep them out.
    """
    require_lease(claim)
    _suppress_erased(workspace)
    forgotten = read_line(workspace)
    write_json(workspace.root / FORGOTTEN, forgotten)
    write_json(workspace.root / EXCLUSIONS, list_excluded(forgotten))
    if claim.number:
        drop_base(workspace.root)
    dvc.thaw_base(workspace.root)


def _suppress_erased(workspace: Workspace) -> None:
    with open_ledger() as ledger:
        erased = ledger.list_erased()
    vault = open_vault(workspace.root)
    # with `data.sealed: false` no stage would miss it
    if erased and not vault.store.is_made():
        raise InputError(
            f"the ledger has {tell_count(len(erased), 'erased person', 'erased people')}, and the key store "
            f"{vault.store.name}, whose suppression list keeps them out, is not there: bring it from your backup, or "
            f"name it in {KEYS_VARIABLE}; in a workspace that never had any, `amun keys create` makes one"
        )
    vault.suppress_people(erased)


@task(name="refresh-source", **NETWORK_OPTIONS)
def refresh_base_source(workspace: Workspace, claim: Claim) -> None:
    """Brings the source to hand as it is now, where it lies elsewhere."""
    require_lease(claim)
    with withhold_names():
        refresh_source(workspace.root, workspace.params.data)


@task(name="check-samples", **TASK_OPTIONS)
def check_samples(workspace: Workspace, claim: Claim) -> None:
    """Tells how many samples came in and how many were refused.

    Raises:
        InputError: invented subjects are other people than those of whom some are forgotten.
    """
    require_lease(claim)
    tell(describe_samples(workspace.root))
    require_same_people(workspace.root)


@task(name="freeze-base", **TASK_OPTIONS)
def finish_base(workspace: Workspace, claim: Claim) -> None:
    """Freezes the base stages, so that nothing reruns them by accident; tells what an adopted base shows."""
    require_lease(claim)
    dvc.freeze_base(workspace.root)
    if adopted := describe_base(workspace.root):
        tell(adopted)
