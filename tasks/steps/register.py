"""Steps *register* and *promote*: the unlearned model as a version in MLflow, then as the champion."""

from pathlib import Path

from mlflow.entities import RunStatus
from mlflow.entities.model_registry import ModelVersion
from prefect import task

from amun.core.errors import AmunError
from amun.core.keys import file_digest, load_secret
from amun.core.paths import UNLEARNED
from amun.core.temporary import open_temporary
from amun.evidence.adoption import read_adopted
from amun.ledger import Claim
from tasks.tools import dvc, registry
from tasks.tools.options import NETWORK_OPTIONS
from tasks.tools.registered import find_champion, get_registered
from tasks.tools.registry import Registered
from tasks.tools.story import tell
from tasks.views.attempt_runs import log_attempts
from tasks.views.descriptions import describe_wave
from tasks.views.facts import read_facts
from tasks.views.model_files import digest_serving_file, log_model
from tasks.views.model_page import update_model_page
from tasks.views.wave_run import describe_tags, log_final_metrics, name_run, start_wave_run
from tasks.workspace.line import require_unmoved
from tasks.workspace.weights import fetch_weights
from tasks.workspace.workspace import Workspace, require_lease


@task(name="register", **NETWORK_OPTIONS)
def register_version(workspace: Workspace, claim: Claim, commit: str) -> Registered:
    """Registers the wave's model with figures, digests and lineage; a version it already has is returned as it is."""
    require_lease(claim)
    with registry.translate_errors():
        return _register(workspace, claim, commit)


def _register(workspace: Workspace, claim: Claim, commit: str) -> Registered:
    root, facts = workspace.root, read_facts(workspace)
    dvc.check_digests(root)
    experiment_id = registry.ensure_model(root, claim.model)
    client = registry.open_registry()
    if (known := registry.find_version(claim.model, claim.number, commit)) is not None:
        return _finish(Registered(int(known.version), str(known.run_id)))
    run_id = start_wave_run(workspace, claim, facts, experiment_id, commit)
    model_uri, model_id = log_model(workspace, run_id, name_run(claim.number), commit)
    log_final_metrics(workspace, claim, facts, run_id, model_id)
    log_attempts(workspace, facts, experiment_id, run_id, model_id)
    tags = describe_tags(workspace, facts, commit) | {
        # the digest of the file here: promoting compares it with that of the file that the registry took
        "amun.weights_digest": file_digest(load_secret(root), root / UNLEARNED),
        "amun.serving_digest": digest_serving_file(root, model_uri),
    }
    require_lease(claim)
    # last: whoever finds a version finds all that belongs to it
    version = client.create_model_version(
        claim.model, model_uri, run_id, tags=tags, description=describe_wave(facts, commit), model_id=model_id
    )
    return _finish(Registered(int(version.version), run_id))


def _finish(registered: Registered) -> Registered:
    registry.open_registry().set_terminated(registered.run_id, RunStatus.to_string(RunStatus.FINISHED))
    return registered


@task(name="promote", **NETWORK_OPTIONS)
def promote_version(workspace: Workspace, claim: Claim, registered: Registered, commit: str) -> None:
    """Makes the version the champion, once its files are what was registered.

    Raises:
        InputError: another version has become the champion since the wave began.
        AmunError: the registry holds other bytes than were registered.
    """
    root = workspace.root
    adopted = read_adopted(root) if claim.number == 0 else None

    def look() -> None:
        champion = find_champion(claim.model, may_be_foreign=adopted is not None and adopted.name == claim.model)
        require_unmoved(root, champion, registered.version, commit)

    look()
    with registry.translate_errors():
        version = registry.find_version(claim.model, claim.number, commit)
        if version is None:
            raise AmunError(f"version {registered.version} of {claim.model} has vanished from the registry")
        with open_temporary() as folder:
            weights = Path(folder) / registry.WEIGHTS
            known = get_registered(claim.model, registered.version)
            for line in fetch_weights(root, known, weights, load_secret(root)):
                tell(f"  {line}")
        _require_serving_file(root, claim.model, version)
        update_model_page(claim.model)
        require_lease(claim)
        look()  # again: the files may have taken minutes
        registry.promote(claim.model, registered.version)


def _require_serving_file(root: Path, model: str, version: ModelVersion) -> None:
    """Refuses a version whose pt2 file is no longer what was registered: written again, it has other bytes."""
    try:
        digest = digest_serving_file(root, str(version.source))
    except AmunError:
        digest = ""
    if digest != version.tags["amun.serving_digest"]:
        raise AmunError(
            f"version {version.version} of {model}: {registry.SERVING_FILE} in the registry is not what was "
            "registered; delete that version in MLflow and run the wave again, which registers it anew"
        )
