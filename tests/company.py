"""A workspace that a company has in several clones, on several machines: what they share lies outside of all."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

from amun.core.paths import KEK, KEYS, LEDGER, STATE
from amun.vault.database import KEYS_VARIABLE
from amun.vault.kek import KEK_VARIABLE
from tests.readme import fill_in, list_commands, read_variables
from tests.workspaces import Site, move_registry


def share(site: Site, company: Path) -> Site:
    """Moves a workspace's ledger, registry and keys into a folder, and gives it a git remote there."""
    company.mkdir()
    state = site.root / STATE
    move_registry(state / "mlflow.db", str(state), str(company))
    addresses = site.name_secrets()
    for name in ("mlflow.db", "mlartifacts", LEDGER.name, KEYS.name, KEK.name):
        shutil.move(state / name, company / name)
    addresses |= {
        KEYS_VARIABLE: f"sqlite:///{company / KEYS.name}",
        KEK_VARIABLE: f"file:{company / KEK.name}",
        "AMUN_LEDGER_URL": f"sqlite:///{company / LEDGER.name}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{company / 'mlflow.db'}",
    }
    site.git("init", "--quiet", "--bare", "--initial-branch", "main", str(company / "git"))
    site.git("branch", "--force", "--move", "main")
    site.git("remote", "remove", "origin")
    site.git("remote", "add", "company", str(company / "git"))
    return Site(site.root, site.variables | addresses)


def join(shared: Site, name: str) -> Site:
    """Returns a new clone that has joined."""
    folder = shared.root.parent
    cloned, exported, joined = list_commands("lineage.md#several-clones")
    # as it is typed, but for where, and what is said meanwhile
    own = {"ssh://git.example.org/model.git": f"--quiet {folder}/company/git {name}", "cd model": f"cd {name}"}
    typed = fill_in(cloned, own)
    subprocess.run(["sh", "-ec", typed], cwd=folder, check=True)
    site = Site(folder / name, shared.variables)
    assert read_variables(exported).keys() <= shared.variables.keys()
    assert "joined" in site.run(*shlex.split(joined))
    return site


def assert_up_to_date(site: Site) -> None:
    """Checks that a clone is where the git remote is, with its data, and with nothing left over."""
    upstream, _ = site.git("ls-remote", site.git("config", "amun.remote"), "refs/heads/main").split()
    assert site.git("rev-parse", "HEAD") == upstream
    assert site.git("status", "--porcelain") == ""
    assert json.loads(site.run("dvc", "status", "--json")) == {}
