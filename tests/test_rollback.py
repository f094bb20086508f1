"""A model that turned out bad goes back to an earlier version, and whom that one remembers are forgotten anew."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from tests.readme import fill_in, list_commands
from tests.registry import find_version, open_client
from tests.test_bad_input import assert_one_line
from tests.trap import KILLED, open_trap, read_all
from tests.workspaces import MODEL, Finished, Site, describe, dump_ledger, list_people, read_tree

# to the first version, where the page's model has more
ASKED, COMMAND = (
    tuple(shlex.split(fill_in(line, {"rollback 2": "rollback 1"}))[1:])
    for line in list_commands("lineage.md#going-back")
)
REASON = COMMAND[4]
KILLS = {
    "before the intent": ("before", "amun.ledger:Ledger.begin_rollback"),
    "after the intent": ("after", "amun.ledger:Ledger.begin_rollback"),
    "claim": ("after", "amun.ledger:Ledger.claim_wave"),
    "champion": ("after", "tasks.steps.rollback:registry.promote"),
    "marks": ("after", "tasks.steps.rollback:registry.mark_undone"),
    "before the commit": ("before", "tasks.steps.rollback:commit_paths"),
    "after the commit": ("after", "tasks.steps.rollback:commit_paths"),
    "data": ("after", "tasks.steps.rollback:dvc.fetch"),
    "before the requests": ("before", "amun.ledger:Ledger.finish_rollback"),
    "after the requests": ("after", "amun.ledger:Ledger.finish_rollback"),
}


@pytest.fixture
def site(wave_one: Site, tmp_path: Path) -> Site:
    """A workspace after its first wave, for one test alone, below a folder as people name theirs."""
    return wave_one.copy(tmp_path / "Räume für Ж" / "workspace")


def read_state(site: Site) -> tuple[object, ...]:
    """Returns what a refused rollback may not change."""
    outputs = [read_tree(site.root / name) for name in ("data", "wave", "metrics", "plots")]
    return dump_ledger(site), site.git("log", "-1", "--format=%H"), site.load("status")["champion"], outputs


def assert_clean(site: Site) -> None:
    assert site.git("status", "--porcelain") == ""
    assert json.loads(site.run("dvc", "status", "--json")) == {}


@pytest.mark.cold
def test_without_consent_it_says_what_it_would_do_and_does_nothing(wave_one: Site) -> None:
    before = read_state(wave_one)
    assert (*ASKED, "--accept-remembering") == COMMAND
    asked = wave_one.start("amun", *ASKED)
    assert asked.returncode == 2, describe(asked)
    assert "from version 2 to version 1; undone: wave 1" in asked.stdout
    assert "it would remember 13 people again" in asked.stdout
    assert "--accept-remembering" in asked.stderr
    assert wave_one.run("amun", "model", "rollback", "1", "--dry-run") == asked.stdout
    assert_one_line(wave_one.start("amun", "model", "rollback", "1"), 2, "--reason", "--dry-run")
    assert read_state(wave_one) == before


@pytest.mark.parametrize(
    ("version", "reason", "words"),
    [
        ("2", REASON, ("version 2", "champion already")),
        ("99", REASON, ("no version 99", "amun model list")),
        ("1", "  ", ("--reason", "why")),
    ],
)
def test_version_that_is_none_to_go_back_to(version: str, reason: str, words: tuple[str, ...], wave_one: Site) -> None:
    before = read_state(wave_one)
    refused = wave_one.start("amun", "model", "rollback", version, "--reason", reason, "--accept-remembering")
    assert_one_line(refused, 2, *words)
    assert read_state(wave_one) == before


def test_erased_weights_and_another_architecture_are_refused(site: Site) -> None:
    before = read_state(site)
    weights = site.root / ".amun/mlartifacts" / MODEL / find_version(site, 0)[1].info.run_id / "artifacts"
    shutil.move(weights, weights.parent / "away")
    assert_one_line(site.start("amun", *COMMAND), 2, "version 1 cannot serve again")
    shutil.move(weights.parent / "away", weights)
    assert read_state(site) == before
    site.change_params(lambda params: params["model"]["options"].update(channels=[8, 8, 8]))
    before = read_state(site)
    first = site.git("rev-parse", "--short=12", "wave/0000^{commit}")
    assert_one_line(site.start("amun", *COMMAND), 2, "params.yaml", f"git show {first}:params.yaml")
    assert read_state(site) == before


@pytest.mark.long
def test_killed_at_each_step_the_people_are_forgotten_anew_and_nothing_twice(site: Site, tmp_path: Path) -> None:
    asked = {request["request_id"]: request for request in site.load("request", "list")}
    head = site.git("rev-parse", "HEAD")
    with (tmp_path / "said").open("w+", encoding="utf-8") as said, open_trap(site, said, *COMMAND) as run_and_die:
        for step, (moment, target) in KILLS.items():
            assert run_and_die(moment, target) == KILLED, f"{step}:\n{read_all(said)}"
            if step == "champion":
                assert site.load("status")["champion"] == 1
        assert "Traceback" not in read_all(said)
    assert "wave 2 complete" in site.run("amun", "wave", "run")

    waves = site.load("wave", "list")
    assert [(wave["version"], wave["parent_version"], wave["num_requests"], wave["undone_by"]) for wave in waves] == [
        ("1", None, 0, None),
        ("2", "1", 0, 1),
        ("3", "1", 13, None),
    ]
    assert [line.split()[2] for line in site.run("amun", "wave", "list").splitlines()[-3:]] == [
        "complete",
        "undone",
        "complete",
    ]
    requests = site.load("request", "list")
    assert [request["request_id"] for request in requests] == list(asked)
    for request in requests:
        before = asked[request["request_id"]]
        assert (request["received_at"], request["due_at"]) == (before["received_at"], before["due_at"])
        (outcome,) = request["outcomes"]
        assert (outcome["state"], outcome["wave_number"], outcome["receipt"]["version"]) == ("completed", 2, 3)
        (kept,) = outcome["undone"]
        assert (kept["wave_number"], kept["receipt"]) == (1, before["outcomes"][0]["receipt"])
        assert kept["reason"] == REASON
    assert REASON in site.run("amun", "request", "show", next(iter(asked)))

    # the branch moved forward only: one commit back to version 1, one for the wave
    assert site.git("log", "--format=%s", f"{head}..HEAD").splitlines()[1:] == [
        f"{MODEL}: roll back from version 2 to version 1"
    ]
    assert [wave["number"] for wave in json.loads(site.git("show", "HEAD:wave/forgotten.json"))] == [0, 2]
    assert site.load("status")["champion"] == 3
    (undone, _), (again, _) = find_version(site, 1), find_version(site, 2)
    assert REASON in undone.tags["amun.rolled_back"]
    assert "amun.rolled_back" not in again.tags
    assert again.tags["amun.parent_version"] == "1"
    # the same people forgotten from the same version: the same model
    assert again.tags["amun.weights_digest"] == undone.tags["amun.weights_digest"]
    assert len(open_client(site).search_model_versions(f"name = '{MODEL}'")) == 3
    assert_clean(site)
    assert site.run("amun", "wave", "reproduce", "1").splitlines()[-1] == "wave 1: same bytes"
    assert_one_line(site.start("amun", "model", "rollback", "2", "--reason", REASON), 2, "not in the champion's line")


@pytest.mark.long
def test_back_over_a_new_base(readme_run: tuple[Site, dict[str, Finished]], tmp_path: Path) -> None:
    site = readme_run[0].copy(tmp_path / "workspace")
    old = site.git("show", "wave/0001:dvc.lock")
    forgotten = site.load("request", "list", "--state", "completed")[0]["subject_id"]
    # nobody was forgotten since: nothing to accept
    back = ("model", "rollback", "2", "--reason", REASON)
    with (tmp_path / "said").open("w+", encoding="utf-8") as said, open_trap(site, said, *back) as run_and_die:
        assert run_and_die("before", "tasks.steps.rollback:commit_paths") == KILLED, read_all(said)
        assert "remember 0 people" in read_all(said)
    assert site.git("status", "--porcelain", "data/exclusions.json") != ""
    site.run("amun", *back)
    assert site.load("status")["champion"] == 2
    assert (site.root / "dvc.lock").read_text(encoding="utf-8").strip() == old.strip()
    assert_clean(site)

    person = list_people(site)[1][1]
    added = {request["subject_id"]: request for request in site.load("request", "add", forgotten, person)}
    assert added[forgotten]["outcomes"][0]["state"] == "already_forgotten"
    assert added[person]["outcomes"][0]["state"] == "pending"
    site.run("amun", "wave", "run")
    wave = site.load("wave", "list")[-1]
    assert (wave["number"], wave["state"], wave["parent_version"]) == (4, "complete", "2")
    assert_clean(site)
