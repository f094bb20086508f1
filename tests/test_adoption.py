"""A base trained elsewhere, from the company's registry through a wave without references to a base of our own."""

import json
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from mlflow import MlflowClient
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from amun.core.paths import ADOPTED, ADOPTED_WEIGHTS, BASE_MODEL, TRAIN, TRAIN_EPOCHS
from amun.evidence.adoption import digest_file
from tests.readme import list_commands, read_blocks
from tests.trap import KILLED, open_trap, read_all
from tests.workspaces import MODEL, Finished, Site, choose_people, make_clone, set_key

KILLS = (
    "tasks.workspace.adopt:save_weights",
    "tasks.steps.stages:dvc.reproduce=train",
    "tasks.steps.register:registry.promote",
)
SOURCE = f"models:/{MODEL}/1"
# as the page types them, of an accuracy that models of seconds reach
BY_FILE, BY_ALIAS, BY_VERSION = (
    (*shlex.split(line.replace("NAME@alias", f"{MODEL}@champion").replace("NAME/VERSION", f"{MODEL}/3"))[1:-1], "0.5")
    for line in list_commands("models.md#a-base-trained-elsewhere")
)
(LOG_WEIGHTS,) = read_blocks("models.md#a-base-trained-elsewhere", "python")


class Company:
    """A registry in which the company keeps its own versions of the model."""

    def __init__(self, folder: Path, weights: dict[str, torch.Tensor]) -> None:
        folder.mkdir()
        self.uri = f"sqlite:///{folder / 'company.db'}"
        self.client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        self.experiment = self.client.create_experiment("company", artifact_location=(folder / "files").as_uri())
        self.client.create_registered_model(MODEL)
        torch.save(weights, folder / "model.pth")
        # the first gets its weights by the page's lines, beside what they are refused in
        self.weights = folder / "weights.safetensors"
        names = {"run_id": self.register(folder / "model.pth"), "safetensors": safetensors, "mlflow": mlflow}
        network = SimpleNamespace(state_dict=lambda: weights)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", self.uri)
            patch.chdir(folder)
            exec(LOG_WEIGHTS, names | {"network": network})  # noqa: S102 - what a reader is told to run
        self.register(folder / "model.pth")
        save_file({name: torch.zeros_like(tensor) for name, tensor in weights.items()}, folder / "zeros.safetensors")
        self.register(folder / "zeros.safetensors")
        self.client.set_registered_model_alias(MODEL, "champion", "1")

    def register(self, path: Path) -> str:
        """Registers a version whose run has one file, in a folder of that run; returns the run."""
        run = self.client.create_run(self.experiment).info.run_id
        self.client.log_artifact(run, str(path), "export")
        self.client.create_model_version(MODEL, f"runs:/{run}/export", run)
        return str(run)

    def find_version(self, number: int) -> Any:
        """Returns the version that a wave has registered."""
        (version,) = self.client.search_model_versions(f"name = '{MODEL}' and tags.`amun.wave` = '{number}'")
        return version


def name_base(base: str) -> tuple[str, ...]:
    """Returns the options that adopt a base which is known to be good for something."""
    return "--base", base, "--accuracy", "0.5"


def take_training_away(params: Any) -> None:
    set_key(params, "data.remain", "none")
    set_key(params, "gate.insufficient", "pass_with_warning")
    set_key(params, "unlearning.attempts", [{"method": "amun", "learning_rate": 0.003}])
    params["references"] |= {"num_audit": 0, "num_target": 0}


def list_trained(site: Site) -> list[str]:
    """Returns the source's names of the images that a workspace's base was trained on."""
    train = site.read(TRAIN)
    images = (load_digits().images / 16).astype(np.float32)
    trained = {image.numpy().tobytes() for image in train.payloads}
    return [f"digits/{position}" for position, image in enumerate(images) if image.tobytes() in trained]


@pytest.fixture(scope="module")
def company(folder: Path, wave_zero: Site) -> Company:
    """A registry with the network of another workspace, under the names that the network alone gives."""
    trained = wave_zero.read_weights(BASE_MODEL)
    return Company(folder / "company", {name[2:]: tensor for name, tensor in trained.items() if name.startswith("1.")})


