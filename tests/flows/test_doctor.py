"""`amun doctor` asks what `amun check` asks of servers, disk and schedule, and looks at what no settings show."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from amun.core.errors import AmunError
from amun.core.params import read_params
from amun.core.paths import LEDGER, SECRET
from amun.ledger import Ledger, NewAlert
from flows.doctor import CHECKS
from tasks.tools.dvc import LOCK_FILE, push, set_remote
from tasks.tools.environment import MLFLOW_VARIABLE, find_free_port
from tasks.workspace.fault import Check, Fault
from tasks.workspace.faults import find_faults
from tasks.workspace.workspace import Workspace
from tests.workspaces import MODEL, ROOT, Site, describe

HOUR = timedelta(hours=1)


def spoil(site: Site, remote: Path) -> None:
    """Leaves a workspace as a killed git, a disk, a careless copy, a wrong clock and an idle service do."""
    (site.root / ".git/index.lock").touch()
    os.utime(site.root / ".git/index.lock", (time.time() - 3600,) * 2)
    sent = next(path for path in sorted(remote.rglob("*")) if path.is_file())
    content = sent.read_bytes()
    sent.chmod(0o644)
    sent.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (site.root / SECRET).chmod(0o644)
    now = datetime.now(UTC)
    with Ledger(f"sqlite:///{site.root / LEDGER}") as ledger:
        ledger.record_night(MODEL, now - 30 * HOUR, is_good=True)
        ledger.raise_alerts(MODEL, [NewAlert("night-failed", "", "by a clock that is ahead")], [], now + HOUR)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_fault_has_its_remedy_and_fix_mends_the_safe_ones(site: Site, tmp_path: Path) -> None:
    set_remote(site.root, str(tmp_path / "remote"))
    push(site.root)
    sound = site.start("amun", "doctor")
    assert (sound.returncode, sound.stdout.splitlines()[0]) == (0, "nothing is wrong"), describe(sound)
    assert sound.stdout.splitlines()[1].startswith("note: next runs: 20")
    spoil(site, tmp_path / "remote")
    found = site.start("amun", "doctor")
    assert found.returncode == 1, describe(found)
    mendable = [
        "DVC remote storage: ",
        f"{site.root / '.git/index.lock'} is ",
        f"{site.root / SECRET} has mode 644",
    ]
    others = ["no night has ended for 30 hours", "this machine's clock is "]
    lines = found.stdout.splitlines()
    told = [line.removeprefix("found: ") for line in lines if line.startswith("found: ")]
    assert [word for word in mendable + others if not any(line.startswith(word) for line in told)] == []
    assert len(told) == 5
    remedies = [line for line in lines if line.startswith("  to mend it (")]
    assert [sum(word in line for line in remedies) for word in ("(`amun doctor --fix`)", "(by hand)")] == [3, 2]
    assert all(line.split("(docs/operations.md#")[1] for line in remedies)
    fixed = site.start("amun", "doctor", "--fix", "--json")
    assert fixed.returncode == 1, describe(fixed)
    report = json.loads(fixed.stdout)
    assert sorted(one["about"] for one in report["mended"]) == ["copies", "locks", "permissions"]
    assert sorted(one["about"] for one in report["found"]) == ["clock", "schedule"]
    again = json.loads(site.start("amun", "doctor", "--json").stdout)
    assert (again["mended"], sorted(one["about"] for one in again["found"])) == ([], ["clock", "schedule"])


def test_what_check_finds_of_servers_disk_and_schedule_is_found(site: Site) -> None:
    lock = yaml.safe_load((site.root / LOCK_FILE).read_text(encoding="utf-8"))
    lock["stages"]["unlearn"]["outs"][0]["size"] = 10**15
    (site.root / LOCK_FILE).write_text(yaml.safe_dump(lock), encoding="utf-8")
    site.change_params(lambda params: params["schedule"].update(cron="0 3 31 2 *"))
    address = f"http://127.0.0.1:{find_free_port()}"
    away = Site(site.root, site.variables | {MLFLOW_VARIABLE: address})
    found = json.loads(away.start("amun", "doctor", "--json").stdout)["found"]
    told = {about: [one["what"] for one in found if one["about"] == about] for about in ("servers", "disk", "schedule")}
    words = [f"MLflow at {address}", "the next wave may need", "names no night of the next year"]
    assert [len(lines) for lines in told.values()] == [1, 1, 1], told
    assert [word in lines[0] for word, lines in zip(words, told.values(), strict=True)] == [True] * 3, told
    # the champion cannot be looked at, which is the same line and told once
    assert len({one["what"] for one in found}) == len(found)


def test_each_check_has_its_section_on_the_page() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    (part,) = [part for part in page.split("\n## ") if part.startswith("What the doctor looks at")]
    sections = [line.removeprefix("### ") for line in part.splitlines() if line.startswith("### ")]
    assert sections == list(dict.fromkeys(check.about for check in CHECKS))


def test_check_that_fails_hinders_no_other_and_is_told_once(tmp_path: Path) -> None:
    def fail(_: Workspace) -> list[Fault]:
        raise AmunError("the ledger is away")

    def find(_: Workspace) -> list[Fault]:
        return [Fault("found", "mend it")]

    def break_down(_: Workspace) -> list[Fault]:
        raise PermissionError(13, "Permission denied", "there")

    checks = [Check("one", fail), Check("two", fail), Check("three", break_down), Check("four", find)]
    found = find_faults(Workspace(tmp_path, read_params(ROOT / "params.yaml")), checks)
    assert [(fault.about, fault.what.split(":")[0]) for fault in found] == [
        ("one", "the ledger is away"),
        ("three", "the check of three"),
        ("four", "found"),
    ]
