"""What a wave leaves on Prefect's page: its figures as a table, and what they mean in words."""

import os
from collections.abc import Callable

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from amun.core.masking import drop_login
from amun.evidence.figures import HalfFigures
from amun.ledger import Claim
from tasks.tools.options import NETWORK_OPTIONS
from tasks.tools.registry import Registered
from tasks.views.descriptions import describe_wave, summarise
from tasks.views.facts import WaveFacts, read_facts
from tasks.views.values import show_auc, show_left, show_percent
from tasks.workspace.workspace import Workspace


@task(name="show", **NETWORK_OPTIONS | {"task_run_name": "show wave {claim.number}"})
def show_wave(workspace: Workspace, claim: Claim, registered: Registered, commit: str) -> None:
    """Puts the wave's figures and summary on the page of its flow run; each wave is one more entry of the two series.

    A wave killed between here and its end shows them twice.
    """
    facts = read_facts(workspace)
    create_table_artifact(_list_figures(facts), key=f"{claim.model}-figures", description=summarise(facts))
    heading = f"# Wave {claim.number} of {claim.model}"
    origin = f"{_link_version(claim.model, registered.version)} is the champion now."
    text = "\n\n".join([heading, describe_wave(facts, commit), origin, _hint_comparison(facts)])
    create_markdown_artifact(text, key=f"{claim.model}-summary", description=summarise(facts))


def _hint_comparison(facts: WaveFacts) -> str:
    """Says how to learn what exact retraining would have given: no night retrains for comparison."""
    if facts.unlearned.is_exact or not facts.wave.forget_ids:
        return ""
    command = f"amun wave compare {facts.wave.number}"
    return f"`{command}` computes what exact retraining would have given; MLflow then shows it."


def _link_version(model: str, version: int) -> str:
    """Returns the version's name, as a link where MLflow has pages of its own."""
    address, name = drop_login(os.environ["MLFLOW_TRACKING_URI"]).rstrip("/"), f"Version {version} of {model} in MLflow"
    return f"[{name}]({address}/#/models/{model}/versions/{version})" if address.startswith("http") else name


def _list_figures(facts: WaveFacts) -> list[dict[str, str]]:
    reported, audited = facts.reported, facts.audited
    rows: list[tuple[str, HalfFigures, str, Callable[[float | None], str]]]
    rows = [("accuracy on the test half", reported, "accuracy", show_percent)]
    if facts.wave.forget_ids:
        rows.append(("accuracy on the calibration half, as the gate saw it", audited, "accuracy", show_percent))
    if facts.wave.forget_ids and audited.num_references != 0:
        rows += [
            ("FT AUC on the test half (0.5: cannot be told from strangers)", reported, "ft_auc", show_auc),
            ("FT AUC on the calibration half, as the gate saw it", audited, "ft_auc", show_auc),
        ]
    if facts.wave.forget_ids:
        rows += [
            ("trace on the test half (0.5: none for whoever holds the model from before)", reported, "trace", show_auc),
            ("trace on the calibration half, as the gate saw it", audited, "trace", show_auc),
            ("trace by person, from all their samples, on the test half", reported, "trace_by_person", show_auc),
            ("weights by person, likewise, on the test half", reported, "weights_by_person", show_auc),
        ]
    is_exact = facts.unlearned.is_exact
    left: list[tuple[str, HalfFigures]]
    left = [] if reported.memory_left is None else [("test", reported), ("calibration", audited)]
    return [
        {
            "figure": f"memory left on the {half} half (0: as exact retraining, 1: as the base)",
            "before": "",
            "after": show_left(figures),
            "exact retraining": show_left(figures) if is_exact else "not computed",
        }
        for half, figures in left
    ] + [
        {
            "figure": title,
            "before": show(getattr(figures, f"{name}_base")) if hasattr(figures, f"{name}_base") else "",
            "after": show(getattr(figures, name)),
            "exact retraining": show(getattr(figures, name)) if is_exact else "not computed",
        }
        for title, figures, name, show in rows
    ]
