"""Whether an MLflow server is new enough, asked before anything is computed for it."""

from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from amun.core.errors import InputError
from amun.core.network import read_whole_timeout
from tasks.tools.environment import MLFLOW_VARIABLE
from tasks.tools.registry import translate_errors

NEEDED = (3, 0)  # the first with logged models, which a wave registers


def require_new_server(url: str) -> None:
    """Refuses an MLflow server that could not take a wave's version.

    A server that keeps its version to itself, as some companies' do, is taken.

    Raises:
        InputError: it is too old; says what is needed.
        AmunError: it does not answer.
    """
    with translate_errors():
        # asked as MLflow's own client asks, with its variables for passwords and certificates
        host = get_default_host_creds(url)  # type: ignore[no-untyped-call] # MLflow does not type these two
        answer = http_request(  # type: ignore[no-untyped-call]
            host, "/version", "GET", timeout=read_whole_timeout(), max_retries=1, raise_on_status=False
        )
    version = answer.text.strip()
    if answer.status_code == 200 and _is_old(version):
        needed = ".".join(map(str, NEEDED))
        raise InputError(
            f"{MLFLOW_VARIABLE}: the MLflow server is of release {version}, and {needed} or newer is needed to "
            "register a wave; upgrade it, or name another server"
        )


def _is_old(version: str) -> bool:
    numbers = version.split(".")[:2]
    return len(numbers) == 2 and all(map(str.isdecimal, numbers)) and tuple(map(int, numbers)) < NEEDED
