"""A company's own images, from its data repository or its bucket: what is refused, and what comes in later."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from amun.core.errors import InputError
from amun.core.params import read_params
from amun.core.paths import CALIBRATION, PARAMS, TEST, TRAIN, locate_journal
from tasks.tools.s3 import open_client
from tasks.workspace.source import glance_at_source
from tests.amun.pictures import write_class_folder
from tests.readme import fill_in, list_commands
from tests.registry import find_version
from tests.swift import BUCKET
from tests.test_bad_input import assert_init_refused, assert_one_line
from tests.workspaces import Site, describe, list_people, make_clone, read_tree

DATA = {"source": "folder", "root": "raw/images", "options": {}}
DATA |= {"images": {"colour": "rgb", "size": [8, 8], "resize": "stretch", "transparent": "white"}}


def use_folder(params: dict[str, Any], **changes: Any) -> None:
    params["data"] |= DATA | changes
    params["training"]["epochs"] = 2
    params["references"] |= {"num_audit": 2}


def name_owners(people: range, num_images: int = 4) -> dict[str, str]:
    """Returns whose each image is: every person has as many cats as dogs."""
    return {
        f"{('cat', 'dog')[number % 2]}/{person:03}-{number}.png": f"person-{person:03}"
        for person in people
        for number in range(num_images)
    }


@pytest.fixture
def company(tmp_path: Path, variables: dict[str, str]) -> Site:
    """A repository of a company's images under DVC, its remote a folder."""
    site = Site(tmp_path / "company", variables)
    site.root.mkdir()
    site.git("init", "--quiet", "--initial-branch", "main")
    site.run("dvc", "init", "--quiet")
    site.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    publish(site, name_owners(range(60)))
    return site


def publish(company: Site, owners: dict[str, str]) -> None:
    write_class_folder(company.root / "images", owners)
    company.run("dvc", "add", "--quiet", "images")
    company.run("dvc", "push", "--quiet")
    company.git("add", "--all")
    company.git("commit", "--quiet", "--message", "Images")


@pytest.mark.long
def test_imported_images_keep_their_revision_and_new_ones_come_with_a_new_base(
    company: Site, variables: dict[str, str], tmp_path: Path
) -> None:
    site = make_clone(tmp_path / "workspace", variables)
    site.change_params(use_folder)
    (site.root / "raw").mkdir()
    (site.root / "raw/images").mkdir()
    Image.new("RGB", (8, 8)).save(site.root / "raw/images/x.png")
    assert_init_refused(site, 2, "raw/images", "what git has cannot be forgotten", "dvc add raw/images")
    (site.root / "raw/images/x.png").unlink()
    (site.root / "raw/images").rmdir()

    imported, committed = list_commands("data.md#data-under-dvc")
    site.run(*shlex.split(fill_in(imported, {"https://git.company/pictures.git": shlex.quote(str(company.root))})))
    for command in committed.split(" && "):
        site.git(*shlex.split(command)[1:])
    assert site.git("status", "--porcelain") == ""
    site.run("amun", "init", "--remote", str(tmp_path / "remote"))
    assert site.git("status", "--porcelain") == ""
    assert load_prepared(site)["classes"] == ["cat", "dog"]
    first = load_prepared(site)["revision"]
    assert first["rev_lock"] == company.git("rev-parse", "HEAD")
    assert find_version(site, 0)[0].tags["amun.source_revision"] == (
        f"md5 {first['md5']}, rev_lock {first['rev_lock']}, url {company.root}"
    )

    forgotten = list_people(site)[0][:3]
    site.run("amun", "request", "add", *forgotten)
    site.run("amun", "wave", "run")
    assert find_version(site, 1)[0].tags["amun.source_revision"].startswith(f"md5 {first['md5']}")
    assert (site.root / "raw/images/cat").is_dir()

    site.run("amun", "erase", "run", "--now")
    # the next batch has eight new people, and a fifth and sixth image of everybody, the forgotten too; images are
    # painted in the order of their names, so that some of the erased people's are other people's now
    first_owners = list(name_owners(range(60)).values())
    owners = name_owners(range(60), 6) | name_owners(range(60, 68))
    num_known = sum(
        before in forgotten and now not in forgotten for before, now in zip(first_owners, owners.values(), strict=False)
    )
    publish(company, owners)
    site.run("dvc", "update", "--quiet", "raw/images.dvc")
    (site.root / "raw/images/cat/000-0.png").write_bytes(b"changed by hand")
    site.git("commit", "--quiet", "--all", "--message", "The next batch")
    before = site.git("rev-parse", "HEAD"), len(site.load("wave", "list"))
    assert_one_line(site.start("amun", "base", "rebuild"), 2, "raw/images is modified", "dvc checkout raw/images.dvc")
    assert (site.git("rev-parse", "HEAD"), len(site.load("wave", "list"))) == before
    site.run("dvc", "checkout", "--force", "raw/images.dvc")

    said = site.run("amun", "base", "rebuild")
    held = [person for path in (TRAIN, CALIBRATION, TEST) for person in site.read(path).subject_ids]
    assert 0 < num_known <= 12
    assert len(held) == 57 * 6 + 8 * 4 - num_known
    assert not set(forgotten) & set(held)
    known = f"refused of erased people: {num_known}, {num_known} of them by the picture alone"
    assert f"refused of forgotten people: 18; {known}" in said
    assert "\nlisted     3 entries of erased people" in site.run("amun", "status")
    prepared = load_prepared(site)
    assert (prepared["num_excluded"], prepared["num_suppressed"]) == (18, num_known)
    assert prepared["revision"]["md5"] != first["md5"]
    assert prepared["revision"]["rev_lock"] == company.git("rev-parse", "HEAD")
    assert site.git("status", "--porcelain") == ""
    company.root.rename(tmp_path / "elsewhere")
    site.git("clone", "--quiet", str(site.root), str(tmp_path / "second"))
    second = Site(tmp_path / "second", site.variables | site.name_secrets())
    assert "joined" in second.run("amun", "init"), "a clone that only runs waves needs no source"
    assert not (second.root / "raw/images").exists()
    history = site.git("log", "--patch", "--all", "--", "data", "metrics", "wave", "dvc.lock")
    assert not [person for person in forgotten if person in history]


