"""`amun erase` in a workspace whose store files are sealed, and in which a wave has forgotten some people."""

import json
import os
import shutil
import signal
import sqlite3
import sys
from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from dvc.repo import Repo

from amun.core.errors import SAYS_MORE, AmunError, InputError
from amun.core.keys import store_secret
from amun.core.locks import hold_lock
from amun.core.paths import CALIBRATION, FORGOTTEN, KEK, KEYS, STAGE_LOCK, TEST, TRAIN
from amun.core.paths import PARAMS as PARAMS_FILE
from amun.evidence.wave import write_json
from amun.ledger import Ledger
from amun.scan.fingerprint import KINDS, SEALED, Fingerprint
from amun.store.alike import digest_pictures
from amun.store.samples import Samples, read_samples, write_samples
from amun.store.store import read_owners
from amun.vault.database import MARK
from amun.vault.fingerprints import read_fingerprints
from amun.vault.kek import KEK_VARIABLE, KekFile
from amun.vault.rotation import move_kek
from amun.vault.seal import Seal
from amun.vault.sealed_weights import WeightsSeal, list_weights_keys
from amun.vault.vault import Vault, create_vault, open_vault
from flows.cli import main
from flows.waves import deletion_wave
from tasks.steps.base import prepare_base
from tasks.tools.dvc import StageInterruptedError
from tasks.tools.git import commit_paths, run_git
from tasks.workspace import erasing
from tasks.workspace.erased_weights import read_erased_weights
from tasks.workspace.learned import Learned
from tasks.workspace.listed import count_listed
from tasks.workspace.workspace import Workspace, open_workspace
from tests.amun.ledger.helpers import MODEL, add, claim_wave, complete_wave
from tests.amun.pictures import write_class_folder
from tests.amun.shipped import PARAMS, ROOT
from tests.die import wrap
from tests.flows.cli.test_requests import PEOPLE, ledger
from tests.softhsm import LABEL, OBJECT, make_token
from tests.workspaces import set_key

__all__ = ["ledger"]

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
OWNERS = [PEOPLE[number % len(PEOPLE)] for number in range(2 * len(PEOPLE))]
# two kills for each step of an erasure: before it and after it
STEPS = [
    "amun.ledger.erasures:ErasureBook.start_erasures",
    "tasks.workspace.erasing:_list_pictures",
    "tasks.workspace.erasing:_keep_fingerprints",
    "tasks.workspace.erasing:_keep_weights",
    "amun.vault.vault:Vault.destroy_keys",
    # in the middle of its transaction
    "amun.vault.key_store:KeyStore._delete_keys",
    "tasks.workspace.erasing:rotate_kek",
    "amun.ledger.erasures:ErasureBook.record_destroyed",
    "tasks.workspace.erasing:_find_places",
    "amun.ledger.erasures:ErasureBook.finish_erasures",
]


