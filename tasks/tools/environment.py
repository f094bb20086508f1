"""The environment in which this project starts its tools: their homes in the workspace, and nobody phones home.

Set before Prefect, MLflow or DVC are imported: they read their variables once.
"""

import codecs
import locale
import os
import pwd
import socket
import sys
import warnings
from pathlib import Path

from amun.core.errors import InputError
from amun.core.network import read_whole_timeout
from amun.core.paths import KEK, KEYS, LEDGER, REGISTRY, STATE
from amun.vault.database import KEYS_VARIABLE, SQLITE
from amun.vault.kek import KEK_VARIABLE
from tasks.tools.addresses import find_addresses

LEDGER_VARIABLE = "AMUN_LEDGER_URL"
MLFLOW_VARIABLE = "MLFLOW_TRACKING_URI"
API_VARIABLE = "PREFECT_API_URL"

# what keeps the tools quiet and at home
SILENCE = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # a server that is down is said so in seconds; the task that asked tries again
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # a person reads this command's own lines; Prefect's page keeps what Prefect logs
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_COLORS": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
UTF8_VARIABLE = "PYTHONUTF8"
LOOPBACK = ("127.0.0.1", "localhost")


def ensure_utf8() -> None:
    """Starts this program anew in Python's UTF-8 mode where its locale has another encoding.

    Several tools read their files by the locale, and would find other letters in a path than were written.
    """
    is_utf8 = sys.flags.utf8_mode or codecs.lookup(locale.getencoding()).name == "utf-8"
    if not is_utf8:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | {UTF8_VARIABLE: "1"})  # noqa: S606


def keep_loopback_direct() -> None:
    """Makes nothing go through a proxy that is for this machine's own servers: no proxy reaches them."""
    # the lower case goes first, as all who read it take it
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [host for host in (entry.strip() for entry in named.split(",")) if host]
    if "*" not in hosts:
        hosts += [host for host in LOOPBACK if host not in hosts]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)


def name_user() -> None:
    """Gives a user without a name, as containers have one, its number for a name: tools end where there is none."""
    number = os.getuid()
    try:
        pwd.getpwuid(number)
    except KeyError:
        if not os.environ.get("LOGNAME"):
            os.environ["LOGNAME"] = f"uid-{number}"


def set_environment(root: Path) -> None:
    """Points every tool at the workspace, unless its own variable already points elsewhere.

    MLflow and Prefect are the servers of `amun serve` where it runs.

    Raises:
        InputError: the environment's timeout is none, or the path is one that no address of a database can name.
    """
    if "?" in str(root):
        # SQLAlchemy, MLflow and Prefect would all open what is before it, and take it for one another's
        raise InputError(f"{root}: the address of a SQLite file ends at '?'; move the folder to a path without one")
    state, timeout = root / STATE, str(read_whole_timeout())
    defaults = SILENCE | {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": timeout,
        "PREFECT_API_REQUEST_TIMEOUT": timeout,
        # of Postgres' own library, for an MLflow that lies there
        "PGCONNECT_TIMEOUT": timeout,
        "PREFECT_HOME": str(state / "prefect"),
        MLFLOW_VARIABLE: name_database(root),
        LEDGER_VARIABLE: f"{SQLITE}{root / LEDGER}",
        KEYS_VARIABLE: f"{SQLITE}{root / KEYS}",
        KEK_VARIABLE: f"file:{root / KEK}",
        "DVC_SITE_CACHE_DIR": str(state / "dvc"),
    }
    if (served := find_addresses(root)) is not None:
        defaults |= {MLFLOW_VARIABLE: served.mlflow, API_VARIABLE: served.prefect}
    for name, value in defaults.items():
        # a service's environment file sets a variable to nothing where it is not used
        if not os.environ.get(name):
            os.environ[name] = value
    keep_loopback_direct()
    name_user()
    # a clone has no place for it yet when its schedule is judged; whoever starts Prefect's server makes one
    warnings.filterwarnings("ignore", message="Failed to create the Prefect home")
    # one encoding in all that is started, whatever the locale: see `ensure_utf8`
    os.environ[UTF8_VARIABLE] = "1"
    # DVC runs `python -m amun.stages...`: with this interpreter, also where a service has none on its path
    interpreter = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if path[0] != interpreter:
        os.environ["PATH"] = os.pathsep.join([interpreter, *path])


def name_database(root: Path) -> str:
    """Returns the address of the workspace's own MLflow database."""
    return f"{SQLITE}{root / REGISTRY}"


def choose_port(*wanted: int | None) -> int:
    """Returns the first of these ports that nobody listens on, or else any free one."""
    return next((port for port in wanted if port is not None and is_free(port)), None) or find_free_port()


def is_free(port: int) -> bool:
    """Tells whether a server can listen on this port of the loopback interface."""
    with socket.socket() as probe:
        # connections that have ended keep a port for minutes, and hinder no server
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def find_free_port() -> int:
    """Returns a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
