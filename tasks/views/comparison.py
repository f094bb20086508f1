"""What exact retraining would have given, on the MLflow pages of the wave that it is compared with."""

from mlflow.entities.model_registry import ModelVersion

from amun.core.errors import AmunError
from amun.evidence.figures import Comparison
from tasks.tools import registry
from tasks.views.descriptions import COMPARISON_MARK, describe_comparison
from tasks.views.model_page import update_model_page
from tasks.views.wave_run import FINAL, list_metrics, log_metrics
from tasks.workspace.workspace import Workspace

NOTE = "mlflow.note.content"
# what MLflow shows of a wave's model, exact retraining shows as well
COMPARED = [name for name, shown in FINAL.items() if shown.endswith("/after") and name in Comparison.model_fields]


def find_compared(workspace: Workspace, number: int, commit: str) -> ModelVersion:
    """Returns the version of the wave that is to be compared, which that commit records.

    Raises:
        AmunError: the registry does not answer, or the wave has none.
    """
    with registry.translate_errors():
        version = registry.find_version(workspace.model, number, commit)
    if version is None:
        raise AmunError(f"MLflow has no version of {workspace.model} from wave {number}")
    return version


def show_comparison(version: ModelVersion, comparison: Comparison) -> None:
    """Writes the figures of exact retraining to the wave's run, its version and the table of waves."""
    client, run_id = registry.open_registry(), str(version.run_id)
    figures = {f"{name}/retrained": getattr(comparison, name) for name in COMPARED}
    with registry.translate_errors():
        log_metrics(run_id, list_metrics(figures, str(version.source).removeprefix("models:/")))
        described = _append(version.description or "", comparison)
        client.update_model_version(version.name, str(version.version), described)
        client.set_tag(run_id, NOTE, _append(client.get_run(run_id).data.tags.get(NOTE, ""), comparison))
        update_model_page(version.name)


def _append(description: str, comparison: Comparison) -> str:
    """Puts the sentence at the end, in place of an earlier one."""
    return description.partition(COMPARISON_MARK)[0] + describe_comparison(comparison)
