"""Where the servers are that `amun serve` runs in a workspace: a file that the other commands read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from amun.core.files import replace_file
from amun.core.paths import SERVERS
from amun.ledger.holder import describe_holder, is_holder_alive


@dataclass(frozen=True)
class Addresses:
    """What `amun serve` has told.

    Attributes:
        holder: the process that serves, with its start, as the ledger names one.
        mlflow: MLflow's address.
        prefect: the address of Prefect's API.
    """

    holder: str
    mlflow: str
    prefect: str


def write_addresses(root: Path, mlflow: str, prefect: str) -> None:
    """Tells the workspace's other commands where the servers of this process are.

    An address of the user's may hold a password, which these commands need: nobody else may read it.
    """
    content = asdict(Addresses(describe_holder(), mlflow, prefect))
    with replace_file(root / SERVERS, mode=0o600) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2), encoding="utf-8")


def read_addresses(root: Path) -> Addresses | None:
    """Returns what the last `amun serve` has told, which may have ended since; None where there was none."""
    try:
        return Addresses(**json.loads((root / SERVERS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def find_addresses(root: Path) -> Addresses | None:
    """Returns the addresses of the servers that run now; None where no `amun serve` runs on this machine."""
    addresses = read_addresses(root)
    return addresses if addresses is not None and is_holder_alive(addresses.holder) else None
