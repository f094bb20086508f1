"""The tutorial, typed as it stands: in a fresh clone, on a folder of pictures, with its own servers."""

import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from PIL import Image

from amun.core.params import read_params
from amun.core.paths import PARAMS
from amun.ledger.demand_files import parse_demands
from amun.store.sources.catalogue import list_source
from flows.demo import ensure_clone
from tests.photos import CIFAR10, write_cifar10, write_digits, write_requests
from tests.readme import list_commands, read_blocks, type_over
from tests.test_wave import FOREIGN_WORDS
from tests.workspaces import BIN, ROOT, Finished, Site, describe, shrink

TUTORIAL = "tutorial.md"
SETUP, PATH, *COMMANDS = list_commands(TUTORIAL)
SERVE = "amun serve"
PROGRESS = re.compile(r"  \w+ +\d+/\d+ epochs")  # of exact retraining: apart from what `--json` prints
AUTHOR = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "somebody"), ("EMAIL", "somebody@localhost"))
}


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("write_photos", "is_quick"),
    [
        pytest.param(write_digits, True, id="digits"),
        pytest.param(
            write_cifar10,
            False,
            id="cifar10",
            marks=pytest.mark.skipif(not CIFAR10.exists(), reason="CIFAR-10 is not at hand"),
        ),
    ],
)
def test_every_command_of_the_tutorial_succeeds(
    write_photos: Callable[[Path], None], is_quick: bool, tmp_path: Path
) -> None:
    site = make_site(tmp_path / "Büro von Zoé", write_photos, is_quick)
    began = time.monotonic()
    typed = list(type_commands(site))
    waited = time.monotonic() - began
    assert sorted(command for command, _ in typed) == sorted(COMMANDS)
    said = dict(typed)
    for _, finished in typed:
        assert finished.returncode == 0, describe(finished)
        assert [word for word in FOREIGN_WORDS if word in describe(finished)] == [], describe(finished)
        assert [line for line in finished.stderr.splitlines() if not PROGRESS.match(line)] == [], describe(finished)
    assert "wave 1: same bytes" in said["amun wave reproduce 1"].stdout
    assert "person-0003" in said["amun subject trace person-0003"].stdout
    assert (site.root.parent / "person-0003.html").exists()
    assert site.git("status", "--porcelain") == ""
    print("\n".join(f"$ {command}\n{finished.stdout}" for command, finished in typed))
    print(f"waited {waited:.0f} s in all")


def test_parameters_typed_as_they_stand_are_whole(tmp_path: Path) -> None:
    write_params(tmp_path, is_quick=False)
    params = read_params(tmp_path / PARAMS)
    assert (params.model.name, params.data.images.size, params.references.num_audit) == ("pets", (32, 32), 8)


def test_environment_is_built_and_put_on_the_path_as_it_stands() -> None:
    subprocess.run(["make", "--dry-run", *SETUP.split()[1:]], cwd=ROOT, capture_output=True, check=True)
    found = subprocess.run(
        ["sh", "-ec", f"{PATH}\ncommand -v amun"],
        cwd=Path(BIN).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == Path(BIN).parent.parent / ".venv/bin/amun"


def test_tables_are_read_as_they_stand(tmp_path: Path) -> None:
    whose, asked = read_blocks(TUTORIAL, "csv")
    (tmp_path / "subjects.csv").write_text(whose, encoding="utf-8")
    for row in whose.splitlines()[1:]:
        path = tmp_path / row.partition(",")[0]
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    listing = list_source("folder", tmp_path, {})
    assert listing.subject_ids is not None
    assert dict(zip(listing.keys, listing.subject_ids.tolist(), strict=True)) == {
        "cat/0001.jpg": "person-0007",
        "cat/0002.jpg": "person-0007",
        "dog/0001.jpg": "person-0042",
    }
    demands = parse_demands(asked.encode(), datetime(2026, 12, 1, tzinfo=UTC))
    assert [(one.subject_id, one.reference) for one in demands] == [
        ("person-0007", "CRM-4711"),
        ("person-0042", "CRM-4718"),
    ]


def make_site(folder: Path, write_photos: Callable[[Path], None], is_quick: bool) -> Site:
    """Returns a fresh clone with the pictures and the requests beside it, and the tutorial's parameters in it."""
    write_photos(folder / "photos")
    write_requests(folder / "photos", folder / "requests.csv")
    (folder / "home").mkdir()
    site = Site(folder / "clone", {"HOME": str(folder / "home"), **AUTHOR})
    ensure_clone(ROOT, site.root)
    write_params(site.root, is_quick)
    return site


def write_params(root: Path, is_quick: bool) -> None:
    """Writes the shipped parameters with the tutorial's typed over them."""
    params = yaml.safe_load((ROOT / PARAMS).read_text(encoding="utf-8"))
    for block in read_blocks(TUTORIAL, "yaml"):
        type_over(params, block)
    if is_quick:
        shrink(params)
    (root / PARAMS).write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def type_commands(site: Site) -> Iterator[tuple[str, Finished]]:
    """Types the commands in their order; what serves is left running, and stopped at the end."""
    log = site.root.parent / "serve.log"
    serving = None
    try:
        for command in COMMANDS:
            if command == SERVE:
                serving = start_serving(site, log)
            else:
                yield command, site.start(*shlex.split(command))
        assert serving is not None
    finally:
        if serving is not None:
            serving.send_signal(signal.SIGTERM)
            serving.wait(timeout=120)
    yield SERVE, subprocess.CompletedProcess(SERVE, serving.returncode, log.read_text(encoding="utf-8"), "")


def start_serving(site: Site, log: Path) -> "subprocess.Popen[bytes]":
    """Starts `amun serve` and returns once it has told its addresses."""
    with log.open("wb") as file:
        serving = subprocess.Popen(
            [str(BIN / "amun"), "serve"], cwd=site.root, env=site.environment, stdout=file, stderr=subprocess.STDOUT
        )
    while "MLflow http" not in log.read_text(encoding="utf-8"):
        assert serving.poll() is None, log.read_text(encoding="utf-8")
        time.sleep(0.2)
    return serving
