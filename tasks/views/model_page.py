"""The registered model's page in MLflow: how to read it, and its latest waves as a table."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from amun.core.counts import tell_count
from amun.evidence.figures import ModelFigures
from tasks.tools import registry
from tasks.views.values import show_auc, show_left, show_percent, show_share

NUM_LISTED = 15  # waves; MLflow's databases keep 5,000 characters of a description
NUM_COMPARED = 5
HEADING = "### Waves"
INTRODUCTION = """\
An image classifier that forgets people on request. Every version is one **wave**: those who asked by that night are \
forgotten in it and in every version made from it. The alias **champion** marks the version that serves.

**Memory left** is how much of what the version before remembered of the wave's people is still there: 0 is what \
exact retraining leaves, 1 is all of it, in brackets what it may be with 95 % confidence on either side. \
**FT AUC** is how well an attacker can tell the forgotten from people never seen: 0.5 is not at all, about what \
exact retraining gives; more means that they are remembered, less is a leak too. **Trace** is the same for an \
attacker who holds the version from before as well. **Accuracy** is on people never trained on. All are measured once \
for each wave, on a test half that can only refuse.

A version's description says whom it forgot, how each attempt was judged, and what that means. Its source run holds \
the figures; the runs below that one are the attempts."""
COLUMNS = (
    "version",
    "wave",
    "registered",
    "forgotten",
    "method",
    "memory left",
    "FT AUC",
    "trace",
    "accuracy",
    "exact retraining would give: memory left, FT AUC, trace, accuracy",
)


def update_model_page(model: str) -> None:
    """Writes the registered model's description; what a person wrote above the table of waves is kept."""
    client = registry.open_registry()
    found = client.search_model_versions(f"name = '{model}'", max_results=NUM_LISTED, order_by=["version_number DESC"])
    waves = [(version, client.get_run(str(version.run_id))) for version in found if "amun.wave" in version.tags]
    written = client.get_registered_model(model).description or ""
    introduction = written.partition(HEADING)[0].strip() or INTRODUCTION
    # MLflow's page sets no space between the columns of a table
    header = " | ".join(f"{column}&emsp;" for column in COLUMNS)
    table = [f"| {header} |", f"|{':---|' * len(COLUMNS)}", *(_describe_row(*wave) for wave in waves)]
    compared = _link_comparison([run for _, run in waves])
    client.update_registered_model(model, "\n".join([introduction, "", HEADING, "", *table, "", compared]))


def _describe_row(version: ModelVersion, run: Run) -> str:
    params, metrics = run.data.params, run.data.metrics
    registered_at = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    is_base = version.tags["amun.kind"] == "base"
    cells = [
        version.version,
        version.tags["amun.wave"],
        f"{registered_at:%Y-%m-%d}",
        "new base" if is_base else _tell_forgotten(params),
        version.tags["amun.method"],
        _show_left(metrics),
        _show_change(metrics, "ft_auc", show_auc),
        _show(metrics, "trace/after", show_auc),
        _show(metrics, "accuracy/after", show_percent) if is_base else _show_change(metrics, "accuracy", show_percent),
        ", ".join(
            shown
            for shown in (
                _show(metrics, "memory_left/retrained", show_share),
                _show(metrics, "ft_auc/retrained", show_auc),
                _show(metrics, "trace/retrained", show_auc),
                _show(metrics, "accuracy/retrained", show_percent),
            )
            if shown
        ),
    ]
    return "| " + " | ".join(f"{cell}&emsp;" for cell in cells) + " |"


def _tell_forgotten(params: dict[str, str]) -> str:
    people, samples = (
        tell_count(int(params["people"]), "person", "people"),
        tell_count(int(params["samples"]), "sample"),
    )
    return f"{people}, {samples}"


def _show(metrics: dict[str, float], name: str, show: Callable[[float | None], str]) -> str:
    return show(metrics[name]) if name in metrics else ""


def _show_left(metrics: dict[str, float]) -> str:
    names = {"memory_left": "after", "memory_left_lower": "lower", "memory_left_upper": "upper"}
    figures = ModelFigures.model_validate(
        {name: metrics.get(f"memory_left/{moment}") for name, moment in names.items()}
    )
    return "" if figures.memory_left is None else show_left(figures)


def _show_change(metrics: dict[str, float], group: str, show: Callable[[float | None], str]) -> str:
    moments = [_show(metrics, f"{group}/{moment}", show) for moment in ("before", "after")]
    return " → ".join(moments) if all(moments) else ""


def _link_comparison(runs: list[Run]) -> str:
    """Returns a link to MLflow's comparison of the latest waves, relative to whatever address its page has."""
    compared = runs[:NUM_COMPARED]
    if len(compared) < 2:
        return ""
    run_ids = json.dumps([run.info.run_id for run in compared])
    experiments = json.dumps([compared[0].info.experiment_id])
    address = f"#/compare-runs?runs={quote(run_ids)}&experiments={quote(experiments)}"
    return f"[The last {len(compared)} waves side by side]({address})"
