"""How one comes to what `docs/pages.md` names, on the pages of a served workspace that has a first wave."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.browser import Reader
from tests.workspaces import MODEL, ROOT

PAGE = ROOT / "docs" / "pages.md"
WAVE, LATEST = "wave-0001", 2  # the wave that the tests look for, and its version
FLOW_RUN = f"{MODEL}-{WAVE}"


@dataclass(frozen=True)
class Pages:
    """A browser before the pages of a workspace.

    Attributes:
        reader: who looks.
        mlflow: the address of MLflow.
        prefect: the address of Prefect's pages.
    """

    reader: Reader
    mlflow: str
    prefect: str


def read_rows() -> dict[str, str]:
    """Returns what the page's tables tell to look at, by what one wants to know."""
    rows: dict[str, str] = {}
    is_told = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("| "):
            is_told &= line.startswith("|")
        elif is_told:
            question, cell = line.strip("| ").split(" | ")
            rows[question] = cell
        else:
            is_told = line.startswith("| you want to know |")
    return rows


def list_words(cell: str) -> list[str]:
    """Returns what a cell says one reads on the page: its words in italics and in code, of this wave and model."""
    words = re.findall(r"(?<!\*)\*([^*]+)\*|`([^`]+)`", cell)
    named = (label or code for label, code in words)
    return [
        word.replace("NAME", MODEL).replace("wave-0007", WAVE).replace("wave:7", "wave:1")
        for word in named
        if not word.startswith(("/", "amun "))
    ]


def list_metrics() -> set[str]:
    """Returns the metrics that the page explains, one by one."""
    table = PAGE.read_text(encoding="utf-8").partition("| metric |")[2].partition("\n\n")[0]
    cells = [line.strip("| ").partition(" | ")[0] for line in table.splitlines()]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell) if not name.endswith("…")}


def find_metrics(pages: Pages) -> set[str]:
    """Returns the metrics that the model's runs have."""
    found = ask(f"{pages.mlflow}/api/2.0/mlflow/runs/search", {"experiment_ids": ["1"]})["runs"]
    return {metric["key"] for run in found for metric in run["data"].get("metrics", [])}


def open_mlflow(pages: Pages) -> Reader:
    """Goes to MLflow's models and experiments as somebody who has never been there."""
    reader = pages.reader
    reader.open(pages.mlflow)
    reader.page.evaluate("localStorage.clear(), sessionStorage.clear()")
    reader.open(pages.mlflow)
    reader.see("GenAI")
    assert reader.page.get_by_role("link", name="Model registry").count() == 0
    reader.choose("Model training")
    return reader


def open_model(pages: Pages) -> None:
    """Goes to the model's page by its name, and looks who serves."""
    reader = open_mlflow(pages)
    reader.choose("Model registry")
    # MLflow tells of its own registry first
    reader.page.get_by_role("dialog").wait_for()
    reader.page.keyboard.press("Escape")
    reader.choose(MODEL)
    reader.see("Memory left", "Waves", "Versions", "Version 2", "@ champion")
    read_model(pages)


def read_model(pages: Pages) -> None:
    """Goes to the model's page by its address, and looks who serves."""
    pages.reader.open(f"{pages.mlflow}/#/models/{MODEL}")
    served = pages.reader.page.get_by_role("row").filter(has_text="@ champion")
    served.filter(has_text=f"Version {LATEST}").wait_for()
    pages.reader.see()


def open_version(pages: Pages) -> None:
    """Goes to the wave's version."""
    pages.reader.open(f"{pages.mlflow}/#/models/{MODEL}/versions/{LATEST}")
    pages.reader.see("What it means", "attempt 1, amun (learning rate 1000.0): refused", "tag wave/0001", "Source Run")


def open_comparison(pages: Pages) -> None:
    """Goes to the waves side by side."""
    reader = pages.reader
    reader.open(f"{pages.mlflow}/#/models/{MODEL}")
    reader.choose_in_new_tab("The last 2 waves side by side")
    reader.see("Comparing 2 Runs", "wave-0000", WAVE, "accuracy/after")


def open_runs(pages: Pages) -> Reader:
    """Goes to the list of the model's runs."""
    reader = open_mlflow(pages)
    reader.choose("Experiments")
    reader.choose(MODEL)
    reader.see(WAVE, "wave-0000")
    return reader


