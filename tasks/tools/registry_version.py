"""Whether an MLflow server is new enough, asked before anything is computed for it."""

from amun.core.errors import InputError
from tasks.tools.environment import MLFLOW_VARIABLE
from tasks.tools.registry import ask_server, translate_errors

NEEDED = (3, 0)  # the first with logged models, which a wave registers


def require_new_server(url: str) -> None:
    """Refuses an MLflow server that could not take a wave's version.

    A server that keeps its version to itself, as some companies' do, is taken.

    Raises:
        InputError: it is too old; says what is needed.
        AmunError: it does not answer.
    """
    with translate_errors():
        answer = ask_server(url, "/version", max_retries=1)
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
