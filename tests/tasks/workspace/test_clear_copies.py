"""What a workspace has in clear goes from every place once its base is sealed, and nothing else does."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import torch
import yaml
from dvc.repo import Repo
from safetensors.numpy import save

from amun.core.errors import InputError
from amun.core.paths import ADVERSARIAL, BASE_MODEL, PARTIAL_ADVERSARIAL, PARTIAL_REFERENCES, TRAIN, UNLEARNED
from amun.ledger import ClearedWave, Ledger
from amun.store.samples import Samples, write_samples
from amun.vault.seal import Seal
from amun.vault.sealed_weights import WeightsSeal
from flows.cli import main, shared
from flows.pages import clear_table
from tasks.tools import dvc, registry_left
from tasks.tools.contents import find_cached
from tasks.tools.digests import compute_md5
from tasks.tools.git import commit_paths, run_git
from tasks.tools.registered import WaveVersion
from tasks.tools.registry_left import LeftFile
from tasks.workspace import clear_copies, clearing
from tasks.workspace.clear_copies import ClearCopies, find_clear_copies
from tasks.workspace.clear_waves import list_clear_bases, refuse_cleared
from tasks.workspace.clearing import destroy_clear_copies, list_lost_waves
from tasks.workspace.store_files import find_in_clear, find_weights_in_clear, read_locks
from tasks.workspace.workspace import Workspace
from tests.amun.ledger.helpers import MODEL, add, claim_wave, complete_wave
from tests.amun.sealing import make_vault
from tests.amun.shipped import PARAMS
from tests.die import wrap

PEOPLE = np.array(["ann", "bob"])
SEALED = PARAMS.model_copy(update={"data": PARAMS.data.model_copy(update={"sealed": True})})
BUCKET = "adopted"


class History:
    """A repository with a commit for each wave; waves 0 and 1 are of a base in clear, wave 2 has built a sealed one."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self.root, self.vault, self.ledger = root, make_vault(root), ledger
        self.workspace = Workspace(root, SEALED)
        self.served: dict[int, str] = {}
        self.left: list[LeftFile] = []
        run_git(root, "init", "--quiet")
        Repo.init(str(root)).close()
        (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
        self.clear, self.sealed = set[str](), set[str]()
        ledger.register_model(MODEL)
        self.commits: list[str] = []
        base = self.keep_clear(TRAIN, 1) | self.keep_clear(BASE_MODEL, 2)
        # an earlier release recorded no such key
        self.record(base | self.keep_clear(UNLEARNED, 3), None)
        # the second wave was to seal what it writes; its model is as clear as what it came from
        later = self.keep_clear(UNLEARNED, 4) | self.keep_sealed(ADVERSARIAL, 5)
        add(ledger, "ann")
        self.record(base | later, False, "deletion")

    def seal_base(self) -> None:
        outputs = [self.keep_sealed(path, 6) for path in (TRAIN, BASE_MODEL, UNLEARNED, ADVERSARIAL)]
        self.record({path: md5 for each in outputs for path, md5 in each.items()}, True)

    def keep_clear(self, path: Path, seed: int) -> dict[str, str]:
        return self.keep(path, seed, None, self.clear)

    def keep_sealed(self, path: Path, seed: int) -> dict[str, str]:
        return self.keep(path, seed, Seal(self.vault, "a base"), self.sealed)

    def keep(self, path: Path, seed: int, seal: Seal | None, known: set[str]) -> dict[str, str]:
        """Puts a file into work tree and cache; returns its MD5 by its path."""
        write(self.root / path, seed, seal)
        dvc.add_file(self.root, path)
        (self.root / f"{path}.dvc").unlink()
        md5 = str(compute_md5(self.root / path))
        known.add(md5)
        return {str(path): md5}

    def record(self, outputs: dict[str, str], sealed: bool | None, kind: str = "base") -> None:
        """Commits what a wave has made, and completes it."""
        claim = claim_wave(self.ledger, kind)
        self.commits.append(self.commit(outputs, {} if sealed is None else {"data.sealed": sealed}))
        complete_wave(self.ledger, claim, str(claim.number + 1), commit=self.commits[-1])

    def commit(self, outputs: dict[str, str], params: dict[str, bool]) -> str:
        outs = [{"path": path, "md5": md5, "hash": "md5"} for path, md5 in outputs.items()]
        lock = {"schema": "2.0", "stages": {"prepare": {"cmd": "", "params": {"params.yaml": params}, "outs": outs}}}
        (self.root / "dvc.lock").write_text(json.dumps(lock), encoding="utf-8")
        return str(commit_paths(self.root, ["dvc.yaml", "dvc.lock"], "a wave"))

    def note_run(self, path: Path, md5: str) -> None:
        """Leaves the note of a run that no commit names, as of an attempt that was refused."""
        note = self.root / ".dvc/cache/runs/ab/abcd/note"
        note.parent.mkdir(parents=True)
        note.write_text(yaml.safe_dump({"cmd": "", "outs": [{"path": str(path), "md5": md5}]}), encoding="utf-8")

    def list_versions(self) -> list[WaveVersion]:
        return [WaveVersion(n + 1, "", "", n, commit, self.served.get(n)) for n, commit in enumerate(self.commits)]

    def push(self) -> None:
        """Sends the whole cache to the remote, as each wave's push has done."""
        with dvc.open_repo(self.root) as repo:
            remote = repo.cloud.get_remote_odb()
            for digest in self.clear | self.sealed:
                remote.fs.put_file(repo.cache.local.oid_to_path(digest), remote.oid_to_path(digest))

    def find_cached(self) -> set[str]:
        return set(find_cached(self.root, self.clear | self.sealed))


def write(path: Path, seed: int, seal: Seal | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        ids = np.array([f"{seed}{row:031x}" for row in range(len(PEOPLE))])
        write_samples(path, Samples(ids, PEOPLE, torch.zeros(2).long(), torch.full((2, 1, 2, 2), seed)), seal)
        return
    plain = save({"weight": np.full(9, seed, np.float32)})
    path.write_bytes(plain if seal is None else WeightsSeal(seal.vault, MODEL).seal(plain))


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    """A workspace with a remote that is a folder; its base is sealed, and all of its past is in clear."""
    root = tmp_path / "workspace"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("AMUN_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(root / ".amun/dvc"))
    with Ledger.create(os.environ["AMUN_LEDGER_URL"]) as ledger:
        history = History(root, ledger)
        (tmp_path / "remote").mkdir()
        dvc.set_remote(root, str(tmp_path / "remote"))
        monkeypatch.setattr(clear_copies, "list_registered", lambda _: history.list_versions())
        monkeypatch.setattr(clear_copies, "find_champion", lambda _: history.list_versions()[-1])
        monkeypatch.setattr(
            clearing, "_erase_versions", lambda _, versions, left: erase_versions(history, versions, left)
        )
        monkeypatch.setattr(registry_left, "list_left_files", lambda _: history.left)
        yield history


def erase_versions(history: History, versions: tuple[int, ...], left: tuple[LeftFile, ...]) -> tuple[str, ...]:
    history.left = [file for file in history.left if file not in left]
    history.served |= {number - 1: "2026-02-01" for number in versions}
    return ()


def describe(found: ClearCopies) -> tuple[dict[str, int], tuple[int, ...], tuple[int, ...]]:
    return found.count(), found.waves, found.versions


def list_waves(history: History) -> Any:
    return history.ledger.list_waves(MODEL)


def test_all_that_is_in_clear_goes_and_what_is_sealed_stays(
    history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    history.seal_base()
    history.push()
    write(history.root / PARTIAL_ADVERSARIAL / "digest/0.parquet", 7, None)
    # what killed stages have left of references: of a sealed base, too, and half a file of one in clear
    sealed, half = (history.root / PARTIAL_REFERENCES / "digest" / name for name in ("a.anew.parquet", "b.unfinished"))
    write(sealed, 7, Seal(history.vault, "references"))
    half.write_bytes(sealed.read_bytes()[:-9])
    write(history.root / PARTIAL_REFERENCES / "digest/c.parquet", 7, None)
    history.note_run(UNLEARNED, history.keep_clear(UNLEARNED, 8)[str(UNLEARNED)])
    write(history.root / UNLEARNED, 6, Seal(history.vault, "a base"))
    assert list_clear_bases(history.workspace, list_waves(history)) == [0]
    found = find_clear_copies(history.workspace)
    # the refused attempt was never sent
    expected = {"DVC cache": 5, "DVC remote storage": 4, "work tree": 3}
    assert (describe(found), list_lost_waves(history.workspace, found)) == ((expected, (0, 1), (1, 2)), [0, 1])
    clear_table.print_found(found, [0, 1])
    assert "waves 0 and 1 could no longer be reproduced, compared or rolled back to" in capsys.readouterr().out
    assert history.find_cached() == history.clear | history.sealed
    refuse_cleared(history.workspace, 1)
    locks = read_locks(history.root, dict(enumerate(history.commits)))
    assert (len(find_in_clear(history.root, locks)), find_weights_in_clear(history.root, locks)) == (1, [0, 1])

    done = destroy_clear_copies(history.workspace)
    assert (done.before, done.is_finished, done.failed) == (found, True, ())
    assert history.find_cached() == history.sealed
    remote = {f"{path.parent.name}{path.name}" for path in Path("../remote").rglob("*") if path.is_file()}
    assert remote == history.sealed
    # nothing of this holds up an erasure any more
    assert (find_in_clear(history.root, locks), find_weights_in_clear(history.root, locks)) == ({}, [])
    assert not list((history.root / PARTIAL_ADVERSARIAL).rglob("*.parquet"))
    assert list(half.parent.iterdir()) == [sealed]
    assert (set(history.served), list_clear_bases(history.workspace, list_waves(history))) == ({0, 1}, [])
    clear_table.print_cleared(done)
    assert capsys.readouterr().out.splitlines() == [
        "destroyed: DVC remote storage: 4 files",
        "destroyed: DVC cache: 5 files",
        "destroyed: work tree: 3 files",
        "destroyed: MLflow: the weights of versions 1, 2",
    ]
    with pytest.raises(
        InputError, match=r"^wave 1 can no longer be run again: the files of wave 1 lay in clear, and w"
    ):
        refuse_cleared(history.workspace, 1)
    refuse_cleared(history.workspace, 2)
    again = destroy_clear_copies(history.workspace)
    assert (again.before.is_empty, again.is_finished, list_lost_waves(history.workspace, again.before)) == (
        True,
        True,
        [],
    )
    clear_table.print_cleared(again)
    assert capsys.readouterr().out == "nothing lies in clear\n"


def test_weights_whose_version_somebody_has_deleted_go_and_unknown_ones_are_told(
    history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    history.seal_base()
    history.left = [LeftFile("models/m-0", "data/model.pt2", commit, "a run") for commit in history.commits]
    found = find_clear_copies(history.workspace)
    assert [file.commit for file in found.left] == history.commits[:2]
    clear_table.print_found(found, [])
    assert "in clear: MLflow: 2 files of weights of no version any more\n" in capsys.readouterr().out
    assert destroy_clear_copies(history.workspace).is_finished
    assert [file.commit for file in history.left] == history.commits[2:]
    # where nothing tells of which wave they are, they may be somebody's own, and are left to whoever reads this
    history.left.append(LeftFile("models/m-9", "data/model.pt2", None, ""))
    assert "models/m-9/data/model.pt2" in find_clear_copies(history.workspace).unknown
    capsys.readouterr()
    clear_table.print_cleared(done := destroy_clear_copies(history.workspace))
    nothing, warning = capsys.readouterr().out.splitlines()
    assert (done.is_finished, nothing, "models/m-9" in warning) == (True, "nothing lies in clear", True)


def test_nothing_goes_that_is_needed(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(history.workspace, "the base in .* is not sealed: .*`amun base rebuild`$")
    history.seal_base()
    refuse(Workspace(history.root, PARAMS.model_copy(update={"data": unseal()})), "params.yaml: data.sealed is false")
    with monkeypatch.context() as patch:
        patch.setattr(clear_copies, "find_champion", lambda _: history.list_versions()[0])
        refuse(history.workspace, "MLflow: the champion of .*, version 1, is not sealed")
    claim = claim_wave(history.ledger, "base")
    refuse(history.workspace, "wave 3 of .* is open")
    complete_wave(history.ledger, claim, "4", commit=history.commits[2])
    outputs = history.keep_clear(ADVERSARIAL, 9) | history.keep_sealed(TRAIN, 6)
    history.commit(outputs, {"data.sealed": True})
    refuse(history.workspace, f"{ADVERSARIAL} in .* is not sealed")
    assert history.find_cached() == history.clear | history.sealed
    assert history.ledger.list_cleared(MODEL) == {}


def unseal() -> Any:
    return PARAMS.data.model_copy(update={"sealed": False})


def refuse(workspace: Workspace, told: str) -> None:
    with pytest.raises(InputError, match=told):
        find_clear_copies(workspace)
    with pytest.raises(InputError, match=told):
        destroy_clear_copies(workspace)


def test_command_asks_before_waves_are_lost(
    history: History, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "open_here", lambda: history.workspace)
    code, out, err = type_adopt(capsys)
    assert (code, out, err.count("\n"), "is not sealed" in err) == (2, "", 1, True)
    history.seal_base()
    code, found, _ = type_adopt(capsys, "--dry-run")
    assert (code, found.splitlines()[0]) == (0, "in clear: DVC cache: 4 files")
    assert type_adopt(capsys) == (2, found, "amun: nothing was changed; --accept-lost-waves does it\n")
    assert history.find_cached() == history.clear | history.sealed
    Path("../remote").rmdir()
    code, out, _ = type_adopt(capsys, "--accept-lost-waves")
    assert (code, out.splitlines()[0]) == (1, "destroyed: DVC cache: 4 files")
    Path("../remote").mkdir()
    # nobody is asked again
    assert type_adopt(capsys) == (0, "nothing lies in clear\n", "")
    assert type_adopt(capsys, "--dry-run") == (0, "nothing lies in clear\n", "")


def type_adopt(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["erase", "adopt", *options])
    return int(ended.value.code or 0), *capsys.readouterr()


def test_adversarial_examples_in_clear_of_a_sealed_base_go_and_its_version_stays(history: History) -> None:
    history.seal_base()
    sealed = dvc.list_digests(dvc.read_lock(history.root))
    add(history.ledger, "bob")
    history.record(sealed | history.keep_clear(ADVERSARIAL, 9), True, "deletion")
    history.record(sealed, True)
    found = find_clear_copies(history.workspace)
    assert describe(found) == ({"DVC cache": 5, "work tree": 1}, (0, 1, 3), (1, 2))


@pytest.mark.parametrize("step", ["_erase_versions", "_remove_contents", "_remove_files"])
def test_killed_call_is_ended_by_the_next(step: str, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    history.seal_base()
    history.push()
    with monkeypatch.context() as patch:
        patch.setattr(clearing, step, die)
        with pytest.raises(KeyboardInterrupt):
            destroy_clear_copies(history.workspace)
    with pytest.raises(InputError, match="are being destroyed since"):
        refuse_cleared(history.workspace, 0)
    found = find_clear_copies(history.workspace)
    # nobody is asked again
    assert list_lost_waves(history.workspace, found) == []
    assert list_clear_bases(history.workspace, list_waves(history)) == [0]
    assert destroy_clear_copies(history.workspace).is_finished
    assert history.find_cached() == history.sealed
    cleared = history.ledger.list_cleared(MODEL)
    assert all(isinstance(wave, ClearedWave) and wave.destroyed_at is not None for wave in cleared.values())
    assert set(cleared) == {0, 1}


# before and after each of these the call is killed with SIGKILL
DEADLY = [
    "tasks.workspace.clearing:look_through",
    "amun.ledger.clear_waves:ClearBook.begin_clearing",
    "tasks.tools.content_places:ContentFolder.remove",
    "tasks.workspace.clearing:_remove_files",
    "tasks.workspace.clearing:erase_traces",
    "amun.ledger.clear_waves:ClearBook.finish_clearing",
]


def kill_in(history: History, moment: str, target: str) -> int:
    """Returns how a process has ended that destroys what is in clear, and is killed at this point."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    wrap(target, moment)
    try:
        destroy_clear_copies(history.workspace)
    finally:
        os._exit(0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_killed_with_sigkill_at_each_step_the_next_call_ends_it(history: History) -> None:
    history.seal_base()
    history.push()
    for target in DEADLY:
        for moment in ("before", "after"):
            assert kill_in(history, moment, target) == -signal.SIGKILL, f"{moment} {target}"
            # from the intent on nobody runs such a wave again, whatever is left of its files
            if target != DEADLY[0] and (moment, target) != ("before", DEADLY[1]):
                with pytest.raises(InputError, match=r"are being destroyed since|were destroyed on"):
                    refuse_cleared(history.workspace, 0)
    assert destroy_clear_copies(history.workspace).is_finished
    assert history.find_cached() == history.sealed
    left = {path.parent.name + path.name for path in Path("../remote/files/md5").rglob("*") if path.is_file()}
    assert left == history.sealed
    assert find_clear_copies(history.workspace).is_empty
    assert set(history.ledger.list_cleared(MODEL)) == {0, 1}


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_cannot_be_looked_into_or_removed_does_not_pass(
    history: History, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    history.seal_base()
    history.push()
    Path("../remote").rename("../elsewhere")
    done = destroy_clear_copies(history.workspace)
    assert (done.is_finished, history.find_cached(), done.failed) == (False, history.sealed, ())
    clear_table.print_cleared(done)
    assert "not looked into: DVC remote storage: " in capsys.readouterr().out
    assert history.ledger.list_cleared(MODEL)[0].destroyed_at is None
    Path("../elsewhere").rename("../remote")
    # the remote alone has them now; what a damaged copy does not tell, the commits do
    damaged = next(path for path in Path("../remote").rglob("*") if f"{path.parent.name}{path.name}" in history.clear)
    damaged.chmod(0o600)
    damaged.write_bytes(b"torn")
    assert find_clear_copies(history.workspace).count() == {"DVC remote storage": 4}
    real = Path.unlink

    def keep(path: Path, missing_ok: bool = False) -> None:
        if path.name == damaged.name:
            raise PermissionError(13, "Permission denied", str(path))
        real(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", keep)
        done = destroy_clear_copies(history.workspace)
    assert (done.is_finished, done.after.count(), len(done.failed)) == (False, {"DVC remote storage": 1}, 1)
    clear_table.print_cleared(done)
    shown = capsys.readouterr().out
    assert "still in clear: DVC remote storage: 1 file; type this again" in shown
    assert "Permission denied; see that it can be removed" in shown
    assert destroy_clear_copies(history.workspace).is_finished
    # an attempt that no commit names, damaged: nothing tells what it is
    history.note_run(UNLEARNED, history.keep_clear(UNLEARNED, 8)[str(UNLEARNED)])
    write(history.root / UNLEARNED, 6, Seal(history.vault, "a base"))
    (path,) = find_cached(history.root, history.clear).values()
    path.chmod(0o600)
    path.write_bytes(b"torn")
    (line,) = destroy_clear_copies(history.workspace).after.unread
    assert line.endswith("in DVC cache, cannot be read; see what it is")


@pytest.fixture
def bucket(history: History, aws: dict[str, str]) -> Iterator[Any]:
    """A client of a bucket that keeps versions, which is the workspace's remote."""
    assert aws
    client = boto3.Session().client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    dvc.set_remote(history.root, f"s3://{BUCKET}/data")
    yield client
    for kind in ("Versions", "DeleteMarkers"):
        for entry in client.list_object_versions(Bucket=BUCKET).get(kind, []):
            client.delete_object(Bucket=BUCKET, Key=entry["Key"], VersionId=entry["VersionId"])
    client.delete_bucket(Bucket=BUCKET)


def list_kept(client: Any) -> dict[str, set[str]]:
    """Returns what the bucket has, versions and delete markers, by MD5."""
    listed = client.list_object_versions(Bucket=BUCKET)
    return {
        kind: {"".join(entry["Key"].split("/")[-2:]) for entry in listed.get(kind, [])}
        for kind in ("Versions", "DeleteMarkers")
    }


def test_versions_that_were_replaced_or_deleted_go_from_a_bucket(history: History, bucket: Any) -> None:
    history.seal_base()
    history.push()
    history.push()
    first, second, *_ = sorted(history.clear)
    for digest in (first, second):
        bucket.delete_object(Bucket=BUCKET, Key=f"data/files/md5/{digest[:2]}/{digest[2:]}")
    for path in find_cached(history.root, history.clear).values():
        path.unlink()
    assert list_kept(bucket) == {"Versions": history.clear | history.sealed, "DeleteMarkers": {first, second}}
    bucket.put_object(Bucket=BUCKET, Key=f"elsewhere/{first}", Body=b"another's")
    assert find_clear_copies(history.workspace).count() == {"DVC remote storage": 4}
    assert destroy_clear_copies(history.workspace).is_finished
    assert list_kept(bucket) == {"Versions": history.sealed | {f"elsewhere{first}"}, "DeleteMarkers": set()}


def test_bucket_that_is_away_is_told_and_all_else_goes(
    history: History, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.seal_base()
    history.push()
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")
        done = destroy_clear_copies(history.workspace)
        (line,) = done.after.unread
        assert line.startswith("DVC remote storage: s3://adopted/data/files/md5: it does not answer or refuses")
    assert (done.is_finished, history.find_cached()) == (False, history.sealed)
    assert list_kept(bucket)["Versions"] == history.clear | history.sealed
    assert destroy_clear_copies(history.workspace).is_finished
    assert list_kept(bucket)["Versions"] == history.sealed