@pytest.fixture(scope="module")
def init_runs(
    folder: Path, variables: dict[str, str], company: Company, wave_zero: Site
) -> tuple[Site, list[Finished], str]:
    """A workspace that has adopted the company's champion, after other weights were refused and runs were killed.

    And what the refused and the last run said, and the killed ones.
    """
    site = make_clone(folder / "adopted", variables | {"MLFLOW_TRACKING_URI": company.uri})
    site.change_params(take_training_away)
    trained = list_trained(wave_zero)
    (folder / "trained.txt").write_text("\n".join(trained), encoding="utf-8")
    site.change_params(lambda params: set_key(params, "data.train_list", str(folder / "trained.txt")))
    remote = ("--remote", str(folder / "adopted-remote"))
    refused = site.start("amun", *BY_VERSION, *remote)
    champion = (*BY_ALIAS, *remote)
    with (folder / "said").open("w+", encoding="utf-8") as said, open_trap(site, said, *champion) as run_and_die:
        for point in KILLS:
            assert run_and_die("after", point) == KILLED, f"{point}: {read_all(said)}"
        return site, [refused, site.start("amun", *champion)], read_all(said)


@pytest.fixture(scope="module")
def adopted(init_runs: tuple[Site, list[Finished], str]) -> Site:
    """The workspace after its first wave."""
    site = init_runs[0]
    site.run("amun", "request", "add", *choose_people(site))
    site.run("amun", "wave", "run")
    return site


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (
            f"models:/{MODEL}/2",
            ("among its files (export/model.pth, model.pth)", "safetensors.torch.save_file"),
        ),
        (f"models:/{MODEL}/9", ("9", "not found")),
        (f"models:/{MODEL}@none", ("none", "not found")),
        (f"models:/{MODEL}/latest", ("models:/NAME@alias",)),
        ("nowhere.safetensors", ("no such file",)),
        ("params.yaml", ("only safetensors files", "never a pickle")),
    ],
)
def test_what_is_no_base_is_refused_before_anything_is_created(
    base: str, words: tuple[str, ...], folder: Path, variables: dict[str, str], company: Company
) -> None:
    site = Site(folder / "unadopted", variables | {"MLFLOW_TRACKING_URI": company.uri})
    if not site.root.exists():
        make_clone(site.root, site.variables)
    refused = site.start("amun", "init", *name_base(base))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    (line,) = refused.stderr.splitlines()
    assert [word for word in words if word not in line] == [], line
    assert not (site.root / ".amun").exists()
    assert site.git("status", "--porcelain") == ""


@pytest.mark.long
def test_chance_is_refused_and_another_base_goes_on(init_runs: tuple[Site, list[Finished], str]) -> None:
    site, (refused, done), said = init_runs
    assert refused.returncode == 2
    assert "no better than chance" in refused.stderr.splitlines()[-1]
    assert done.returncode == 0, done.stderr
    assert re.search(rf"adopted {SOURCE}: accuracy \d+\.\d% on training samples, \d+\.\d% on held-out ones", said)
    again = site.start("amun", "init", *name_base(SOURCE))
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)


@pytest.mark.long
def test_base_comes_from_a_file(
    folder: Path, variables: dict[str, str], company: Company, init_runs: tuple[Site, list[Finished], str]
) -> None:
    assert init_runs[0].root.exists(), "it has written what was trained on"
    site = make_clone(folder / "from-file", variables)
    site.change_params(take_training_away)
    site.change_params(lambda params: set_key(params, "data.train_list", str(folder / "trained.txt")))
    shutil.copy(company.weights, site.root / "weights.safetensors")
    site.run("amun", *BY_FILE)
    assert json.loads((site.root / ADOPTED).read_text(encoding="utf-8"))["source"] == "weights.safetensors"


