"""A run in MLflow for each attempt of a wave, shown below the wave's own."""

from collections.abc import Iterator

from mlflow.entities import Param

from amun.core.params import EXACT_METHOD
from amun.evidence.attempts import Judged
from tasks.tools import registry
from tasks.views.descriptions import describe_attempt
from tasks.views.facts import WaveFacts
from tasks.views.wave_run import Figure, list_earlier, list_epoch_metrics, list_metrics, log_metrics, name_run
from tasks.workspace.workspace import Workspace


def log_attempts(workspace: Workspace, facts: WaveFacts, experiment_id: str, parent_id: str, model_id: str) -> None:
    """Logs every attempt: how it was made, loss and accuracy by epoch, what the gate saw and said.

    The figures of the one that passed are also those of the logged model.
    """
    client = registry.open_registry()
    for made in facts.attempts:
        run = client.create_run(experiment_id, run_name=_name(made, facts), tags=_describe_tags(made, facts, parent_id))
        run_id = run.info.run_id
        client.log_batch(run_id, params=list(_list_params(workspace, made)))
        log_metrics(run_id, list_epoch_metrics(made.epochs))
        figures, _ = _split_counts(made)
        log_metrics(run_id, list_metrics(figures | list_earlier(made), model_id if made.passed else None))
        client.set_terminated(run_id)


def _split_counts(made: Judged) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Returns what the gate saw as figures, and how many samples it saw: of a count nobody wants a chart."""
    seen = {
        f"calibration/{name}": value
        for name, value in ({} if made.calibration is None else made.calibration.model_dump()).items()
    }
    counts = {name: value for name, value in seen.items() if name.startswith("calibration/num_")}
    return {name: value for name, value in seen.items() if name not in counts}, counts


def _name(made: Judged, facts: WaveFacts) -> str:
    """Returns the name of an attempt's run: MLflow's table shows little more than its beginning."""
    outcome = "passed" if made.passed else "refused"
    return f"attempt {made.attempt} {outcome}, {name_run(facts.wave.number)}"


def _describe_tags(made: Judged, facts: WaveFacts, parent_id: str) -> dict[str, str]:
    return {
        "amun.wave": str(facts.wave.number),
        "amun.attempt": str(made.attempt),
        "amun.method": made.method,
        "amun.decision": "passed" if made.passed else "refused",
        "amun.reason": made.reason,
        "mlflow.parentRunId": parent_id,
        "mlflow.note.content": describe_attempt(made, facts.wave.number),
    }


def _list_params(workspace: Workspace, made: Judged) -> Iterator[Param]:
    """Yields how an attempt was made: its own parameters, and those of `params.yaml` that it was trained by."""
    section = "training" if made.method == EXACT_METHOD else "unlearning"
    trained_by = getattr(workspace.params, section).model_dump(mode="json", exclude={"attempts", "policy"})
    shown = {
        "attempt": made.attempt,
        "method": made.method,
        **made.parameters,
        **_split_counts(made)[1],
        **{f"{section}.{name}": value for name, value in trained_by.items()},
    }
    yield from (Param(name, str(value)) for name, value in shown.items())
