"""A wave killed with SIGKILL in each of its steps in turn, and run again each time, ends as if nothing had been."""

import json
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import torch
import yaml

from amun.core.paths import UNLEARNED
from tasks.tools.environment import API_VARIABLE
from tests.processes import kill_dvc
from tests.registry import find_version, list_attempts, open_client
from tests.trap import FAILED, KILLED, open_trap, read_all
from tests.workspaces import BIN, MODEL, Finished, Site, choose_people, describe, list_people, read_tree

KILLS = {
    "claim": ("after", "amun.ledger:Ledger.claim_wave"),
    "freeze, before the base is under DVC": ("before", "tasks.steps.freeze:dvc.add_file"),
    "freeze, after": ("after", "tasks.steps.freeze:dvc.add_file"),
    "adversarial, the run": ("during", "adversarial"),
    "adversarial, the stage": ("child", "adversarial"),
    "attempt": ("after", "tasks.steps.gate:write_attempt"),
    "unlearn": ("during", "unlearn"),
    "audit": ("during", "audit"),
    "gate": ("after", "tasks.steps.gate:decide"),
    "report": ("during", "report"),
    "record, before the commit": ("before", "tasks.steps.record:commit_paths"),
    "record, staged": ("before", "tasks.tools.git:run_git=commit"),
    "record, after the commit": ("after", "tasks.steps.record:commit_paths"),
    "tag": ("after", "tasks.steps.record:tag_commit"),
    "push": ("after", "tasks.steps.record:dvc.push"),
    "register, an empty run": ("after", "tasks.views.wave_run:registry.start_run"),
    "register, the model logged": ("after", "tasks.steps.register:log_model"),
    "register, an attempt begun": ("after", "tasks.views.attempt_runs:describe_attempt"),
    "register, before the version": ("before", "mlflow:MlflowClient.create_model_version"),
    "register, after the version": ("after", "mlflow:MlflowClient.create_model_version"),
    "promote, the page written": ("after", "tasks.steps.register:update_model_page"),
    "promote": ("after", "tasks.steps.register:registry.promote"),
    "complete, before": ("before", "amun.ledger:Ledger.complete_wave"),
    "complete, after": ("after", "amun.ledger:Ledger.complete_wave"),
}


@pytest.mark.long
def test_killed_in_every_step_it_ends_as_an_uninterrupted_wave(wave_zero: Site, wave_one: Site, tmp_path: Path) -> None:
    site = wave_zero.copy(tmp_path / "workspace")
    site.run("amun", "request", "add", *choose_people(site))
    with (tmp_path / "said").open("w+", encoding="utf-8") as said, open_trap(site, said, "wave", "run") as run_and_die:
        for step, (moment, target) in KILLS.items():
            (site.root / ".dvc/tmp/rwlock").write_text('{"torn', encoding="ascii")
            ended = run_and_die(moment, target)
            assert ended == (FAILED if moment == "child" else KILLED), f"{step}:\n{read_all(said)}"
            if step == "register, after the version":
                # whatever comes later, a version is never seen without them
                assert list_tags(site) == list_tags(wave_one)
        assert "Traceback" not in read_all(said)
    assert "nothing to do" in site.run("amun", "wave", "run")
    assert_same(site, wave_one)


def list_tags(site: Site) -> dict[str, str]:
    """Returns the tags of wave 1's version, less those of a time (the commit's, the pt2 file's) and of a drawn key."""
    version, _ = find_version(site, 1)
    drawn = ("amun.commit", "amun.serving_digest", "amun.weights_digest")
    return {name: value for name, value in version.tags.items() if name not in drawn}


def list_outcomes(site: Site) -> list[tuple[str, str, int]]:
    """Returns of every request whose it is, and how and by which wave it ended."""
    return [
        (request["subject_id"], outcome["state"], outcome["wave_number"])
        for request in site.load("request", "list")
        for outcome in request["outcomes"]
    ]