@pytest.mark.long
def test_first_version_descends_from_the_companys(adopted: Site, company: Company) -> None:
    version = company.find_version(0)
    assert (int(version.version), version.tags["amun.parent_version"]) == (4, "1")
    assert version.tags["amun.adopted_from"] == SOURCE
    assert version.tags["amun.adopted_digest"] == digest_file(company.weights)
    assert f"adopted from {SOURCE}" in version.description
    assert [wave["parent_version"] for wave in adopted.load("wave", "list")] == ["1", "4"]
    assert "amun.adopted_from" not in company.find_version(1).tags
    assert int(company.client.get_model_version_by_alias(MODEL, "champion").version) == 5


@pytest.mark.long
def test_base_is_the_adopted_one_and_its_accuracy_was_measured(adopted: Site, wave_zero: Site) -> None:
    ours, theirs = (site.read_weights(BASE_MODEL) for site in (adopted, wave_zero))
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    measured, trained = (
        json.loads((site.root / "metrics/train.json").read_text(encoding="utf-8")) for site in (adopted, wave_zero)
    )
    # on the very samples that it was trained on, as the list names them
    assert measured["train_accuracy"] == trained["train_accuracy"]
    assert set(measured) == {"train_accuracy", "calibration_accuracy", "warning"}
    assert len(adopted.read(TRAIN)) == len(wave_zero.read(TRAIN))
    assert len(pd.read_csv(adopted.root / TRAIN_EPOCHS)) == 0
    assert json.loads(adopted.run("dvc", "status", "--json")) == {}
    assert "up to date" in adopted.run("dvc", "repro")
    assert adopted.run("amun", "wave", "reproduce", "1").splitlines()[-1] == "wave 1: same bytes"


@pytest.mark.long
def test_wave_without_references_says_what_it_shows(adopted: Site) -> None:
    wave = adopted.load("wave", "list")[1]
    assert wave["state"] == "complete"
    reported = wave["summary"]["test"]
    assert reported["ft_auc"] is None
    assert 0 < reported["confidence_auc"] < 1
    assert reported["not_measured"].startswith("FT AUC: references.num_audit is 0; remain accuracy")
    (decision,) = wave["summary"]["decisions"]
    assert decision["passed"]
    assert "without audit references" in decision["warning"]
    assert "no references" in adopted.run("amun", "wave", "list")


@pytest.mark.long
def test_joined_clone_gets_it_from_the_remote(adopted: Site, tmp_path: Path) -> None:
    adopted.git("clone", "--quiet", str(adopted.root), str(tmp_path / "second"))
    second = Site(tmp_path / "second", adopted.variables | adopted.name_secrets())
    assert "joined" in second.run("amun", "init")
    for path in (BASE_MODEL, ADOPTED_WEIGHTS):
        assert (second.root / path).read_bytes() == (adopted.root / path).read_bytes()
    assert json.loads(second.run("dvc", "status", "--json")) == {}
    second.run("dvc", "unfreeze", "train")
    assert "forgotten people" in second.start("dvc", "repro", "-s", "-f", "train").stderr


@pytest.mark.long
def test_new_base_is_trained_here(adopted: Site, company: Company) -> None:
    site = Site(adopted.root, adopted.variables)
    refused = site.start("amun", "base", "rebuild")
    assert (refused.returncode, "data.remain" in refused.stderr) == (2, True)

    def take_back(params: Any) -> None:
        set_key(params, "data.remain", "use")
        params["unlearning"]["attempts"].append({"method": "retrain"})

    site.change_params(take_back)
    site.run("amun", "base", "rebuild")
    assert json.loads((site.root / ADOPTED).read_text(encoding="utf-8")) is None
    assert not [path for path in site.git("ls-files", "models").splitlines() if "adopted.safetensors" in path]
    assert not (site.root / ADOPTED_WEIGHTS).exists()
    version = company.find_version(2)
    assert "amun.parent_version" not in version.tags
    assert "amun.adopted_from" not in version.tags
    assert len(pd.read_csv(site.root / TRAIN_EPOCHS)) == 12
    assert site.git("status", "--porcelain") == ""
    assert json.loads(site.run("dvc", "status", "--json")) == {}
