"""Where one person's samples went, and the record of a request as a page: about that person, and nobody else."""

import csv
import hashlib
import io
import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from amun.core.keys import load_secret
from amun.core.paths import (
    ADVERSARIAL,
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    BASE_MODEL,
    CALIBRATION,
    LEDGER,
    TEST,
    TRAIN,
    UNLEARNED,
    WAVE_BASE,
)
from amun.evidence.figures import Comparison
from amun.ledger import Ledger
from amun.store.naming import name_by_person, name_by_secret
from amun.store.samples import Samples
from amun.vault.database import MARK
from amun.vault.sealed_weights import ErasedWeightsError
from amun.vault.vault import open_vault
from tasks.tools.dvc import read_digests
from tests.amun.ledger.helpers import build_base
from tests.registry import open_client
from tests.test_bad_input import assert_one_line
from tests.workspaces import MODEL, Site, choose_people, list_people

SUBJECT = re.compile(r"subject-\d{5}")
HEXADECIMAL = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def count(site: Site, person: str, *paths: Path) -> int:
    return sum(int((site.read(path).subject_ids == person).sum()) for path in paths)


def test_trace_follows_a_forgotten_person(wave_one: Site) -> None:
    person = choose_people(wave_one)[0]
    trace = wave_one.load("subject", "trace", person)
    num_train = count(wave_one, person, TRAIN)
    assert [(version["version"], version["num_train"], version["role"]) for version in trace["versions"]] == [
        (1, num_train, "trained on"),
        (2, num_train, "forgotten by this wave"),
    ]
    files = {file["path"]: (file["waves"], file["num_samples"], file["known_from"]) for file in trace["files"]}
    assert files == {
        "data/train.parquet": ([0, 1], num_train, "file"),
        "references/audit_logits.parquet": ([0, 1], num_train, "file"),
        "references/target_logits.parquet": ([0, 1], num_train, "file"),
        "wave/adversarial.parquet": ([1], num_train, "file"),
    }
    references = [(group["name"], group["num_trained"], group["num_references"]) for group in trace["references"]]
    assert references == [("audit", 2, 4), ("target", 1, 2)]
    assert [request["request_id"] for request in trace["requests"]] == ["R-000001"]
    assert trace["subject_key"] in wave_one.git("show", "HEAD:wave/forgotten.json")
    shown = wave_one.run("amun", "subject", "trace", person)
    assert set(SUBJECT.findall(shown)) == {person}


def test_trace_of_what_the_cache_has_lost(site: Site) -> None:
    trained, held_out = choose_people(site)[0], choose_people(site)[-1]
    before = site.load("subject", "trace", held_out)
    assert {version["num_train"] for version in before["versions"]} == {0}
    assert before["versions"][1]["role"] == "never trained on; held out until this wave"
    for path in (TRAIN, CALIBRATION, TEST):
        md5 = read_digests(site.root)[str(path)]
        (site.root / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}").unlink()

    trace = site.load("subject", "trace", trained)
    (file,) = (file for file in trace["files"] if file["path"] == str(TRAIN))
    assert (file["num_samples"], file["known_from"]) == (count(site, trained, TRAIN), "ledger")
    assert trace["versions"][1]["role"] == "forgotten by this wave"
    after = site.load("subject", "trace", held_out)
    assert [version["num_held_out"] for version in after["versions"]] == [count(site, held_out, CALIBRATION, TEST)] * 2


def test_version_of_another_clone_may_have_learned_the_person(site: Site, tmp_path: Path) -> None:
    open_client(site).set_model_version_tag(MODEL, "2", "amun.commit", "1" * 40)
    _, unknown = site.load("subject", "trace", choose_people(site)[0])["versions"]
    assert (unknown["num_train"], unknown["forgotten_by"]) == (None, None)
    assert unknown["role"] == "its commit is not in this clone: not known; `git pull` brings it"
    assert "it is not known here whether" in write_record(site, "R-000001", tmp_path / "page.html").text
    details = site.load("model", "show", "2")
    assert "not in this clone" in details["origin"]["commit"]
    assert details["decisions"] == []
    assert details["data"] == details["parameters"] == {}


