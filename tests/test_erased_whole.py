"""People are erased, their data on a versioned bucket: killed at each step, scanned before and after."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from amun.core.paths import BASE_MODEL, KEYS, UNLEARNED, WAVE_BASE
from amun.vault.vault import open_vault
from tests.swift import BUCKET
from tests.test_scan import list_found, verify
from tests.test_trace import is_readable
from tests.trap import KILLED, open_trap, read_all
from tests.workspaces import Site, choose_people, list_people

# before and after each of these the command is killed
STEPS = [
    "tasks.workspace.erasing:_list_pictures",
    "tasks.workspace.learned:find_learned",
    "tasks.workspace.erasing:draft_receipts",
    "tasks.workspace.erasing:_keep_fingerprints",
    "tasks.workspace.erasing:_keep_weights",
    "amun.vault.vault:Vault.destroy_keys",
    # in the middle of its transaction
    "amun.vault.key_store:KeyStore._delete_keys",
    "tasks.workspace.erasing:rotate_kek",
    "amun.ledger.erasures:ErasureBook.record_destroyed",
    "tasks.tools.registry_weights:describe_serving_file",
    "tasks.tools.registry_weights:erase_file",
    "tasks.workspace.erasing:_erase_versions",
    "tasks.workspace.erasing:_find_places",
    "tasks.workspace.erasing:_scan",
    "amun.ledger.receipts:ReceiptBook.note_scans",
    "amun.ledger.erasures:ErasureBook.finish_erasures",
    "tasks.workspace.erasing:delete_from_source",
    "amun.ledger.receipts:ReceiptBook.add_receipt",
    "tasks.workspace.receipts:record_chain",
    "tasks.workspace.erasing:keep_receipts",
]
# a second person finds MLflow's files removed, and git's commit made by the first kill after it
REPEATED = [step for step in STEPS if not step.startswith("tasks.tools.registry_weights:")]
NUM_KILLS = 1 + 2 * len(STEPS) + 1 + len(REPEATED)


@pytest.fixture
def stored(wave_one: Site, aws: dict[str, str], tmp_path: Path) -> Site:
    """A workspace after two waves, whose remote is a bucket with versions, and whose temporary files are its own."""
    client = boto3.Session().client("s3")
    client.create_bucket(Bucket=f"{BUCKET}-kept")
    client.put_bucket_versioning(Bucket=f"{BUCKET}-kept", VersioningConfiguration={"Status": "Enabled"})
    (tmp_path / "tmp").mkdir()
    site = wave_one.copy(tmp_path / "workspace", TMPDIR=str(tmp_path / "tmp"), **aws)
    site.run("dvc", "remote", "modify", "storage", "url", f"s3://{BUCKET}-kept/workspace")
    site.git("commit", "--quiet", "--all", "--message", "The data go to a bucket")
    site.run("dvc", "push", "--all-tags")
    site.run("amun", "request", "add", list_people(site)[0][0])
    site.run("amun", "wave", "run")
    # each object has an older version, and one that was deleted
    for entry in client.list_objects_v2(Bucket=f"{BUCKET}-kept")["Contents"]:
        content = client.get_object(Bucket=f"{BUCKET}-kept", Key=entry["Key"])["Body"].read()
        client.put_object(Bucket=f"{BUCKET}-kept", Key=entry["Key"], Body=content)
        gone = entry["Key"].replace("workspace/", "workspace/old/")
        client.put_object(Bucket=f"{BUCKET}-kept", Key=gone, Body=content)
        client.delete_object(Bucket=f"{BUCKET}-kept", Key=gone)
    return site


def choose_erased(site: Site) -> Iterator[str]:
    """Yields those whom wave 1 has forgotten, who were trained on, and of whom the project itself has no picture."""
    told = verify(site, 1, "--before")
    shown = {label for place in told["places"] for label in place["readable"]}
    trained = set(choose_people(site)[:-1])
    for request in site.load("request", "list"):
        if request["subject_id"] in trained and request["request_id"] not in shown:
            yield request["subject_id"]


def read_keys(site: Site) -> dict[str, bytes]:
    """Returns the key of everybody who has one."""
    with site.use_keys():
        vault = open_vault(site.root)
        subjects = [subject for subject in vault.store.read_all_keys()[1] if "/" not in subject]
        return {key.name: key.nonce_key for key in vault.find_keys(subjects).values()}


@pytest.mark.long
def test_killed_at_each_step_two_people_are_erased_from_everything_and_nobody_else(
    stored: Site, tmp_path: Path
) -> None:
    first, second = [*choose_erased(stored)][:2]
    before = verify(stored, 1, "--before", "--subject", first, "--subject", second)
    remote, *_ = (place for place in list_found(before, "sealed") if place.startswith("DVC remote"))
    sealed = list_found(before, "sealed")
    assert (list_found(before, "readable"), sealed["DVC cache"] > 0) == ({}, True)
    # the older version and the one that was deleted are looked into as well
    assert sealed[remote] == 3 * sealed["DVC cache"]
    keys, num_kills = read_keys(stored), 0
    for person, steps, moments in ((first, STEPS, ("before", "after")), (second, REPEATED, ("before",))):
        with (tmp_path / "said").open("w+", encoding="utf-8") as said:
            with open_trap(stored, said, "erase", "run", "--now", "--subject", person) as run_and_die:
                assert run_and_die("after", "amun.ledger.erasures:ErasureBook.start_erasures") == KILLED, read_all(said)
            num_kills += 1
            with open_trap(stored, said, "erase", "run") as run_and_die:
                for step in steps:
                    for moment in moments:
                        assert run_and_die(moment, step) == KILLED, f"{moment} {step}:\n{read_all(said)}"
                        num_kills += 1
            assert "Traceback" not in read_all(said)
        stored.run("amun", "erase", "run")
        del keys[person]
        assert read_keys(stored) == keys
    assert num_kills == NUM_KILLS >= 50

    erased = [one["subject_id"] for one in stored.load("erase", "list") if one["erasure"]["erased_at"] is not None]
    assert sorted(erased) == sorted([first, second])
    assert "2 receipts in the chain" in stored.run("amun", "receipt", "check")
    after = verify(stored, 0)
    assert (list_found(after, "readable"), list_found(after, "sealed")) == ({}, sealed)
    assert [is_readable(stored, path) for path in (BASE_MODEL, WAVE_BASE, UNLEARNED)] == [False, True, True]
    assert stored.run("amun", "wave", "reproduce", "2").splitlines()[-1] == "wave 2: same bytes"
    assert stored.git("status", "--porcelain") == ""
    assert (stored.root / KEYS).exists()
