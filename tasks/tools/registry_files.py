"""Where MLflow keeps the files of its runs."""

from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from amun.core.errors import AmunError, join_lines
from tasks.tools.registry import open_registry


def list_artifact_roots() -> dict[str, str]:
    """Returns by its name where each experiment that has a run keeps its files; those that were deleted, too.

    Raises:
        AmunError: the registry does not answer.
    """
    client = open_registry()
    try:
        experiments, token = [], None
        while token != "":
            page = client.search_experiments(view_type=ViewType.ALL, page_token=token)
            experiments += list(page)
            token = page.token or ""
        return {
            experiment.name: experiment.artifact_location
            for experiment in experiments
            if client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, max_results=1)
        }
    except MlflowException as error:
        raise AmunError(f"MLflow does not answer: {join_lines(error)[:300]}") from None