def test_unknown_person(wave_one: Site) -> None:
    assert_one_line(wave_one.start("amun", "subject", "trace", "nobody"), 2, "nobody", MODEL)


class Outline(HTMLParser):
    """Checks that every element is closed, and gathers what a reader sees and what the page refers to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def write_record(site: Site, request_id: str, path: Path) -> Outline:
    site.run("amun", "request", "show", request_id, "--html", str(path))
    outline = Outline(path.read_text(encoding="utf-8"))
    assert (outline.open, outline.addresses) == ([], [])
    assert path.stat().st_mode & 0o777 == 0o600
    return outline


def test_record_of_a_request(site: Site, tmp_path: Path) -> None:
    person = choose_people(site)[0]
    text = write_record(site, "R-000001", tmp_path / "first.html").text
    assert set(SUBJECT.findall(text)) == {person}
    for words in ("Honoured by wave 1", "not computed", "too few to show", "DVC cache", "near-copies", "refused"):
        assert words in text
    assert site.git("rev-list", "-n", "1", "wave/0001") in text

    with Ledger(f"sqlite:///{site.root / LEDGER}") as ledger:
        ledger.set_comparison(MODEL, 1, Comparison(accuracy=0.9, ft_auc=0.5))
    assert "exactly retrained one by" in write_record(site, "R-000001", tmp_path / "second.html").text

    unknown, waiting = site.load("request", "add", "<b>nobody</b>", list_people(site)[0][0], "--confirm-unknown")
    outline = write_record(site, unknown["request_id"], tmp_path / "third.html")
    assert "<b>nobody</b>" in outline.text
    assert "No sample is held under this id" in outline.text
    site.run("amun", "request", "hold", waiting["request_id"], "--reason", "a court's order")
    text = write_record(site, waiting["request_id"], tmp_path / "fourth.html").text
    assert "kept back by a legal hold: a court's order" in text


def export(site: Site, person: str, path: Path) -> tuple[str, dict[str, bytes]]:
    """Returns what `amun subject export` says, and what it has written by name."""
    said = site.run("amun", "subject", "export", person, "--to", str(path))
    assert said.count("\n") == 1
    assert path.stat().st_mode & 0o777 == 0o600
    with ZipFile(path) as archive:
        assert archive.testzip() is None
        return said, {name: archive.read(name) for name in archive.namelist()}


def read_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_export_has_all_of_a_person_and_nothing_of_anybody_else(wave_one: Site, tmp_path: Path) -> None:
    person, held_out = choose_people(wave_one)[0], choose_people(wave_one)[-1]
    said, files = export(wave_one, person, tmp_path / "person.zip")
    own = {path: select(wave_one.read(path), person) for path in (TRAIN, ADVERSARIAL, AUDIT_LOGITS, AUDIT_INCLUSION)}
    num_train = len(own[TRAIN])
    assert (
        said
        == f"written: {tmp_path}/person.zip: {num_train} samples, {num_train} near-copies and 1 request of {person!r}\n"
    )
    rows = {(row["kind"], row["sample_id"]): row for row in read_rows(files["samples.csv"])}
    assert len(rows) == 2 * num_train
    for path, waves in ((TRAIN, "0 1"), (ADVERSARIAL, "1")):
        for sample_id, label, payload in zip(own[path].sample_ids, own[path].labels, own[path].payloads, strict=True):
            row = rows[path.stem, sample_id]
            assert (int(row["label"]), row["class"], row["waves"]) == (int(label), str(int(label)), waves)
            assert read_image(files, row["file"]) == payload.numpy().tobytes()
    answers = [row for row in read_rows(files["answers.csv"]) if row["references"] == "audit"]
    assert len(answers) == 4 * num_train
    for row in answers:
        place = own[AUDIT_LOGITS].sample_ids.tolist().index(row["sample_id"])
        logits = own[AUDIT_LOGITS].payloads[place, int(row["number"])].tolist()
        assert [float(one) for one in row["logits"].split()] == logits
        assert (row["was_trained"] == "True") == bool(own[AUDIT_INCLUSION].payloads[place, int(row["number"])])
    (request,) = json.loads(files["requests.json"])
    assert (request["request_id"], request["outcomes"][0]["receipt"]["wave"]) == ("R-000001", 1)
    (wave,) = json.loads(files["waves.json"])
    assert (wave["tag"], wave["method"], wave["figures"]["num_forget"] > num_train) == ("wave/0001", "amun", True)
    assert [version["role"] for version in json.loads(files["versions.json"])] == [
        "trained on",
        "forgotten by this wave",
    ]
    assert "the ledger" in {place["place"] for place in json.loads(files["places.json"])}
    texts = {name: content.decode() for name, content in files.items() if not name.endswith((".png", ".npy"))}
    assert {one for text in texts.values() for one in SUBJECT.findall(text)} == {person}
    others = {one for path in (TRAIN, CALIBRATION, TEST) for one in wave_one.read(path).sample_ids.tolist()}
    others -= set(own[TRAIN].sample_ids.tolist())
    assert not [name for name in files for one in others if one in name or one in texts.get(name, "")]

    said, files = export(wave_one, held_out, tmp_path / "held-out.zip")
    assert f"{count(wave_one, held_out, CALIBRATION, TEST)} sample" in said
    assert not [name for name in files if name.startswith("images/train/")]
    said, files = export(wave_one, list_people(wave_one)[0][0], tmp_path / "nobody-asked.zip")
    assert ", 0 near-copies and 0 requests of " in said
    assert json.loads(files["requests.json"]) == []


def select(samples: Samples, person: str) -> Samples:
    return samples.select(samples.subject_ids == person)


def read_image(files: dict[str, bytes], name: str) -> bytes:
    """Returns the bytes of an image as the store has them."""
    if (array := files.get(name.replace(".png", ".npy"))) is not None:
        return bytes(np.load(io.BytesIO(array)).tobytes())
    with Image.open(io.BytesIO(files[name])) as image:
        pixels = np.asarray(image)
    return bytes((pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)).tobytes())


def test_export_of_nobody_and_to_no_place_writes_nothing(wave_one: Site, tmp_path: Path) -> None:
    person, place = choose_people(wave_one)[0], tmp_path / "export.zip"
    refused = wave_one.start("amun", "subject", "export", "subject-7", "--to", str(place))
    assert_one_line(refused, 2, "nobody is called 'subject-7'", "is it 'subject-00007'?")
    stranger = Site(wave_one.root, wave_one.variables | {"AMUN_KEK": f"file:{tmp_path}/no-kek"})
    assert_one_line(stranger.start("amun", "subject", "export", person, "--to", str(place)), 2, "AMUN_KEK", "no-kek")
    place.write_text("mine", encoding="utf-8")
    refused = wave_one.start("amun", "subject", "export", person, "--to", str(place))
    assert_one_line(refused, 2, f"--to {place}", "exists already")
    assert [path.name for path in tmp_path.iterdir()] == ["export.zip"]
    assert place.read_text(encoding="utf-8") == "mine"


def end_waiting(site: Site) -> None:
    """Makes as if the waiting days of all who are forgotten were over."""
    with closing(sqlite3.connect(site.root / LEDGER)) as connection, connection:
        connection.execute("UPDATE erasures SET erase_after = intended_at")


def is_readable(site: Site, path: Path) -> bool:
    """Tells whether the weights in a file can be read."""
    try:
        site.read_weights(path)
    except ErasedWeightsError:
        return False
    return True


def test_night_erases_whoever_is_due_and_later_waves_go_on(site: Site, tmp_path: Path, folder: Path) -> None:
    people, waiting = choose_people(site), list_people(site)[0][0]
    before = site.load("subject", "trace", people[0])
    assert all("the waiting days" in one["held_up_by"][0] for one in site.load("erase", "list"))
    assert "will be destroyed after" in write_record(site, "R-000001", tmp_path / "before.html").text
    end_waiting(site)
    (request,) = site.load("request", "add", waiting)
    said = site.run("amun", "wave", "run")
    assert "wave 2 complete" in said
    assert re.search(
        r"  earlier waves: not computed of .*: 4 audit references \(references.num_audit\) are too few", said
    )
    assert f"erased: {len(people)} requests, and the key-encryption key was changed\n" in said
    assert "erased: the weights of version 1, which had learned people\n" in said
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    since = f"erased on {datetime.now(UTC):%Y-%m-%d} under request R-000001 and {len(people) - 1} more"
    chain = site.git("show", "--format=", "--name-only", "HEAD"), site.git("rev-parse", "HEAD~1")
    assert chain == ("receipts/chain.jsonl", site.load("wave", "show", "2")["commit"])
    assert f"{len(people)} receipts in the chain" in site.run("amun", "receipt", "check")

    trace = site.load("subject", "trace", people[0])
    assert {(file["md5"], file["num_samples"]) for file in before["files"]} == {
        (file["md5"], file["num_samples"]) for file in trace["files"] if file["is_erased"]
    }
    assert len(trace["files"]) == len(before["files"])
    assert [group["num_trained"] for group in trace["references"]] == [None, None]
    first, second = (version | {"aliases": []} for version in before["versions"])
    first |= {"weights_erased_at": today, "role": f"{first['role']}; weights erased on {today}"}
    assert [version | {"aliases": []} for version in trace["versions"][:2]] == [first, second]
    # what MLflow serves in clear, and what lies sealed in DVC's files: those of before went, all others are there
    shown = [site.load("model", "show", str(number)) for number in (1, 2, 3)]
    assert [{"data/model.pt2", "model.safetensors"} & set(version["files"]) for version in shown] == [
        set(),
        {"data/model.pt2", "model.safetensors"},
        {"data/model.pt2", "model.safetensors"},
    ]
    assert [is_readable(site, path) for path in (BASE_MODEL, WAVE_BASE, UNLEARNED)] == [False, True, True]
    clear = tmp_path / "clear.safetensors"
    refused = site.start("amun", "model", "weights", "1", "--to", str(clear))
    assert_one_line(refused, 1, f"version 1: its weights were erased on {today}")
    assert "in clear" in site.run("amun", "model", "weights", "3", "--to", str(clear))
    assert all(torch.equal(load_file(clear)[name], tensor) for name, tensor in site.read_weights(UNLEARNED).items())
    assert trace["requests"][0]["outcomes"][0]["erasure"]["erased_at"] is not None
    assert f"{before['files'][0]['num_samples']}, erased" in site.run("amun", "subject", "trace", people[0])
    with Ledger(f"sqlite:///{site.root / LEDGER}") as ledger:
        build_base(ledger, people[:1], "faces")
    exported, files = export(site, people[0], tmp_path / "erased.zip")
    assert b"\nNot in here: 3 samples of this person in the model faces; " in files["README.txt"]
    assert f"in the model {MODEL}".encode() not in files["README.txt"]
    assert exported == (
        f"this workspace can open no sample of {people[0]!r}: erased on {datetime.now(UTC):%Y-%m-%d} "
        f"under request R-000001; in {tmp_path}/erased.zip is what the ledger keeps: 1 request; "
        "the model faces holds 3 samples; the suppression list has the person\n"
    )
    assert not [name for name in files if name.endswith((".png", ".npy"))]
    assert json.loads(files["receipts/R-000001.json"])["body"]["request"] == "R-000001"
    assert (read_rows(files["samples.csv"]), read_rows(files["answers.csv"])) == ([], [])
    assert json.loads(files["requests.json"])[0]["outcomes"][0]["erasure"]["erased_at"] is not None
    page = write_record(site, "R-000001", tmp_path / "page.html").text
    for words in (
        "that nobody can open any more",
        "Erased on",
        "the keys of this person were destroyed",
        "a receipt was issued",
    ):
        assert words in page
    back = site.start("amun", "model", "rollback", "1", "--reason", "to see what it would do", "--dry-run")
    assert_one_line(back, 2, "version 1 cannot serve again", since, "`amun base rebuild`")
    assert_one_line(site.start("amun", "wave", "reproduce", "1"), 1, "wave 1 can no longer be run again", since)
    drawn = site.run("amun", "wave", "reproduce", "--drawn-by", "round 4711", "--at", "wave/0002").splitlines()
    assert drawn[-1] == "wave 2: same bytes"
    ranked = site.load("wave", "draw", "round 4711", "--at", "wave/0002")
    assert sorted(ranked["waves"]) == [1, 2]
    assert [f"drawn: wave {number}" in drawn for number in ranked["waves"]] == [True, ranked["waves"][1] == 2]

    ids = make_ids(site)
    said = site.run("amun", "erase", "run", "--now", "--subject", waiting)
    assert f"{request['request_id']} {waiting}: erased\n" in said
    assert site.load("status")["to_erase"] == 0
    again = site.start("amun", "wave", "reproduce", "2")
    assert_one_line(again, 1, "wave 2 can no longer be run again", f"under request {request['request_id']}")
    assert_names_nobody(site, folder / "prefect")
    assert_ids_mean_nothing(site, folder / "prefect", ids, {waiting, *people})
    assert site.git("status", "--porcelain") == ""
    check_receipt(site, request["request_id"], waiting, tmp_path)


def check_receipt(site: Site, request: str, person: str, folder: Path) -> None:
    """Checks the receipt of somebody whom wave 2 has forgotten, and that wave 2 was run again before the erasure."""
    site.run("amun", "receipt", "export", request, "--to", str(folder / "receipt.json"))
    site.run("amun", "receipt", "key", "--to", str(folder / "public.pem"))
    body = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))["body"]
    wave = site.load("wave", "show", "2")
    assert (body["forgotten"]["commit"], body["forgotten"]["version"]) == (wave["commit"], wave["version"])
    assert body["forgotten"]["test"]["accuracy"] == wave["summary"]["test"]["accuracy"]
    assert body["forgotten"]["weights_sha256"] == hashlib.sha256((site.root / UNLEARNED).read_bytes()).hexdigest()
    assert body["reproduction"]["differing"] == []
    assert (body["reproduction"]["draw"]["wave"], body["drawn"]) == (2, body["reproduction"])
    assert body["reproduction"]["draw"]["commit"] == wave["commit"]
    destroyed, today = body["destroyed"], f"{datetime.now(UTC):%Y-%m-%d}"
    learned = [(weights["version"], weights["is_sealed"], weights["erased_before"]) for weights in destroyed["weights"]]
    assert learned == [("1", True, today), ("2", True, None)]
    places = {place["place"]: (place["num_readable"], place["num_unread"]) for place in destroyed["scan"]["places"]}
    assert {"DVC cache", ".amun"} <= set(places)
    assert set(places.values()) == {(0, 0)}
    assert destroyed["num_keys"] == 1
    told = " ".join(body["limits"])
    assert "The scan has looked in the places that it names" in told
    assert "is left to its owner" in told
    assert "clear" not in told
    kinds = {one["kind"]: one["num_samples"] for one in body["held"]["in_files"]}
    assert kinds["training sample"] == kinds["adversarial example"] == body["held"]["num_train"] > 0
    assert kinds["answer of reference models"] == body["held"]["num_train"] + body["held"]["num_held_out"]
    said = site.run(
        "amun",
        "receipt",
        "verify",
        str(folder / "receipt.json"),
        *("--public-key", str(folder / "public.pem")),
        *("--chain", str(site.root / "receipts/chain.jsonl")),
        *("--subject", person),
    )
    assert said.startswith(f"{request} of {MODEL}, erased on ")
    assert site.run("amun", "receipt", "check").endswith("nothing is wrong\n")


def make_ids(site: Site) -> dict[str, set[str]]:
    """Returns all ids that the keys at hand make of the originals, by the person whose key it was, or by the secret.

    Every key is tried with every picture: whose one was nobody has to know.
    """
    images = (load_digits().images / 16).astype(np.float32)
    secret = load_secret(site.root)
    by_secret = name_by_secret(secret, (f"digits/{position}" for position in range(len(images))), images)
    with site.use_keys():
        vault = open_vault(site.root)
        keys = vault.find_keys(subject for subject in vault.store.read_all_keys()[1] if MARK not in subject)
    made = {key.name: {name_by_person(key, one) for one in by_secret.tolist()} for key in keys.values()}
    return made | {"": set(by_secret.tolist())}


def assert_ids_mean_nothing(site: Site, prefect: Path, ids: dict[str, set[str]], erased: set[str]) -> None:
    """Checks what git, DVC, MLflow and Prefect have of samples against what can be made of the originals.

    Args:
        site: the workspace after the erasure.
        prefect: Prefect's home.
        ids: what could be made before the last of them was erased.
        erased: the people.
    """
    stored = [site.read_owners(path) for path in (TRAIN, CALIBRATION, TEST)]
    gone = {one for store in stored for one in store.sample_ids[store.is_erased].tolist()}
    held = {one for store in stored for one in store.sample_ids[~store.is_erased].tolist()}
    history = site.git("log", "--patch", "--format=%B", "wave/0000~1..HEAD")
    named = set(re.findall(r"\b[0-9a-f]{32}\b", history))
    # git names some of them for ever, and until the last erasure this person's could be made of the pictures
    (waiting,) = {name for name in ids if name in erased}
    assert gone & named & ids[waiting]
    left = make_ids(site)
    makeable = set[str]().union(*left.values())
    assert waiting not in left
    assert not makeable & gone
    assert held <= makeable
    assert not left[""] & (named | gone | held)
    places = [*(site.root / ".amun").glob("mlflow.db*"), *(site.root / ".dvc/tmp").rglob("*"), *prefect.rglob("*")]
    contents = {str(path): path.read_bytes() for path in places if path.is_file()}
    found = {place: {one.decode() for one in HEXADECIMAL.findall(content)} for place, content in contents.items()}
    assert {place for place, ones in found.items() if ones & (gone | held | left[""])} == set()


def assert_names_nobody(site: Site, prefect: Path) -> None:
    """Checks that no id of a person stands in git, in MLflow or in Prefect."""
    state, waves = site.root / ".amun", site.git("log", "--patch", "--format=%B", "wave/0000~1..HEAD")
    paths = [*state.glob("mlflow.db*"), *(state / "mlartifacts").rglob("*"), *prefect.rglob("*")]
    contents = {str(path): path.read_bytes() for path in paths if path.is_file()} | {"git": waves.encode()}
    assert len(contents) > 10
    assert [place for place, content in contents.items() if SUBJECT.search(content.decode("latin-1"))] == []


def test_record_is_written_nowhere_that_git_keeps(wave_one: Site) -> None:
    path = wave_one.root / "page.html"
    refused = wave_one.start("amun", "request", "show", "R-000001", "--html", str(path))
    assert_one_line(refused, 2, f"--html {path}", "git would keep it")
    assert wave_one.git("status", "--porcelain") == ""
