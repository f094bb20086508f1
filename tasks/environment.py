"""The environment in which this project starts its tools: their homes in the workspace, and nobody phones home.

Set before Prefect, MLflow or DVC are imported: they read their variables once.
"""

import os
import socket
import sys
from pathlib import Path

from amun.paths import LEDGER, STATE

LEDGER_VARIABLE = "AMUN_LEDGER_URL"

_SILENCE = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # a server that is down is said so in seconds; the task that asked tries again
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # a person reads this command's own lines; Prefect's page keeps what Prefect logs
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_COLORS": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def set_environment(root: Path) -> None:
    """Points every tool at the workspace, unless its own variable already points elsewhere."""
    state = root / STATE
    defaults = _SILENCE | {
        "PREFECT_HOME": str(state / "prefect"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{state / 'mlflow.db'}",
        LEDGER_VARIABLE: f"sqlite:///{root / LEDGER}",
        "DVC_SITE_CACHE_DIR": str(state / "dvc"),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    # DVC runs `python -m amun.stages...`: with this interpreter, also where a service has none on its path
    interpreter = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if path[0] != interpreter:
        os.environ["PATH"] = os.pathsep.join([interpreter, *path])


def find_free_port() -> int:
    """Returns a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
