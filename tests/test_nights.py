"""Two nights that come by themselves while people ask; the second is interrupted and goes on after a restart."""

from pathlib import Path

import pytest

from tests.processes import find_computing_stage, has_ended, wait_until
from tests.serving import DEPLOYMENT, run_service
from tests.workspaces import Site, choose_people, list_people, set_key

NIGHT_SECONDS = 480.0


@pytest.mark.long
def test_two_nights_by_themselves(wave_zero: Site, tmp_path: Path) -> None:
    copy = wave_zero.copy(tmp_path / "workspace")
    site = Site(copy.root, {"HOME": copy.variables["HOME"]})
    site.change_params(lambda params: set_key(params, "schedule.cron", "*/2 * * * *"))
    site.run("amun", "request", "add", *choose_people(site))
    with run_service(site, tmp_path / "first") as service:
        addresses = service.addresses
        wait_until(lambda: "wave 1 complete" in service.read(), "the first night", NIGHT_SECONDS)
        site.run("amun", "request", "add", *list_people(site)[0][:10])
        wait_until(
            lambda: find_computing_stage(site.root, "adversarial", service.process.pid), "the second", NIGHT_SECONDS
        )
        processes = [process.pid for process in service.list_processes()]
        service.process.terminate()
        assert service.process.wait() == 0
        wait_until(lambda: all(has_ended(pid) for pid in processes), "the end of all processes")
    assert [wave["state"] for wave in site.load("wave", "list")] == ["complete", "complete", "open"]

    with run_service(site, tmp_path / "second") as service:
        assert (service.addresses.mlflow, service.addresses.prefect) == (addresses.mlflow, addresses.prefect)
        wait_until(lambda: "wave 2 complete" in service.read(), "the rest of the second night", NIGHT_SECONDS)
        runs = service.call_prefect("flow-run", "ls", "--flow-name", "deletion-wave", "--state", "Running")
        assert "wave-0002" not in runs.stdout
        assert "0 scheduled" not in service.call_prefect("deployment", "inspect", DEPLOYMENT).stdout
    assert [wave["state"] for wave in site.load("wave", "list")] == ["complete"] * 3
    assert site.git("status", "--porcelain") == ""