@pytest.fixture(autouse=True)
def vault(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """The vault of the current folder, under whose keys its store files are sealed."""
    # no such workspace has DVC or MLflow, where a scan looks
    params = Path(PARAMS_FILE).read_text(encoding="utf-8")
    Path(PARAMS_FILE).write_text(params.replace("  scan: true", "  scan: false"), encoding="utf-8")
    # the commits of the waves are made up: here they are, and name no store file
    monkeypatch.setattr("tasks.workspace.store_files.read_lock", lambda *_: {"metrics/audit.json": "0" * 32})
    assert ledger.name
    vault = create_vault()
    write_json(FORGOTTEN, [])
    for number, path in enumerate((TRAIN, CALIBRATION, TEST)):
        write_store(path, number, Seal(vault, "the base"))
    return vault


def write_store(path: Path, number: int, seal: Seal | None) -> None:
    ids = np.array([f"{number}{row:031x}" for row in range(len(OWNERS))])
    images = torch.randint(0, 256, (len(OWNERS), 1, 4, 4), dtype=torch.uint8)
    write_samples(path, Samples(ids, np.array(OWNERS), torch.arange(len(OWNERS)) % 5, images), seal)


def forget(ledger: Ledger, *people: str, days: int = -1) -> list[str]:
    """Returns the ids of the requests that a wave has honoured, whose people may be erased in so many days."""
    ids = add(ledger, *people)
    complete_wave(ledger, claim_wave(ledger), erase_after=datetime.now(UTC) + timedelta(days=days))
    return ids


def type_erase(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, str, str]:
    """Returns the exit code of a command, and what it printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["erase", *command])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def list_readable() -> list[str]:
    """Returns whose samples can be opened, in every store file alike, once each."""
    found = []
    for path in (TRAIN, CALIBRATION, TEST):
        owners = read_owners(path)
        samples = read_samples(path, without=owners.sample_ids[owners.is_erased].tolist())
        found.append(sorted(set(samples.subject_ids.tolist())))
    assert found[0] == found[1] == found[2]
    return found[0]


def read_pictures() -> dict[str, set[bytes]]:
    """Returns the digests of everybody's pictures."""
    found: dict[str, set[bytes]] = defaultdict(set)
    for samples in map(read_samples, (TRAIN, CALIBRATION, TEST)):
        for name, picture in zip(samples.subject_ids, digest_pictures(samples.payloads.numpy()), strict=True):
            found[str(name)].add(picture)
    return found


def list_pictures_suppressed(pictures: dict[str, set[bytes]]) -> set[bytes]:
    """Returns those of the pictures that are refused from now on."""
    return set(filter(open_vault().read_suppression().has_picture, set[bytes]().union(*pictures.values())))


def test_whoever_is_due_is_erased_and_nobody_else(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    heavy, zoe = forget(ledger, "heavy", "Zo\u00eb")
    (waiting,) = forget(ledger, "00042", days=7)
    kek, pictures = Path(KEK).read_bytes(), read_pictures()
    code, out, _ = type_erase(capsys, "run", "--dry-run")
    assert open_vault().read_suppression().entries == frozenset()
    assert (code, out.splitlines()[:2]) == (0, [f"{heavy} heavy: would be erased", f"{zoe} Zo\u00eb: would be erased"])
    assert list_readable() == sorted(PEOPLE)
    code, out, _ = type_erase(capsys, "run")
    assert code == 0
    assert f"{heavy} heavy: erased\n{zoe} Zo\u00eb: erased\n" in out
    assert f"{waiting} 00042: held up by the waiting days of {MODEL}, until" in out
    for words in ("not touched", "the source, for its owner to clear", "the requests themselves"):
        assert words in out
    # the data spell her otherwise than the request
    assert list_readable() == sorted(set(PEOPLE) - {"heavy", "Zoe\u0308"})
    assert pictures["00042"].isdisjoint(list_pictures_suppressed(pictures))
    assert list_pictures_suppressed(pictures) == pictures["heavy"] | pictures["Zoe\u0308"]
    suppression = open_vault().read_suppression()
    assert [name for name in PEOPLE if suppression.has_person(name)] == ["heavy", "Zoe\u0308"]
    assert Path(KEK).read_bytes() != kek
    kek = Path(KEK).read_bytes()
    assert type_erase(capsys, "run")[:2] == (0, out.splitlines()[2] + "\n")
    assert Path(KEK).read_bytes() == kek

    listed = json.loads(type_erase(capsys, "list", "--json")[1])
    assert [one["erasure"]["erased_at"] is not None for one in listed] == [True, True, False]
    shown = type_erase(capsys, "list", "--columns", "subject,erased")[1].splitlines()
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert [line.split() for line in shown[1:3]] == [["heavy", today], ["Zo\u00eb", today]]
    assert shown[3].split()[:2] == ["00042", "after"]


@pytest.fixture
def unscrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nights that read no copies again: the folder is not DVC's."""
    monkeypatch.setattr("tasks.workspace.scrubbing.scrub_tonight", lambda *_: None)


@pytest.mark.usefixtures("unscrubbed")
def test_files_in_the_source_are_deleted_with_the_keys(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = {f"cat/{number}.png": name for number, name in enumerate(PEOPLE)}
    write_class_folder(Path("../images"), owners)
    shipped = Path("params.yaml").read_text(encoding="utf-8")
    changes = {"source: digits": "source: folder", "root: null": "root: ../images"}
    changes |= {"source_delete: false": "source_delete: true"}
    for old, new in changes.items():
        shipped = shipped.replace(old, new, 1)
    Path("params.yaml").write_text(shipped, encoding="utf-8")
    (request,) = forget(ledger, "heavy")
    table = "../images/subjects.csv, which names the person"
    code, out, _ = type_erase(capsys, "run")
    assert (code, "deleted in the source: 1 file\n" in out) == (0, True)
    assert f"{request} heavy: left to the source's owner: {table}\n" in out
    assert "copies of what is deleted in the source" in out
    assert not [path for path, name in owners.items() if Path("../images", path).exists() == (name == "heavy")]
    (listed,) = json.loads(type_erase(capsys, "list", "--json")[1])
    assert listed["erasure"]["source"]["left"] == [table]
    assert type_erase(capsys, "list", "--columns", "source")[1].endswith(", but for its owner\n")
    # a night does it, too, and names no file
    forget(ledger, "00042")
    Path("../images/cat/2.png").rename("../elsewhere.png")
    Path("../images/cat/2.png").symlink_to(Path("../elsewhere.png").absolute())
    with pytest.raises(SystemExit):
        main(["wave", "run"])
    told = "warning: not all files of 1 request could be deleted in the source; `amun erase run` names them"
    assert capsys.readouterr().out.splitlines()[1] == told
    code, out, _ = type_erase(capsys, "run")
    assert (code, "00042: not deleted in the source yet: ../images/cat/2.png: it is a link" in out) == (1, True)
    # a source that cannot be used, likewise
    Path("../images/cat", os.fsdecode(b"zo\xeb.png")).write_bytes(b"x")
    fault = "has a name that is no UTF-8"
    with pytest.raises(SystemExit):
        main(["wave", "run"])
    (told,) = [line for line in capsys.readouterr().out.splitlines() if fault in line]
    assert told.endswith(f"a folder below {Path.cwd()}/../images {fault}; {SAYS_MORE}")
    assert f"../images/cat {fault}: zo" in type_erase(capsys, "run")[1]
    for name in ("2.png", os.fsdecode(b"zo\xeb.png")):
        Path("../images/cat", name).unlink()
    assert type_erase(capsys, "run")[0] == 0
    monkeypatch.setattr("flows.running._follow", lambda _: None)
    with pytest.raises(SystemExit):
        main(["wave", "run"])
    assert capsys.readouterr().out == "nothing to do: no request is pending\n"


def test_erasure_destroys_the_key_in_a_token(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with make_token(tmp_path / "hsm") as token:
        monkeypatch.setenv(KEK_VARIABLE, token.uri)
        move_kek(open_vault(), KekFile(Path(KEK)))
        forget(ledger, "heavy")
        backup, fingerprint = Path(KEYS).read_bytes(), open_vault().describe().fingerprint
        content = token.pin_path.read_text(encoding="ascii")
        token.pin_path.write_text("4321", encoding="ascii")
        (night,) = erasing.erase_due(open_workspace(Path()))
        assert night.startswith("warning: erasure is not finished: AMUN_KEK: the token 'our token' refuses the PIN")
        assert open_vault().kek.name == f"pkcs11:token={LABEL};object={OBJECT}"
        token.pin_path.write_text(content, encoding="ascii")
        assert type_erase(capsys, "run")[0] == 0
        assert list_readable() == sorted(set(PEOPLE) - {"heavy"})
        Path(KEYS).write_bytes(backup)
        with pytest.raises(InputError, match=f"the subjects' keys lie under {fingerprint}"):
            list_readable()


def test_now_and_subject_go_past_the_waiting_days_and_past_nothing_else(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    heavy, other = forget(ledger, "heavy", "00042", days=7)
    ledger.hold_request(heavy, "a court's order", now=datetime.now(UTC))
    code, out, _ = type_erase(capsys, "run", "--now", "--subject", "heavy")
    assert (code, out) == (1, f"{heavy} heavy: held up by a legal hold on {heavy}: a court's order\n")
    code, _, err = type_erase(capsys, "run", "--subject", "guest-1")
    assert (code, err.count("\n"), "'guest-1'" in err) == (2, 1, True)
    refused = {"42": "nobody called '42' is still to be erased; is it '00042'?", "heavy ": "has blanks around it"}
    for typed, words in refused.items():
        code, _, err = type_erase(capsys, "run", "--dry-run", "--subject", typed)
        assert (code, err.count("\n"), words in err) == (2, 1, True), err
    assert list_readable() == sorted(PEOPLE)
    code, out, _ = type_erase(capsys, "run", "--now", "--subject", "00042")
    assert (code, f"{other} 00042: erased" in out, "heavy" in out) == (0, True, False)
    ledger.release_request(heavy, now=datetime.now(UTC))
    assert type_erase(capsys, "run", "--now")[0] == 0
    assert type_erase(capsys, "run")[:2] == (0, "nobody is to be erased\n")
    assert list_readable() == sorted(set(PEOPLE) - {"heavy", "00042"})


def test_whoever_can_still_be_read_is_not_erased_yet(
    ledger: Ledger, vault: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    (request,) = forget(ledger, "heavy")
    write_store(TEST, 2, None)
    kek = [Path(KEK).read_bytes()]
    for _ in range(2):
        code, out, _ = type_erase(capsys, "run")
        assert (code, out) == (1, f"{request} heavy: not erased yet, for samples can still be read in {TEST}\n")
        kek.append(Path(KEK).read_bytes())
    assert kek[0] != kek[1] == kek[2]
    assert vault.find_names(["heavy"]) == {}
    (night,) = erasing.erase_due(open_workspace(Path()))
    assert night == "warning: the people of 1 request can still be read; `amun erase run` says where"
    # an earlier release, which had no suppression list, makes a key anew when it seals them: that goes, too
    with closing(sqlite3.connect(KEYS)) as connection, connection:
        connection.execute("DROP TABLE suppressed")
    write_store(TEST, 2, Seal(vault, "sealed"))
    code, out, _ = type_erase(capsys, "run")
    assert (code, f"{request} heavy: erased" in out) == (0, True)
    assert Path(KEK).read_bytes() != kek[2]
    assert open_vault().read_suppression().has_person("heavy")


def test_nothing_is_begun_where_the_keys_cannot_be_changed(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    forget(ledger, "heavy")
    Path(KEK).rename("elsewhere")
    code, out, err = type_erase(capsys, "run")
    assert (code, out, err.count("\n")) == (2, "", 1)
    (night,) = erasing.erase_due(open_workspace(Path()))
    assert night.startswith("warning: erasure is not finished: AMUN_KEK")
    assert night.endswith("the next night goes on with it")
    (erasure,) = ledger.list_erasures(MODEL, NOW)
    assert erasure.erasure.started_at is None
    Path("elsewhere").rename(KEK)
    assert erasing.erase_due(open_workspace(Path())) == ["erased: 1 request, and the key-encryption key was changed"]
    assert erasing.erase_due(open_workspace(Path())) == []


@pytest.mark.usefixtures("unscrubbed")
def test_night_without_a_wave_erases_too(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    (request,) = forget(ledger, "heavy")
    with pytest.raises(SystemExit) as ended:
        main(["wave", "run"])
    assert not ended.value.code
    assert capsys.readouterr().out.splitlines() == [
        "erased: 1 request, and the key-encryption key was changed",
        "nothing to do: no request is pending",
    ]
    assert list_readable() == sorted(set(PEOPLE) - {"heavy"})
    assert [one.request_id for one in ledger.list_erasures(MODEL, NOW) if one.erasure.erased_at] == [request]


@pytest.mark.parametrize("lacks", ["commit", "file"])
def test_where_nothing_can_be_looked_at_nobody_is_erased(
    lacks: str, ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(ledger, "heavy")
    if lacks == "commit":
        monkeypatch.setattr("tasks.workspace.store_files.read_lock", lambda *_: {})
        said = "the commit of wave 0 is not in "
    else:
        TEST.unlink()
        said = f"{TEST} is not in "
    code, out, err = type_erase(capsys, "run")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    (erasure,) = ledger.list_erasures(MODEL, NOW)
    assert erasure.erasure.started_at is None


def test_while_a_stage_runs_nobody_is_erased(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    forget(ledger, "heavy")
    with hold_lock(STAGE_LOCK):
        code, out, err = type_erase(capsys, "run")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "a stage is running here" in err
    assert type_erase(capsys, "run")[0] == 0


def test_night_that_fails_erases_whoever_was_forgotten_before(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(ledger, "heavy")

    def fail(_: object) -> None:
        raise AmunError("the remote is away")

    monkeypatch.setattr("flows.running._follow", fail)
    with pytest.raises(SystemExit) as ended:
        main(["wave", "run"])
    assert ended.value.code == 1
    assert capsys.readouterr().out == "erased: 1 request, and the key-encryption key was changed\n"
    forget(ledger, "00042")
    monkeypatch.setattr("flows.waves.take_in", fail)
    with pytest.raises(AmunError, match="the remote is away"):
        deletion_wave.fn(str(Path()))
    assert list_readable() == sorted(set(PEOPLE) - {"heavy", "00042"})
    forget(ledger, "guest-1")
    add(ledger, "guest-2")
    monkeypatch.setattr("flows.running.require_ready", fail)
    with pytest.raises(SystemExit):
        main(["wave", "run"])
    assert "guest-1" not in list_readable()


@pytest.mark.parametrize("variable", ["", "PREFECT_API_URL"])
def test_night_that_cannot_begin_is_a_failed_one_all_the_same(
    variable: str, ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(ledger, "heavy")
    if variable:  # nobody answers there
        monkeypatch.setattr("flows.running.require_ready", lambda _: None)
        monkeypatch.setenv(variable, "http://127.0.0.1:9/api")
        add(ledger, "guest-1")
    else:
        params = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
        set_key(params, "intake.source", "../not/there")
        PARAMS_FILE.write_text(yaml.safe_dump(params), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["wave", "run"])
    said = capsys.readouterr()
    assert ended.value.code in (1, 2)
    assert (variable or "not/there") in said.err
    assert "erased: 1 request" in said.out
    assert "heavy" not in list_readable()
    night = ledger.find_night(MODEL)
    assert night is not None
    assert night.good_at is None
    assert "night-failed" in [alert.kind for alert in ledger.list_alerts(MODEL)]


def test_night_that_somebody_stops_erases_nobody(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(ledger, "heavy")

    def stop(_: object) -> None:
        raise StageInterruptedError("stage unlearn was interrupted")

    monkeypatch.setattr("flows.waves.take_in", stop)
    with pytest.raises(StageInterruptedError):
        deletion_wave.fn(str(Path()))
    assert list_readable() == sorted(PEOPLE)


def kill_at(moment: str, step: str) -> None:
    """Erases in a process that dies at this point."""
    if not (child := os.fork()):
        wrap(step, moment)
        erasing.erase(open_workspace(Path()))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, f"{moment} {step}"


def test_killed_between_any_two_steps_the_next_call_ends_it(ledger: Ledger, vault: Vault) -> None:
    people = [name for name in PEOPLE if name.startswith("guest")]
    own, pictures = vault.own_key, read_pictures()
    suppressed = set[bytes]()
    keys = {name: key.nonce_key for name, key in vault.provide_keys(PEOPLE).items()}
    sys.stdout.flush()
    for step in STEPS:
        for moment in ("before", "after"):
            person = people.pop()
            del keys[person]
            (request,) = forget(ledger, person)
            kill_at(moment, step)
            is_destroyed = open_vault().find_names([person]) == {}
            assert open_vault().read_suppression().has_person(person) == is_destroyed
            assert list_pictures_suppressed(pictures) == suppressed | (pictures[person] if is_destroyed else set())
            suppressed |= pictures[person]
            done = erasing.erase(open_workspace(Path()))
            is_finished = step.endswith("finish_erasures") and moment == "after"
            assert [one.request_id for one in done.erased] == ([] if is_finished else [request])
            (erasure,) = (one.erasure for one in ledger.list_erasures(MODEL, NOW) if one.request_id == request)
            assert None not in (erasure.started_at, erasure.keys_destroyed_at, erasure.erased_at)
            assert open_vault().find_names([person]) == {}
            assert {key.name: key.nonce_key for key in open_vault().find_keys(_list_subjects()).values()} == keys
            assert list_readable() == sorted(keys)
            assert open_vault().read_suppression().has_person(person)
            assert list_pictures_suppressed(pictures) == suppressed
            assert not open_vault().describe().is_rotating
    assert open_vault().own_key == own


def test_damaged_sample_keeps_nobody_from_being_erased(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    requests = forget(ledger, "heavy", "00042")
    content, pictures = TRAIN.read_bytes(), read_pictures()
    position = read_owners(TRAIN).subject_ids.tolist().index("heavy")
    lost = digest_pictures(read_samples(TRAIN).payloads.numpy())[position]
    row = pq.read_table(TRAIN).column("payload")[position].as_py()
    TRAIN.write_bytes(content.replace(row, row[:-1] + bytes([row[-1] ^ 1])))
    code, out, _ = type_erase(capsys, "run")
    said = "warning: the suppression list has the names of these people; some of their pictures may be missing on it"
    assert (code, said in out) == (0, True)
    assert all(f"{request} " in out for request in requests)
    assert out.count(": erased\n") == 2
    assert open_vault().read_suppression().has_person("heavy")
    assert list_pictures_suppressed(pictures) == (pictures["heavy"] | pictures["00042"]) - {lost}
    forget(ledger, "guest-2")
    TRAIN.write_bytes(content)
    assert erasing.erase_due(open_workspace(Path())) == ["erased: 1 request, and the key-encryption key was changed"]
    forget(ledger, "guest-1")
    FORGOTTEN.unlink()
    (_, warning) = erasing.erase_due(open_workspace(Path()))
    assert warning.startswith(said)
    assert f"be others' too: {Path().resolve()}" in warning


def test_people_of_before_the_list_and_of_other_workspaces_are_put_on_it(
    ledger: Ledger, vault: Vault, tmp_path: Path
) -> None:
    forget(ledger, "heavy", "Zo\u00eb")
    erasing.erase(open_workspace(Path()))
    forget(ledger, "00042", days=7)
    with closing(sqlite3.connect(KEYS)) as connection, connection:
        connection.execute("DROP TABLE suppressed")
    forget(ledger, "guest-1")
    erasing.erase(open_workspace(Path()))
    assert vault.read_suppression().has_person("heavy")
    other = tmp_path / "other"
    store_secret(other, "cd" * 32)
    shutil.copy(ROOT / "dvc.yaml", other)
    run_git(other, "init", "--quiet")
    Repo.init(str(other)).close()
    commit_paths(other, ["dvc.yaml"], "no wave yet")
    theirs = Vault(vault.store, vault.kek, other)
    ledger.register_model("another")
    claim = claim_wave(ledger, "base", model="another", now=datetime.now(UTC))
    model = PARAMS.model.model_copy(update={"name": "another"})
    prepare_base.fn(Workspace(other, PARAMS.model_copy(update={"model": model})), claim)
    complete_wave(ledger, claim, now=datetime.now(UTC))
    assert theirs.read_suppression().has_person("Zoe\u0308")
    assert not theirs.read_suppression().has_person("00042")


def test_no_base_is_made_where_people_are_erased_and_the_list_is_not_there(ledger: Ledger) -> None:
    forget(ledger, "heavy")
    erasing.erase(open_workspace(Path()))
    Path(KEYS).unlink()
    Path(KEK).unlink()
    ledger.register_model("another")
    claim = claim_wave(ledger, "base", model="another", now=datetime.now(UTC))
    model = PARAMS.model.model_copy(update={"name": "another"})
    with pytest.raises(InputError, match=r"the ledger has 1 erased person, and the key store .* is not there: bring"):
        prepare_base.fn(Workspace(Path(), PARAMS.model_copy(update={"model": model})), claim)


def test_entries_on_the_list_are_counted_where_the_key_store_answers(ledger: Ledger) -> None:
    assert count_listed(Path()) == 0
    forget(ledger, "heavy", "Zo\u00eb")
    erasing.erase(open_workspace(Path()))
    assert count_listed(Path()) == 2
    Path(KEYS).write_bytes(b"no database" * 100)
    assert count_listed(Path()) is None
    Path(KEYS).unlink()
    assert count_listed(Path()) == 0


def test_scan_fails_where_no_fingerprints_are_kept_and_names_the_date(
    ledger: Ledger, vault: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    assert type_erase(capsys, "verify") == (0, "nobody is to be looked for\n", "")
    (request,) = forget(ledger, "heavy")
    for options in (["--subject", "heavy"], ["--subject", "nobody"]):
        code, out, err = type_erase(capsys, "verify", *options)
        assert (code, out, err.count("\n"), "is not erased yet" in err) == (2, "", 1, True)
    erasing.erase(open_workspace(Path()))
    assert len(read_fingerprints(vault, ["heavy", "00042"])) == 1
    code, _, err = type_erase(capsys, "verify", "--before", "--subject", "heavy")
    assert (code, err) == (2, "amun: 'heavy' is erased, or about to be; leave --before out\n")
    # their time is over, and the next call of anything that erases destroys them
    with closing(sqlite3.connect(KEYS)) as connection, connection:
        connection.execute("UPDATE fingerprint SET keep_until = '2026-01-31T00:00:00Z'")
    told = "destroyed: 1 fingerprint, and the key-encryption key was changed"
    kek = Path(KEK).read_bytes()
    assert erasing.erase_due(open_workspace(Path())) == [told]
    assert (read_fingerprints(vault, ["heavy"]), Path(KEK).read_bytes() != kek) == ({}, True)
    code, out, _ = type_erase(capsys, "verify")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert (code, f"{request}: erased on {today}, and no fingerprints are kept" in out) == (1, True)
    shown = json.loads(type_erase(capsys, "verify", "--json")[1])
    assert (shown["is_clean"], shown["places"], shown["people"][0]["num_payloads"]) == (False, [], None)


def test_fingerprints_are_taken_before_the_keys_go_and_once(ledger: Ledger, vault: Vault) -> None:
    forget(ledger, "heavy")
    kill_at("before", "amun.vault.vault:Vault.destroy_keys")
    (before,) = (Fingerprint.load(one) for one in read_fingerprints(vault, ["heavy"]).values())
    assert KINDS[SEALED] in {KINDS[kind] for kind in before.kinds}
    kill_at("after", "amun.ledger.erasures:ErasureBook.record_destroyed")
    erasing.erase(open_workspace(Path()))
    (after,) = (Fingerprint.load(one) for one in read_fingerprints(vault, ["heavy"]).values())
    assert sorted(before.digests.tolist()) == sorted(after.digests.tolist())
    assert (before.kinds != SEALED).sum() == (after.kinds != SEALED).sum() > 0


def test_by_what_erased_weights_are_found_is_kept_before_their_keys_go(
    ledger: Ledger, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    WeightsSeal(vault, MODEL).seal(b"weights")
    (key_id,) = list_weights_keys(vault, MODEL)
    forget(ledger, "heavy")
    # no such workspace has a base, nor versions
    monkeypatch.setattr(
        "tasks.workspace.learned.find_learned", lambda *_: Learned(frozenset([key_id]), (), defaultdict(tuple))
    )
    for _ in range(2):
        erasing.erase(open_workspace(Path()))
        assert list_weights_keys(vault, MODEL) == {}
        assert [file.size for file in read_erased_weights(open_workspace(Path()))] == [len(b"weights")]


def _list_subjects() -> list[str]:
    return [subject for subject in open_vault().store.read_all_keys()[1] if MARK not in subject]
