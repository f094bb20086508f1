"""One workspace in several clones: a wave begun in one is ended in another, from ledger, registry and remotes alone."""

from pathlib import Path

import pytest

from amun.core.paths import LEDGER, STATE
from tests.company import assert_up_to_date, join, share
from tests.test_bad_input import assert_init_refused, assert_one_line
from tests.trap import KILLED, open_trap, read_all
from tests.workspaces import Site, choose_people, describe, dump_ledger, list_people, read_tree

# where one clone after the other is killed; each is a new one that knows nothing of the others
DEATHS = {
    "during unlearn": ("during", "unlearn"),
    "after record, before the push": ("after", "tasks.steps.record:commit_paths"),
    "after the push, before register": ("after", "tasks.workspace.upstream:run_remote_git=--atomic"),
    "after register, before promote": ("after", "mlflow:MlflowClient.create_model_version"),
}


@pytest.fixture
def shared(wave_zero: Site, tmp_path: Path) -> Site:
    """A workspace whose ledger, registry, keys and git remote lie outside of it."""
    return share(wave_zero.copy(tmp_path / "first"), tmp_path / "company")


def name_company(site: Site) -> dict[str, str]:
    """Returns the variables that name a workspace's own ledger and registry to another clone."""
    state = site.root / STATE
    return {"AMUN_LEDGER_URL": f"sqlite:///{site.root / LEDGER}", "MLFLOW_TRACKING_URI": f"sqlite:///{state}/mlflow.db"}


def test_clone_without_tags_and_history_is_told_what_to_fetch_and_then_joins(site: Site, tmp_path: Path) -> None:
    # as CI checks out
    site.git("clone", "--quiet", "--no-tags", "--depth=1", f"file://{site.root}", str(tmp_path / "second"))
    second = Site(tmp_path / "second", site.variables | name_company(site))
    assert_init_refused(second, 2, "AMUN_SECRET", ".amun/secret")
    wrong = Site(second.root, second.variables | {"AMUN_SECRET": "00" * 32})
    joined = Site(second.root, second.variables | site.name_secrets())
    person = list_people(site)[0][0]
    for command in (("init",), ("model", "diff", "1", "2"), ("wave", "reproduce", "0")):
        assert_one_line(joined.start("amun", *command), 2, "git fetch --unshallow")
    # of a version that is not here nothing is left out: it is told as not known
    assert "not known; `git fetch --unshallow --tags` brings it" in joined.run("amun", "subject", "trace", person)
    assert not (second.root / ".amun/secret").exists()

    second.git("fetch", "--quiet", "--unshallow")
    assert_one_line(wrong.start("amun", "init"), 2, "secret", "not the one")
    unkeyed = Site(second.root, second.variables | {"AMUN_SECRET": joined.variables["AMUN_SECRET"]})
    assert_one_line(unkeyed.start("amun", "init"), 2, "sealed", "AMUN_KEYS_URL", "AMUN_KEK", "no key store at")
    assert not (second.root / ".amun/secret").exists()
    before = dump_ledger(site)
    assert "joined" in joined.run("amun", "init")
    assert joined.git("tag") == ""
    assert joined.load("status")["champion"] == 2
    assert joined.load("model", "diff", "1", "2")["forgotten"][0]["num_subjects"] == 13
    back = joined.start("amun", "model", "rollback", "1", "--reason", "to see what it would do")
    assert "undone: wave 1" in back.stdout, describe(back)
    assert dump_ledger(site) == before
    assert joined.run("amun", "wave", "reproduce", "1").splitlines()[-1] == "wave 1: same bytes"
    (reproduced,) = set(dump_ledger(site)) - set(before)
    assert reproduced.startswith('INSERT INTO "reproductions"')
    assert joined.git("status", "--porcelain") == ""
    assert joined.git("worktree", "list").count("\n") == 0
    assert "is a workspace" in second.run("amun", "init")