def assert_same(site: Site, reference: Site) -> None:
    """Compares all that is left of wave 1 in two workspaces: each has drawn a key of its own for the same weights."""
    assert site.git("rev-parse", "wave/0001~1") == reference.git("rev-parse", "wave/0001~1"), "it began elsewhere"
    for revision in ("HEAD", "wave/0001"):
        assert list_committed(site, revision) == list_committed(reference, revision), f"{revision} has other files"
    weights, others = site.read_weights(UNLEARNED), reference.read_weights(UNLEARNED)
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights), "it has other weights"
    assert site.git("tag", "--list") == reference.git("tag", "--list")
    assert site.git("status", "--porcelain") == ""
    assert json.loads(site.run("dvc", "status", "--json")) == {}
    assert list_outcomes(site) == list_outcomes(reference)
    assert list_tags(site) == list_tags(reference)
    client = open_client(site)
    assert site.load("status")["champion"] == 2
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 2
    experiment_ids = [find_version(site, 1)[1].info.experiment_id]
    # each wave's own, and one for each attempt of wave 1; nothing of what was killed
    assert len(client.search_runs(experiment_ids)) == 2 + len(list_attempts(reference, 1))
    assert len(list_attempts(site, 1)) == len(list_attempts(reference, 1)) > 0
    assert len(client.search_logged_models(experiment_ids)) == 2
    assert [wave["state"] for wave in site.load("wave", "list")] == ["complete", "complete"]
    outputs = ("data", "models", "references", "wave", "metrics", "plots")
    for name in outputs:
        trees = [read_tree(where.root / name) for where in (site, reference)]
        assert trees[0].keys() == trees[1].keys()
        assert [path for path in trees[0] if trees[0][path] != trees[1][path]] in ([], [UNLEARNED.name])
    assert read_tree(site.root / "wave")


def list_committed(site: Site, revision: str) -> list[str]:
    """Returns what a commit has, with digests; of `dvc.lock`, which has the MD5 of sealed weights, what it names."""
    listed = site.git("ls-tree", "-r", revision).splitlines()
    lock = yaml.safe_load(site.git("show", f"{revision}:dvc.lock"))
    named = [
        f"{entry['path']} {'sealed' if entry['path'] == str(UNLEARNED) else entry['md5']}"
        for stage in lock["stages"].values()
        for entry in [*stage["deps"], *stage["outs"]]
    ]
    return [line for line in listed if not line.endswith("\tdvc.lock")] + named


def test_stage_of_a_killed_dvc_ends_by_itself(site: Site) -> None:
    kill_dvc(site, "adversarial")
    # whatever it left is made good by the next run
    site.run("dvc", "repro")
    assert site.git("status", "--porcelain") == ""


def list_runs(home: Path, number: int, since: datetime) -> list[str]:
    """Returns how a Prefect server says that the runs of a wave stand, the oldest first."""
    query = "SELECT state_type, tags FROM flow_run WHERE start_time >= ? ORDER BY start_time"
    with closing(sqlite3.connect(home / "prefect.db")) as connection:
        found = connection.execute(query, (f"{since:%Y-%m-%d %H:%M:%S}",)).fetchall()
    return [state for state, tags in found if f"wave:{number}" in json.loads(tags)]