def open_figures(pages: Pages) -> None:
    """Goes to the wave's figures, by its run."""
    reader = open_runs(pages)
    reader.choose(WAVE)
    reader.choose("Model metrics")
    reader.see("accuracy", "ft_auc", "trace", "duration")


def open_run(pages: Pages) -> Reader:
    """Goes to the wave's run, by its address."""
    body = {"experiment_ids": ["1"], "filter": f"run_name = '{WAVE}'"}
    (run,) = ask(f"{pages.mlflow}/api/2.0/mlflow/runs/search", body)["runs"]
    pages.reader.open(f"{pages.mlflow}/#/experiments/1/runs/{run['info']['run_id']}")
    pages.reader.see("About this run", "Child runs")
    return pages.reader


def open_files(pages: Pages) -> None:
    """Goes to the wave's files."""
    open_run(pages).choose("Artifacts")
    pages.reader.see("model.safetensors", "params.yaml")


def open_plots(pages: Pages) -> None:
    """Looks at the wave's plots."""
    open_files(pages)
    pages.reader.choose("plots")
    for name in ("confidence.svg", "roc.svg", "confidence.png"):
        pages.reader.choose(name)
        pages.reader.see(f"plots/{name}")
        shown = pages.reader.page.locator("img[src^='blob:']").first
        shown.wait_for()
        assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300, name


def open_refused(pages: Pages) -> None:
    """Goes to a refused attempt, by the list and by the wave."""
    show_attempts(pages).see(f"attempt 1 refused, {WAVE}", f"attempt 2 passed, {WAVE}")
    open_run(pages).choose(f"attempt 1 refused, {WAVE}")
    pages.reader.see("Parent run", "Parameters", "Metrics", "the loss is nan after epoch 1")


def show_attempts(pages: Pages) -> Reader:
    """Lists a wave's attempts below it."""
    reader = open_runs(pages)
    reader.page.get_by_role("row").filter(has_text=WAVE).get_by_role("button").first.click()
    return reader


def open_epochs(pages: Pages) -> None:
    """Looks at the charts by epoch."""
    reader = show_attempts(pages)
    reader.see(f"attempt 2 passed, {WAVE}")
    reader.page.locator("label:has(input[name=runs-view-mode])").nth(1).click()
    reader.see("by_epoch/loss", f"attempt 2 passed, {WAVE} (by_epoch/loss)", "wave-0000 (by_epoch/loss)")


def open_retrained(pages: Pages) -> None:
    """Looks at what exact retraining would have given, which a night of few people lacks in part."""
    open_run(pages).see("accuracy/retrained", "ft_auc/retrained", "trace/retrained", "Exact retraining")
    pages.reader.text += "memory_left/retrained"


def search_runs(pages: Pages) -> None:
    """Searches as the page says."""
    reader = open_runs(pages)
    searches = re.findall(r"``(tags\.`[^`]+` = '\w+')``", PAGE.read_text(encoding="utf-8"))
    assert len(searches) == 2
    for search, count in zip(searches, (3, 2), strict=True):
        field = reader.page.locator("input[type=search]")
        field.fill(search.replace("'7'", "'1'"))
        field.press("Enter")
        # the attempts are counted with the wave that they are below
        reader.see(f"{count} matching runs")


def open_flow_run(pages: Pages) -> Reader:
    """Goes to the wave's flow run, found by its tag."""
    reader = pages.reader
    reader.open(pages.prefect)
    reader.choose("Runs")
    reader.see("Tags")
    field = reader.page.get_by_placeholder("All tags")
    field.fill("wave:1")
    field.press("Enter")
    reader.see("wave:1", "1 Flow run")
    reader.choose(FLOW_RUN)
    reader.see("Task Runs", "Artifacts")
    return reader


def reopen_flow_run(pages: Pages) -> Reader:
    """Goes to the wave's flow run, by its address."""
    pages.reader.open(f"{pages.prefect}/v2/runs/flow-run/{find_flow_run(pages.prefect)}")
    pages.reader.see("Task Runs", "Artifacts")
    return pages.reader


def find_flow_run(prefect: str) -> str:
    """Returns the id of the wave's flow run."""
    (run,) = ask(f"{prefect}/api/flow_runs/filter", {"flow_runs": {"name": {"any_": [FLOW_RUN]}}})
    return str(run["id"])


