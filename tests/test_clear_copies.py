"""A base in clear, a sealed one after it, and `amun erase adopt`: nothing in clear is left, and all goes on."""

from pathlib import Path

import pytest

from amun.core.paths import TRAIN
from amun.store.rows import is_sealed
from amun.vault.sealed_weights import is_in_clear
from tests.test_bad_input import assert_one_line
from tests.workspaces import MODEL, Site, set_key


def list_clear(site: Site) -> set[Path]:
    """Returns the files in clear of DVC's cache, its remote and MLflow."""
    found = set()
    for folder in (site.root / ".dvc/cache/files", site.root.parent / "remote", site.root / ".amun/mlartifacts"):
        for path in filter(Path.is_file, folder.rglob("*")):
            content = path.read_bytes()
            if (content[:4] == b"PAR1" and not is_sealed(path)) or (content[8:10] == b'{"' and is_in_clear(path)):
                found.add(path)
    return found


@pytest.mark.long
def test_workspace_comes_out_of_the_clear(wave_zero: Site, tmp_path: Path) -> None:
    site = wave_zero.copy(tmp_path / "workspace")
    (tmp_path / "remote").mkdir()
    site.run("dvc", "remote", "modify", "storage", "url", str(tmp_path / "remote"))
    site.git("commit", "--quiet", "--all", "--message", "A remote of its own")
    site.change_params(lambda params: set_key(params, "data.sealed", False))
    site.run("amun", "base", "rebuild")
    assert "in clear   this workspace keeps clear copies, of the base of wave 1" in site.run("amun", "status")
    adopt = ("amun", "erase", "adopt")
    assert_one_line(site.start(*adopt), 2, "data.sealed is false", "`amun base rebuild`")
    site.change_params(lambda params: set_key(params, "data.sealed", True))
    assert_one_line(site.start(*adopt), 2, "is not sealed", "`amun base rebuild`")
    site.run("amun", "base", "rebuild")
    assert len(list_clear(site)) > 10
    said = site.run(*adopt, "--dry-run")
    assert "wave 1 could no longer be reproduced" in said
    refused = site.start(*adopt)
    assert (refused.returncode, refused.stdout) == (2, said)
    assert refused.stderr == "amun: nothing was changed; --accept-lost-waves does it\n"
    assert len(list_clear(site)) > 10

    done = site.run(*adopt, "--accept-lost-waves")
    assert "destroyed: MLflow: the weights of version 2\n" in done
    assert list_clear(site) == set()
    assert site.run(*adopt) == "nothing lies in clear\n"
    assert "in clear" not in site.run("amun", "status")
    for command in (("wave", "reproduce", "1"), ("wave", "compare", "1"), ("wave", "show", "1", "--worst")):
        assert_one_line(site.start("amun", *command), 2, "wave 1 can no longer be run again", "`amun erase adopt`")
    back = ("amun", "model", "rollback", "2", "--reason", "why")
    assert_one_line(site.start(*back), 2, "version 2 cannot serve again", "`amun erase adopt`")
    assert is_sealed(site.root / TRAIN)
    assert site.run("amun", "wave", "reproduce", "2").splitlines()[-1] == "wave 2: same bytes"
    assert site.load("status")["champion"] == 3
    assert MODEL in site.run("amun", "model", "show", "2")
    assert site.run("dvc", "status").strip() == "Data and pipelines are up to date."
    assert site.run("amun", "doctor")