def test_init_builds_no_base_beside_waves_that_the_branch_does_not_record(site: Site, tmp_path: Path) -> None:
    before = dump_ledger(site), read_tree(site.root / STATE / "mlartifacts")
    site.git("clone", "--quiet", str(site.root), str(tmp_path / "second"))
    second = Site(tmp_path / "second", site.variables)
    second.git("switch", "--quiet", "--force-create", "main", "wave/0000~1")
    assert_one_line(second.start("amun", "init"), 2, "tag wave/0001", "join")
    second.git("tag", "--delete", "wave/0000", "wave/0001")
    assert_init_refused(second, 2, "git remote origin", "wave/0000", "join", arguments=("--git-remote", "origin"))
    for name, value in name_company(site).items():
        shared = Site(second.root, second.variables | {name: value})
        assert_init_refused(shared, 2, "model.name", "wave 1", site.git("rev-parse", "--short=12", "HEAD"), "join")
    assert not (second.root / ".amun").exists()
    assert (dump_ledger(site), read_tree(site.root / STATE / "mlartifacts")) == before
    assert site.load("status")["champion"] == 2


@pytest.mark.long
def test_wave_killed_in_each_clone_is_ended_by_the_next(shared: Site, tmp_path: Path) -> None:
    assert "pushed to company" in shared.run("amun", "init", "--git-remote", "company")
    shared.run("amun", "request", "add", *choose_people(shared))
    sites = [shared]
    for step, (moment, target) in DEATHS.items():
        with (tmp_path / "said").open("w+", encoding="utf-8") as said, open_trap(sites[-1], said, "wave", "run") as die:
            assert die(moment, target) == KILLED, f"{step}:\n{read_all(said)}"
        # nobody else has the killed clone's files
        sites[-1].root.rename(tmp_path / "away")
        last = join(shared, f"clone-{len(sites)}")
        (tmp_path / "away").rename(sites[-1].root)
        sites.append(last)
    assert "wave 1 complete" in last.run("amun", "wave", "run")

    (wave,) = last.load("wave", "list")[1:]
    assert (wave["state"], wave["version"], wave["commit"]) == ("complete", "2", last.git("rev-parse", "HEAD"))
    assert {outcome["state"] for each in last.load("request", "list") for outcome in each["outcomes"]} == {"completed"}
    assert last.load("status")["champion"] == 2
    for site in sites:
        assert "nothing to do" in site.run("amun", "wave", "run")
        assert_up_to_date(site)
        assert site.git("rev-parse", "wave/0001^{commit}") == wave["commit"]
    assert last.run("amun", "wave", "reproduce", "1").splitlines()[-1] == "wave 1: same bytes"


@pytest.mark.long
def test_refused_push_leaves_the_wave_open_and_the_next_run_goes_on(shared: Site) -> None:
    shared.run("amun", "init", "--git-remote", "company")
    other = join(shared, "other")
    hook = shared.root.parent / "company/git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    hook.chmod(0o755)
    shared.run("amun", "request", "add", list_people(shared)[1][0])
    refused = shared.start("amun", "wave", "run")
    assert refused.returncode == 1, describe(refused)
    (line,) = refused.stderr.splitlines()
    assert "the git remote company did not take main" in line
    assert "hook declined" in line
    assert shared.load("status")["champion"] == 1
    assert shared.load("wave", "show", "1")["state"] == "open"

    hook.unlink()
    # in the meantime somebody has pushed something of their own
    other.git("commit", "--quiet", "--allow-empty", "--message", "Somebody's own")
    other.git("push", "--quiet", "origin", "main")
    assert "wave 1 complete" in shared.run("amun", "wave", "run")
    assert_up_to_date(shared)

    other.git("commit", "--quiet", "--allow-empty", "--message", "Somebody's own, not pushed")
    diverged = other.start("amun", "wave", "run")
    assert diverged.returncode == 2, describe(diverged)
    (line,) = diverged.stderr.splitlines()
    assert "have diverged" in line
    assert "git rebase origin/main" in line
    other.git("rebase", "--quiet", "origin/main")
    assert "nothing to do" in other.run("amun", "wave", "run")
    assert other.load("wave", "show", "1")["commit"] == other.git("rev-parse", "wave/0001^{commit}")