def ask(address: str, content: Any) -> Any:
    """Returns what a server answers."""
    answer = httpx.post(address, json=content, timeout=30)
    answer.raise_for_status()
    return answer.json()


def open_progress(pages: Pages) -> None:
    """Looks at how far the stages of a flow run have come."""
    reopen_flow_run(pages).choose("Artifacts")
    pages.reader.see("PROGRESS", "unlearn attempt 2: ")


def open_tasks(pages: Pages) -> None:
    """Looks at the tasks of a flow run."""
    reopen_flow_run(pages).choose("Task Runs")
    pages.reader.see("unlearn attempt 2", "audit attempt 2")


def open_log(pages: Pages) -> None:
    """Looks at the log of a flow run."""
    reopen_flow_run(pages).choose("Logs")
    pages.reader.see("intake: 0 files taken, 0 new requests")


def open_artifact(pages: Pages, key: str) -> None:
    """Goes to the latest entry of one of the two series, by the flow run."""
    reopen_flow_run(pages).choose("Artifacts")
    pages.reader.see(key)
    pages.reader.choose(key)
    # the flow run's page has such links, too
    pages.reader.page.wait_for_url(f"**/artifacts/key/{key}")
    pages.reader.page.locator("a[href*='/artifacts/artifact/']").first.click()


def open_summary(pages: Pages) -> None:
    """Reads the result in words."""
    open_artifact(pages, f"{MODEL}-summary")
    pages.reader.see("What it means", "is the champion now")
    link = pages.reader.page.get_by_role("link", name=f"Version {LATEST} of {MODEL} in MLflow")
    assert link.get_attribute("href") == f"{pages.mlflow}/#/models/{MODEL}/versions/{LATEST}"


def open_table(pages: Pages) -> None:
    """Reads the figures before and after."""
    open_artifact(pages, f"{MODEL}-figures")
    pages.reader.see("accuracy on the test half", "before", "after")


def open_series(pages: Pages) -> None:
    """Goes to the artifacts of all waves, to which no entry of the side bar leads."""
    pages.reader.open(pages.prefect)
    pages.reader.see("Deployments")
    assert pages.reader.page.get_by_role("link", name="Artifacts", exact=True).count() == 0
    pages.reader.open(f"{pages.prefect}/artifacts")
    pages.reader.choose(f"{MODEL}-summary")
    pages.reader.see(f"Created {MODEL}-summary", FLOW_RUN)


def open_deployment(pages: Pages) -> None:
    """Looks at the nights to come, and finds what starts one and what leaves some out."""
    reader = pages.reader
    reader.open(pages.prefect)
    reader.choose_page("Deployments", "/deployments")
    reader.choose_page(f"{MODEL}-nightly", "/deployments/deployment/[^/]+")
    reader.page.get_by_role("switch", name="toggle At 03:00 AM").wait_for()
    reader.choose("Upcoming")
    reader.choose("Run")
    reader.see("Custom run")


LOOKS: dict[str, Callable[[Pages], object]] = {
    "what the model has forgotten so far": open_model,
    "which version serves": read_model,
    "whom a wave forgot, how each attempt was judged, what that means": open_version,
    "waves side by side": open_comparison,
    "a wave's figures": open_figures,
    "its data sets, its weights, `params.yaml`": open_files,
    "its plots": open_plots,
    "a refused attempt": open_refused,
    "loss by epoch, of the base and of all attempts together": open_epochs,
    "how exact retraining would have done": open_retrained,
    "tonight's wave, or wave 7": open_flow_run,
    "how far a long stage has come": open_progress,
    "which attempt a task belongs to": open_tasks,
    "how many new requests came in, and how many of them match nobody": open_log,
    "the result in words, with a link to the version in MLflow": open_summary,
    "the figures before and after": open_table,
    "the same, one wave after the other": open_series,
    "when the next nights are, and to leave some out": open_deployment,
}


def write_progress(prefect: str) -> None:
    """Leaves a stage's progress on the wave's flow run, whose stages may be too short here to show any."""
    told = {"type": "progress", "description": "unlearn attempt 2: 1/2 epochs", "data": "50.0"}
    ask(f"{prefect}/api/artifacts/", told | {"flow_run_id": find_flow_run(prefect)})
