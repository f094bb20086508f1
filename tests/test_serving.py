"""`amun serve`: servers and nightly job start together, a night runs from Prefect, and all of it stops together."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows.page_server import TOKEN_VARIABLE
from tests.browser import open_browser
from tests.pages import (
    LOOKS,
    Pages,
    find_metrics,
    list_metrics,
    list_words,
    read_rows,
    search_runs,
    write_progress,
)
from tests.processes import has_ended, wait_until
from tests.readme import fill_in, list_commands, read_variables
from tests.registry import find_version
from tests.serving import DEPLOYMENT, Service, run_service
from tests.test_bad_input import assert_one_line
from tests.workspaces import MODEL, Site, choose_people, describe, dump_ledger, list_people, set_key


@pytest.fixture(scope="module")
def service(wave_zero: Site, folder: Path) -> Iterator[Service]:
    """A served workspace in which nobody has asked yet."""
    copy = wave_zero.copy(folder / "served #1 50%20")
    # as the page has it drawn and named
    (draw, name) = list_commands("pages.md#the-report-for-a-privacy-officer")[2:]
    own = {"/var/lib/amun/keys/page-token": shlex.quote(str(folder / "page-token"))}
    subprocess.run(["sh", "-c", fill_in(draw, own)], check=True)
    site = Site(copy.root, {"HOME": copy.variables["HOME"], **read_variables(fill_in(name, own))})
    site.change_params(lambda params: set_key(params, "intake.source", ".amun/requests"))
    with run_service(site, folder / "served.log") as running:
        yield running


def test_other_commands_use_its_servers(service: Service) -> None:
    assert service.site.load("status")["champion"] == 1
    # addresses, the next runs and readiness, and no banner or note of another tool
    assert len(service.read().splitlines()) == 3, service.read()
    assert service.read().splitlines()[1].count(" 03:00") == 3
    said = service.call_prefect("deployment", "inspect", DEPLOYMENT)
    assert "0 3 * * *" in said.stdout, describe(said)
    assert [address in service.read() for address in (service.addresses.mlflow, "nightly at 0 3 * * *")] == [True, True]


def test_second_one_is_refused_in_one_line(service: Service) -> None:
    assert_one_line(service.site.start("amun", "serve"), 2, "is served already", service.addresses.mlflow)


def test_dry_run_tells_and_writes_nothing(service: Service) -> None:
    service.site.run("amun", "request", "add", *choose_people(service.site))
    before = dump_ledger(service.site), service.site.git("status", "--porcelain")
    (line,) = list_commands("operations.md#the-nightly-job")
    address, command = line.split(" prefect ")
    assert address == "PREFECT_API_URL=http://127.0.0.1:4200/api"
    run = service.call_prefect(*shlex.split(command), "--watch")
    assert run.returncode == 0, describe(run)
    assert "wave 1 would forget 13 people" in service.read()
    assert (dump_ledger(service.site), service.site.git("status", "--porcelain")) == before
    kept = service.call_prefect("artifact", "inspect", "digits-cnn-dry-run")
    assert "wave 1 would forget" in kept.stdout, describe(kept)


def test_night_runs_from_prefect_and_registers_by_the_server(service: Service) -> None:
    run = service.call_prefect("deployment", "run", DEPLOYMENT, "--watch")
    assert run.returncode == 0, describe(run) + service.read()
    assert "wave 1 complete" in service.read()
    assert [wave["state"] for wave in service.site.load("wave", "list")] == ["complete", "complete"]
    # and without a server the files are found as well
    _, registered = find_version(service.site, 1)
    assert (service.site.root / ".amun/mlartifacts/digits-cnn" / registered.info.run_id).is_dir()


@pytest.fixture(scope="module")
def pages(service: Service) -> Iterator[Pages]:
    """A browser before the pages of the served workspace, once its first wave is compared with exact retraining."""
    service.site.run("amun", "wave", "compare", "1")
    prefect = service.addresses.prefect.removesuffix("/api")
    write_progress(prefect)
    with open_browser() as reader:
        yield Pages(reader, service.addresses.mlflow, prefect)


def test_page_of_the_pages_names_what_is_looked_at() -> None:
    assert list(read_rows()) == list(LOOKS)


@pytest.mark.parametrize("question", LOOKS)
def test_pages_show_what_is_said_of_them(question: str, pages: Pages) -> None:
    pages.reader.forget()
    with pages.reader.telling():
        LOOKS[question](pages)
    assert [word for word in list_words(read_rows()[question]) if word not in pages.reader.text] == []


def test_runs_are_found_as_the_page_says(pages: Pages) -> None:
    search_runs(pages)


def test_metrics_of_the_page_are_there(pages: Pages) -> None:
    named = list_metrics()
    # of a dozen people on four references no memory is told, and nothing was retrained beside this base
    bounds = {"trace/most", "trace_by_person/most", "weights_by_person/most"}
    absent = {name for name in named if name.startswith("memory_left/")} | bounds
    assert named - absent <= find_metrics(pages)
    assert len(named) > 15


def test_single_pages_need_no_network_and_plots_of_dvc_do(pages: Pages, service: Service, tmp_path: Path) -> None:
    reader, site = pages.reader, service.site
    site.run("amun", "request", "show", "R-000001", "--html", str(tmp_path / "record.html"))
    reader.open((tmp_path / "record.html").as_uri())
    reader.see("R-000001", "Honoured by wave 1")
    whole, of_wave = list_commands("pages.md#the-report-for-a-privacy-officer")[:2]
    site.run(*shlex.split(fill_in(of_wave, {"../wave-1.html": shlex.quote(str(tmp_path / "wave-1.html"))})))
    assert f"{MODEL}, wave 1" in (tmp_path / "wave-1.html").read_text(encoding="utf-8")
    site.run(*shlex.split(whole))
    reader.open((site.root / ".amun/report.html").as_uri())
    reader.see("Report on forgetting", "R-000013", "What this report does not claim")
    assert site.run("dvc", "plots", "show").strip().endswith("dvc_plots/index.html")
    reader.open((site.root / "dvc_plots/index.html").as_uri())
    assert reader.page.locator("body").inner_text().strip() == ""
    assert reader.page.locator("script[src^='https://']").count() > 0
    shutil.rmtree(site.root / "dvc_plots")


def test_report_is_served_to_whoever_has_the_token(service: Service) -> None:
    token = Path(service.site.variables[TOKEN_VARIABLE].removeprefix("file:")).read_text(encoding="ascii").strip()
    (address,) = re.findall(r"report (http://127\.0\.0\.1:\d+)/", service.read())
    assert httpx.get(address).status_code == 401
    assert httpx.get(address, auth=("", "another-token-of-twenty-letters")).status_code == 401
    answer = httpx.get(address, auth=("officer", token), timeout=60)
    assert (answer.status_code, "Report on forgetting" in answer.text, "R-000013" in answer.text) == (200, True, True)
    bearer = {"Authorization": f"Bearer {token}"}
    assert "digits-cnn, wave 1" in httpx.get(f"{address}/wave/1", headers=bearer, timeout=60).text
    assert httpx.get(f"{address}/wave/99", headers=bearer).status_code == 404
    assert token not in service.read()


def test_night_that_fails_is_said_in_one_line(service: Service) -> None:
    service.site.run("amun", "request", "add", list_people(service.site)[0][0])
    foreign = service.site.root / "custom/notes"
    foreign.write_text("mine", encoding="utf-8")
    run = service.call_prefect("deployment", "run", DEPLOYMENT, "--watch")
    foreign.unlink()
    assert run.returncode == 1, describe(run)
    assert "custom/notes" in [line for line in service.read().splitlines() if "failed" in line][-1]
    assert "Traceback" not in service.read()


def test_sigterm_ends_all_of_it(service: Service) -> None:
    processes = [process.pid for process in service.list_processes()]
    assert len(processes) > 3
    service.process.terminate()
    assert service.process.wait() == 0
    wait_until(lambda: all(has_ended(pid) for pid in processes), "the end of all processes")
    # its addresses are nobody's now
    assert service.site.load("status")["champion"] == 2


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("schedule.cron", "at three", ("schedule.cron", "at three", "0 3 * * *")),
        ("schedule.timezone", "Mars/Olympus", ("schedule.timezone", "Mars/Olympus", "Europe/Berlin")),
    ],
)
def test_schedule_that_is_none(key: str, value: str, words: tuple[str, ...], wave_zero: Site, tmp_path: Path) -> None:
    site = wave_zero.copy(tmp_path / "workspace")
    site.change_params(lambda params: set_key(params, key, value))
    assert_one_line(site.start("amun", "serve"), 2, *words)