@pytest.fixture
def bucket_site(
    aws: dict[str, str], variables: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[Site, str]:
    """A clone, and the address of 240 images of 60 people."""
    prefix = request.node.name
    write_class_folder(tmp_path / "images", name_owners(range(60)))
    client = open_client()
    for name, content in read_tree(tmp_path / "images").items():
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=content)
    return make_clone(tmp_path / "workspace", variables | aws), f"s3://{BUCKET}/{prefix}"


def test_bucket_that_refuses_is_said_before_anything_is_created(bucket_site: tuple[Site, str]) -> None:
    site, root = bucket_site
    site.change_params(lambda params: use_folder(params, root="s3://no-such-bucket/images"))
    assert_init_refused(site, 1, "s3://no-such-bucket/images: it does not answer or refuses")
    site.change_params(lambda params: use_folder(params, root=root))
    stranger = Site(site.root, site.variables | {"AWS_SECRET_ACCESS_KEY": "guessed"})
    assert_init_refused(stranger, 1, f"{root}: it does not answer or refuses")


def test_check_fetches_nothing(bucket_site: tuple[Site, str]) -> None:
    site, root = bucket_site
    site.change_params(lambda params: use_folder(params, root=root))
    before = read_tree(site.root, ".git")
    assert f"note: params.yaml: data.root: {root}: 241 objects; `amun init` fetches them" in site.run("amun", "check")
    assert read_tree(site.root, ".git") == before
    site.change_params(lambda params: use_folder(params, root=f"{root}/nothing"))
    with pytest.raises(InputError, match="it has no images"):
        glance_at_source(site.root, read_params(site.root / PARAMS).data, 0.0)


@pytest.mark.long
def test_images_in_a_bucket_are_mirrored(bucket_site: tuple[Site, str]) -> None:
    site, root = bucket_site
    site.change_params(lambda params: use_folder(params, root=root))
    assert "241 objects, 241 fetched" in site.run("amun", "init")
    assert sum(len(site.read(path)) for path in (TRAIN, CALIBRATION, TEST)) == 240
    assert set(load_prepared(site)["revision"]) == {"listing"}
    before = (site.root / "dvc.lock").read_bytes()
    site.run("dvc", "unfreeze", "prepare")
    site.run("dvc", "repro", "-s", "-f", "prepare")
    assert (site.root / "dvc.lock").read_bytes() == before
    (site.root / locate_journal(root)).touch()
    finished = site.start("dvc", "repro", "-s", "-f", "prepare")
    assert finished.returncode != 0
    assert "is not complete; run `amun base rebuild`" in describe(finished)


@pytest.mark.long
def test_erased_people_leave_the_bucket_and_the_next_base_is_built_without_them(bucket_site: tuple[Site, str]) -> None:
    site, root = bucket_site
    site.change_params(lambda params: use_folder(params, root=root, source_delete=True))
    site.run("amun", "init")
    gone = list_people(site)[0][:3]
    site.run("amun", "request", "add", *gone)
    site.run("amun", "wave", "run")
    said = site.run("amun", "erase", "run", "--now")
    assert "deleted in the source: 12 files" in said
    assert said.count(f"left to the source's owner: {root}/subjects.csv, which names the person") == 3
    client, prefix = open_client(), root.rpartition("/")[2]
    listed = client.list_object_versions(Bucket=BUCKET, Prefix=f"{prefix}/")
    owners = name_owners(range(60))
    kept = {entry["Key"].removeprefix(f"{prefix}/") for entry in listed["Versions"]}
    assert kept == {path for path, owner in owners.items() if owner not in gone} | {"subjects.csv"}
    # the table names them still, and refuses nothing
    site.run("amun", "base", "rebuild")
    held = [person for path in (TRAIN, CALIBRATION, TEST) for person in site.read(path).subject_ids]
    assert (len(held), set(gone) & set(held)) == (57 * 4, set())
    assert "in the source" not in site.run("amun", "status")


def load_prepared(site: Site) -> dict[str, Any]:
    prepared: dict[str, Any] = json.loads((site.root / "metrics/prepare.json").read_text(encoding="utf-8"))
    return prepared
