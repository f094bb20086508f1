"""A DVC remote on S3, by a real server: a wave's data go there, its commit to a git remote; a second clone has both."""

import shlex
from pathlib import Path

import boto3
import pytest

from amun.core.errors import InputError
from amun.core.paths import ADVERSARIAL, TRAIN, UNLEARNED, WAVE_BASE
from amun.costs.s3 import NUM_LISTS, NUM_LOOKS, count_night
from tasks.tools.dvc import read_digests
from tasks.tools.remote import require_remote
from tests.readme import fill_in, list_commands
from tests.swift import BUCKET, RequestLog
from tests.workspaces import Site, choose_people, make_clone


def test_bucket_that_is_there_answers(aws: dict[str, str]) -> None:
    assert aws
    require_remote(f"s3://{BUCKET}/prefix")


@pytest.mark.parametrize(("key", "bucket"), [("testing", "no-such-bucket"), ("guessed", BUCKET)])
def test_missing_bucket_and_wrong_secret_are_refused_in_one_line(
    key: str, bucket: str, aws: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key)
    with pytest.raises(InputError, match=f"--remote s3://{bucket}/prefix: it does not answer or refuses") as refused:
        require_remote(f"s3://{bucket}/prefix")
    assert "\n" not in str(refused.value)


@pytest.mark.long
def test_workspace_of_the_page_has_its_data_on_s3_and_its_waves_on_a_git_remote(
    variables: dict[str, str], aws: dict[str, str], tmp_path: Path
) -> None:
    site = make_clone(tmp_path / "workspace", variables | aws)
    site.git("init", "--quiet", "--bare", str(tmp_path / "origin.git"))
    site.git("remote", "set-url", "origin", str(tmp_path / "origin.git"))
    (init,) = list_commands("lineage.md#a-git-remote")
    site.run(*shlex.split(fill_in(init, {"s3://bucket/prefix": f"s3://{BUCKET}/page"})))
    stored = boto3.Session().client("s3").list_objects_v2(Bucket=BUCKET, Prefix="page/")
    names = {entry["Key"].removeprefix("page/files/md5/").replace("/", "") for entry in stored["Contents"]}
    assert read_digests(site.root)[str(TRAIN)] in names
    assert "wave/0000" in site.git("ls-remote", "origin")


def test_wave_goes_to_s3_once_that_answers_and_a_second_clone_reproduces_it(
    wave_zero: Site, aws: dict[str, str], s3_log: RequestLog, tmp_path: Path
) -> None:
    first = wave_zero.copy(tmp_path / "first", **aws)
    first.run("dvc", "remote", "modify", "storage", "url", f"s3://{BUCKET}/workspace")
    first.git("commit", "--quiet", "--all", "--message", "The data go to S3")
    first.git("init", "--quiet", "--bare", str(tmp_path / "company.git"))
    first.git("remote", "add", "company", str(tmp_path / "company.git"))
    first.run("amun", "init", "--git-remote", "company")
    first.run("amun", "request", "add", *choose_people(first))

    refused = Site(first.root, first.variables | {"AWS_SECRET_ACCESS_KEY": "guessed", "AWS_MAX_ATTEMPTS": "1"})
    failed = refused.start("amun", "wave", "run")
    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1
    assert "the DVC remote did not take the data" in failed.stderr
    assert "wave/0001" not in first.git("ls-remote", "company"), "whoever fetches the wave finds its data"

    # the wave is open still, and goes on where it stopped
    client = boto3.Session().client("s3")
    start = s3_log.begin(client)
    assert "complete" in first.run("amun", "wave", "run")
    s3_log.wait_for_last(client)
    asked = s3_log.count(start)
    assert [wave["state"] for wave in first.load("wave", "list")] == ["complete", "complete"]
    stored = client.list_objects_v2(Bucket=BUCKET, Prefix="workspace/")["Contents"]
    sizes = [entry["Size"] for entry in stored]
    foreseen = count_night(sizes, len(sizes), sizes)
    assert asked.puts == foreseen.puts == len(stored)
    assert foreseen.lists - NUM_LISTS <= asked.lists <= foreseen.lists
    assert foreseen.gets - NUM_LOOKS <= asked.gets <= foreseen.gets
    names = {entry["Key"].removeprefix("workspace/files/md5/").replace("/", "") for entry in stored}
    digests = read_digests(first.root)
    assert {digests[str(path)] for path in (TRAIN, ADVERSARIAL, UNLEARNED, WAVE_BASE)} <= names

    branch = first.git("branch", "--show-current")
    first.git("clone", "--quiet", "--branch", branch, str(tmp_path / "company.git"), str(tmp_path / "second"))
    second = Site(tmp_path / "second", first.variables | first.name_secrets())
    assert "joined" in second.run("amun", "init")
    assert second.run("amun", "wave", "reproduce", "1").splitlines()[-1] == "wave 1: same bytes"
