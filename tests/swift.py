"""A real S3 server on loopback: OpenStack Swift with its S3 API (`infra/s3`), in an environment of its own.

It has object versions, multipart uploads, refuses a wrong secret and a bucket that is not there.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from infra.s3.serve import REGION, STORES, Server, run
from tasks.tools.environment import find_free_port
from tests.workspaces import ROOT

REQUIREMENTS = ROOT / "infra/s3/requirements.txt"
KEY, SECRET = "test:tester", "testing"
BUCKET = "amun-data"


def ensure_environment(folder: Path) -> Path:
    """Returns where Swift's programs lie; the first test process that asks installs them for all."""
    with FileLock(f"{folder}.lock"):
        if not (done := folder / "installed").exists():
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
            pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python")]
            install = ["install", "--quiet", "--requirement", str(REQUIREMENTS)]
            subprocess.run([*pip, *install], check=True, stderr=subprocess.DEVNULL)
            done.touch()
    return folder / "bin"


@contextmanager
def run_swift(folder: Path, programs: Path) -> Iterator[dict[str, str]]:
    """Gives the variables with which AWS's clients find a server.

    Args:
        folder: in which it keeps its data.
        programs: where its own lie.
    """
    ports = {name: find_free_port() for name in (*STORES, "proxy")}
    with run(Server(folder, programs, KEY, SECRET, "127.0.0.1", ports)):
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['proxy']}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
        }
