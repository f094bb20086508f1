"""Shards on a Ray cluster: for more trainings than one machine does in time. Results are those of `LocalEngine`."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amun.core.errors import InputError, join_lines
from amun.core.files import require_mode
from amun.core.paths import CUSTOM
from amun.engine.ray_job import Job
from amun.engine.shards import Result, Shard, Shared, Work

ADDRESS_VARIABLE, AUTH_VARIABLE = "RAY_ADDRESS", "RAY_AUTH_MODE"
TOKEN_VARIABLE, TOKEN_PATH_VARIABLE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
TOKEN_FILE = Path(".ray/auth_token")  # below the home, where neither variable is set
TOKEN_MODE = 0o600
CONNECT_SECONDS = 5.0
PROBE_SECONDS = 60.0
# Ray reads its settings once in a process: whoever asks without a token is another one
PROBE = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1]).internal_kv_keys(b'', None)"
REFUSAL = "AuthenticationError"


def read_address() -> str:
    """Returns the address of the cluster, at which somebody answers.

    Raises:
        InputError: `RAY_ADDRESS` names none, nobody answers there, it is open to anybody, or others can read the token.
    """
    address = os.environ.get(ADDRESS_VARIABLE, "")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address:
        raise InputError(
            f"runtime.engine: ray needs {ADDRESS_VARIABLE}, the cluster's head as host:port (10.0.0.7:6379), found "
            f"{address!r}; or write local"
        )
    if os.environ.get(AUTH_VARIABLE) != "token":
        raise InputError(
            "runtime.engine: whoever reaches a Ray cluster without token authentication runs any program on it; start "
            f"it with {AUTH_VARIABLE}=token, and set that here, too (docs/scale.md)"
        )
    _require_secret()
    try:
        # Ray itself would wait for a head that is not there
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"{ADDRESS_VARIABLE}: nobody answers at {address}: {join_lines(error)}") from None
    return address


@dataclass(frozen=True)
class RayEngine:
    """Computes shards on the nodes of a cluster, of which this machine is one.

    Attributes:
        address: of its head.
        prepare: called on a node before it computes; at the top level of a module, or a `partial` of such.
        num_cpus: that a shard takes.
        num_gpus: likewise.
    """

    address: str
    prepare: Callable[[], object]
    num_cpus: int = 1
    num_gpus: int = 0

    @property
    def shares_files(self) -> bool:
        """Other machines compute, too."""
        return False

    @property
    def device(self) -> str:
        """On which kind of device it computes: of the same model on all nodes, for its release counts."""
        return "cuda" if self.num_gpus else "cpu"

    def run(
        self, function: Callable[[Shared, Work], Result], shards: Sequence[Shard[Work]], shared: Shared
    ) -> Generator[tuple[int, Result], None, None]:
        """Yields place and result of each shard that is done.

        Raises:
            InputError: Ray is not installed, or refuses the connection; or the cluster asks for no token.
            AmunError: a shard has killed too many workers, a node has another release or cannot compute, or there is
                none any more. Whatever the function raises.
        """
        if not shards:
            return
        ray = _connect(self.address)
        try:
            yield from Job(ray, self, function, shards, shared).run()
        finally:
            ray.shutdown()


def _require_secret() -> None:
    """Sees that nobody else can read the token, which Ray looks for in the same places."""
    if os.environ.get(TOKEN_VARIABLE):
        return
    named = os.environ.get(TOKEN_PATH_VARIABLE)
    path = Path(named) if named else Path.home() / TOKEN_FILE
    try:
        require_mode(TOKEN_PATH_VARIABLE, path, TOKEN_MODE)
    except OSError as error:
        raise InputError(
            f"{TOKEN_PATH_VARIABLE}: {path} cannot be read: {error.strerror}; it has the token (docs/scale.md)"
        ) from None


def _require_guarded(address: str) -> None:
    """Sees that the cluster refuses whoever has no token.

    Raises:
        InputError: it answers, or that cannot be told.
    """
    others = {name: value for name, value in os.environ.items() if name not in (TOKEN_VARIABLE, TOKEN_PATH_VARIABLE)}
    command = [sys.executable, "-c", PROBE, address]
    try:
        run = subprocess.run(
            command, env=others | {AUTH_VARIABLE: "disabled"}, capture_output=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{ADDRESS_VARIABLE}: the Ray cluster at {address} does not say within {PROBE_SECONDS:.0f} s whether it "
            "asks for a token; see that its head is well"
        ) from None
    if run.returncode == 0:
        raise InputError(
            f"{ADDRESS_VARIABLE}: the Ray cluster at {address} asks nobody for a token, so whoever reaches it runs any "
            f"program on it; start its nodes with {AUTH_VARIABLE}=token (docs/scale.md)"
        )
    if REFUSAL not in (told := join_lines(run.stderr.decode(errors="replace"))):
        raise InputError(
            f"{ADDRESS_VARIABLE}: nothing tells whether the Ray cluster at {address} asks for a token: {told[-300:]}"
        )


def _connect(address: str) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise InputError(
            "runtime.engine: ray needs the extra [ray] (`pip install 'amun[ray]'`); or write local"
        ) from None
    _require_guarded(address)
    modules = [str(CUSTOM.resolve())] if any(CUSTOM.glob("*.py")) else []
    try:
        ray.init(
            address=address,
            runtime_env={"py_modules": modules} if modules else None,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise InputError(f"{ADDRESS_VARIABLE}: Ray cannot work at {address}: {join_lines(error)}") from None
    import torch

    # as arrays all processes of a node read the same memory; tensors would be copied to each
    ray.util.register_serializer(torch.Tensor, serializer=lambda tensor: tensor.cpu().numpy(), deserializer=_as_tensor)
    return ray


def _as_tensor(array: Any) -> Any:
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nobody writes into it
        return torch.from_numpy(array)