def run_and_kill_server(site: Site, *command: str) -> Finished:
    """Runs an `amun` command, whose own Prefect server is killed as soon as the command has said something."""
    arguments = [str(BIN / "amun"), *command]
    with subprocess.Popen(
        arguments, cwd=site.root, env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        children = psutil.Process(process.pid).children(recursive=True)
        (server,) = (child for child in children if child.cmdline()[-7:-4] == ["prefect", "server", "start"])
        server.kill()
        printed, told = process.communicate()
    return Finished(arguments, process.returncode, said + printed, told)


def refuse_on_a_damaged_branch(site: Site) -> None:
    """Runs a wave where git cannot read who is forgotten, and mends that."""
    digest = site.git("rev-parse", "HEAD:wave/forgotten.json")
    blob = site.root / ".git/objects" / digest[:2] / digest[2:]
    content, outputs, head = blob.read_bytes(), read_tree(site.root / "wave"), site.git("rev-parse", "HEAD")
    blob.chmod(0o644)
    blob.write_bytes(b"not what git wrote")
    refused = site.start("amun", "wave", "run")
    assert refused.returncode == 1, describe(refused)
    (line,) = refused.stderr.splitlines()
    assert "wave/forgotten.json at HEAD cannot be read" in line
    assert "git fsck" in line
    assert (site.git("rev-parse", "HEAD"), site.load("status")["champion"]) == (head, 2)
    assert read_tree(site.root / "wave") == outputs
    blob.write_bytes(content)


def run_with_other_options(site: Site) -> str:
    """Goes on with a wave under options that its base was not trained with, puts them back; returns what it said."""
    site.change_params(lambda params: params["model"].update(options={"channels": [8, 16, 24]}))
    changed = site.git("rev-parse", "HEAD")
    failed = site.start("amun", "wave", "run")
    assert failed.returncode == 2, describe(failed)
    (line,) = failed.stderr.splitlines()
    rebuilt = site.start("amun", "base", "rebuild")
    assert (rebuilt.returncode, rebuilt.stderr) == (2, failed.stderr), "the open wave goes first"
    assert line.startswith("amun: adversarial: wave/base.safetensors: weights of another architecture"), line
    assert "model.options" in line
    site.git("revert", "--no-edit", changed)
    return failed.stdout


def kill_and_commit(site: Site, said_path: Path) -> str:
    """Kills a wave, whose first files somebody then commits with a change of their own; returns that commit."""
    with said_path.open("w+", encoding="utf-8") as said, open_trap(site, said, "wave", "run") as run_and_die:
        assert run_and_die("after", "tasks.steps.freeze:dvc.add_file") == KILLED, read_all(said)
    with (site.root / "params.yaml").open("a", encoding="utf-8") as params:
        params.write("# mine\n")
    site.git("commit", "--quiet", "--all", "--message", "A comment")
    assert "wave/wave.json" in site.git("show", "--name-only", "--format=", "HEAD")
    return site.git("rev-parse", "--short", "HEAD")


def test_wave_that_was_refused_and_killed_and_half_committed_ends_although_prefect_dies(
    site: Site, folder: Path, tmp_path: Path
) -> None:
    begun = datetime.now(UTC)
    site.run("amun", "request", "add", list_people(site)[1][1])
    (site.root / "notes.txt").write_text("mine", encoding="utf-8")
    refuse_on_a_damaged_branch(site)
    committed = kill_and_commit(site, tmp_path / "said")
    assert list_runs(folder / "prefect", 2, begun) == ["FAILED", "RUNNING"]
    said = run_with_other_options(site)
    assert f"commit {committed} has files of a wave that no commit records: mended" in said
    # the last one is the rebuild, to which the open wave came first
    assert list_runs(folder / "prefect", 2, begun) == ["FAILED", "CRASHED", "FAILED", "FAILED"]

    # under a Prefect server of its own
    alone = Site(site.root, {name: value for name, value in site.variables.items() if name != API_VARIABLE})
    finished = run_and_kill_server(alone, "wave", "run")
    assert (finished.returncode, finished.stderr) == (0, ""), describe(finished)
    assert "Prefect's server has died, and is started again" in finished.stdout
    assert "wave 2 complete" in finished.stdout
    assert site.git("log", "-1", "--format=%(trailers:key=Amun-Wave,valueonly)").strip() == "2"
    assert site.git("rev-parse", "wave/0002^{commit}") == site.git("rev-parse", "HEAD")
    assert site.load("wave", "show", "2")["commit"] == site.git("rev-parse", "HEAD")
    assert site.git("status", "--porcelain") == "?? notes.txt"
    assert (site.root / "params.yaml").read_text(encoding="utf-8").endswith("# mine\n")
    line_of = json.loads((site.root / "wave/wave.json").read_text(encoding="utf-8"))["forgotten"]
    assert [len(wave["subject_keys"]) for wave in line_of] == [0, 13]
    *lost, last = list_runs(site.root / ".amun/prefect", 2, begun)
    assert last == "COMPLETED"
    # where the server was away when the run asked it for something, another run goes on
    assert set(lost) <= {"CRASHED", "FAILED"}
