"""`amun serve`: MLflow, Prefect and the nightly job, for as long as this process runs."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

from amun.core.errors import AmunError, InputError
from amun.core.locks import hold_lock
from amun.core.masking import mask_passwords
from amun.core.paths import SERVE_LOCK
from flows.page_server import TOKEN_VARIABLE, read_token, start_pages
from tasks.tools.addresses import Addresses, find_addresses, read_addresses, write_addresses
from tasks.tools.environment import API_VARIABLE, MLFLOW_VARIABLE, choose_port, is_free, name_database
from tasks.tools.programs import Program, start_program, stop_program
from tasks.tools.servers import HOST, Server, require_answer, start_mlflow, start_prefect, wait_for
from tasks.tools.silence import wait_for_silence
from tasks.workspace.workspace import Workspace

MLFLOW_PORT, PREFECT_PORT, METRICS_PORT, PAGE_PORT = 5000, 4200, 9464, 9465
# a run that is told to stop has half a minute, then it is killed
STOP_SECONDS = 60.0
WATCH_SECONDS = 0.5


@dataclass(frozen=True)
class Ports:
    """The ports that somebody has chosen for the servers; None is the last one, or the usual one, or any.

    The metrics and the report may be meant for other machines, too.
    """

    mlflow: int | None = None
    prefect: int | None = None
    metrics: int | None = None
    metrics_host: str = HOST
    page: int | None = None
    page_host: str = HOST


def serve(workspace: Workspace, ports: Ports) -> None:
    """Serves until SIGTERM or Ctrl-C, then stops what it has started and nothing else.

    Raises:
        InputError: the workspace is served already, its schedule is none, a port cannot be had, or the report has a
            place and no token.
        AmunError: an address of the user's does not answer, or a program has ended by itself.
    """
    from tasks.tools.schedule import describe_next_runs

    root, token = workspace.root, _find_token(ports)
    next_runs = describe_next_runs(workspace.params.schedule, datetime.now(UTC))
    with _hold_workspace(root), _catch_signals() as stopped, ExitStack() as stack:
        servers = start_servers(root, ports, stack)
        for server in servers:
            wait_for(server, stopped.is_set)
        write_addresses(root, os.environ[MLFLOW_VARIABLE], os.environ[API_VARIABLE])
        metrics = serve_metrics(workspace, ports, stack)
        page = serve_report(workspace, ports, token, stack)
        print(f"{describe_servers()}, metrics {metrics}{page}\n{next_runs}", flush=True)
        owner = "own" if any(server.name == "Prefect" for server in servers) else "user"
        nightly = start_program("flows.nightly", str(root), owner)
        is_gone = listen(os.environ[API_VARIABLE], stopped) if owner == "user" else Event()
        stack.callback(_stop_nightly, nightly, is_gone)
        watch(servers, nightly, stopped, is_gone)


def _find_token(ports: Ports) -> str | None:
    """Returns the report's token; None, with a line, where there is none that can be used: the nights run without.

    Raises:
        InputError: somebody has chosen where the report is to be served.
    """
    options = {"--page-port": ports.page is not None, "--page-host": ports.page_host != HOST}
    chosen = " ".join(option for option, is_chosen in options.items() if is_chosen)
    try:
        token = read_token()
    except InputError as error:
        if chosen:
            raise
        print(f"amun: no report is served: {error}", file=sys.stderr, flush=True)
        return None
    if token is None and chosen:
        raise InputError(f"{chosen}: without {TOKEN_VARIABLE} no report is served; write file:/PATH of a token there")
    return token


def serve_metrics(workspace: Workspace, ports: Ports, stack: ExitStack) -> str:
    """Serves the metrics until the stack is left, and returns where.

    Raises:
        InputError: the address cannot be had.
    """
    from tasks.views.metrics import start_metrics

    host, port = ports.metrics_host, ports.metrics or choose_port(METRICS_PORT)
    try:
        stack.callback(start_metrics(workspace, host, port))
    except OSError as error:
        options = f"--metrics-host {host} --metrics-port {port}"
        raise InputError(f"{options}: it cannot be had on this machine: {error.strerror}; choose another") from None
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"


def serve_report(workspace: Workspace, ports: Ports, token: str | None, stack: ExitStack) -> str:
    """Serves the report to whoever has the token until the stack is left, and returns where; empty without a token.

    Raises:
        InputError: the address cannot be had.
    """
    if token is None:
        return ""
    host, port = ports.page_host, ports.page or choose_port(PAGE_PORT)
    try:
        stack.callback(start_pages(workspace, host, port, token))
    except OSError as error:
        options = f"--page-host {host} --page-port {port}"
        raise InputError(f"{options}: it cannot be had on this machine: {error.strerror}; choose another") from None
    return f", report http://{f'[{host}]' if ':' in host else host}:{port}/"


def describe_servers() -> str:
    """Returns where MLflow and Prefect are, without a password."""
    mlflow, prefect = os.environ[MLFLOW_VARIABLE], os.environ[API_VARIABLE]
    return mask_passwords(f"MLflow {mlflow}, Prefect {prefect.removesuffix('/api')}")


@contextmanager
def _hold_workspace(root: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(root / SERVE_LOCK, waits=False))
        except BlockingIOError:
            addresses = find_addresses(root)
            where = f": MLflow {addresses.mlflow}, Prefect {addresses.prefect}" if addresses else ", and is starting"
            raise InputError(f"{root} is served already{where}") from None
        yield


@contextmanager
def _catch_signals() -> Iterator[Event]:
    """Gives the event that SIGTERM and Ctrl-C set."""
    stopped = Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_servers(root: Path, ports: Ports, stack: ExitStack) -> list[Server]:
    """Starts the servers whose addresses nobody has set, on the ports they had the last time, and names them."""
    last = read_addresses(root)
    has_own_mlflow, url = os.environ[MLFLOW_VARIABLE] == name_database(root), os.environ.get(API_VARIABLE)
    _require_ports(ports, has_own_mlflow=has_own_mlflow, has_own_prefect=not url)
    servers = []
    if has_own_mlflow:
        server = start_mlflow(root, ports.mlflow or choose_port(_read_port(last, "mlflow"), MLFLOW_PORT))
        stack.callback(stop_program, server.program)
        servers.append(server)
    if url:
        require_answer(API_VARIABLE, url)
    else:
        server = start_prefect(root, ports.prefect or choose_port(_read_port(last, "prefect"), PREFECT_PORT))
        stack.callback(stop_program, server.program)
        servers.append(server)
    variables = {"MLflow": MLFLOW_VARIABLE, "Prefect": API_VARIABLE}
    os.environ.update({variables[server.name]: server.url for server in servers})
    return servers


def _require_ports(ports: Ports, *, has_own_mlflow: bool, has_own_prefect: bool) -> None:
    """Refuses ports that are taken, or are of a server that would not be started.

    Raises:
        InputError: which one, and why.
    """
    if ports.mlflow is not None and ports.mlflow == ports.prefect:
        raise InputError(f"--mlflow-port and --prefect-port are both {ports.mlflow}; give each server its own")
    chosen = (
        ("--mlflow-port", ports.mlflow, has_own_mlflow, MLFLOW_VARIABLE),
        ("--prefect-port", ports.prefect, has_own_prefect, API_VARIABLE),
    )
    for option, port, is_own, variable in chosen:
        if port is not None and not is_own:
            raise InputError(f"{option}: {variable} names a server of yours, so none is started; leave one of them out")
        if port is not None and not is_free(port):
            raise InputError(f"{option} {port}: it cannot be had on this machine; choose another port")


def _read_port(addresses: Addresses | None, name: str) -> int | None:
    return None if addresses is None else urlsplit(getattr(addresses, name)).port


def listen(url: str, stopped: Event) -> Event:
    """Listens to a Prefect server of the user's; the event is set once it has been silent for too long."""
    is_gone = Event()

    def tell() -> None:
        if wait_for_silence(url, stopped):
            is_gone.set()

    Thread(target=tell, name="listener to Prefect's server", daemon=True).start()
    return is_gone


def _stop_nightly(nightly: Program, is_gone: Event) -> None:
    """Stops the nightly job; where Prefect is gone it could tell nobody of its end, and only wait."""
    if is_gone.is_set():
        stop_program(nightly, 0.0, signal.SIGKILL)
    else:
        # SIGTERM is taken by Prefect, which would leave its run to itself
        stop_program(nightly, STOP_SECONDS, signal.SIGINT)


def watch(servers: list[Server], nightly: Program, stopped: Event, is_gone: Event) -> None:
    """Waits until it is told to stop.

    Raises:
        AmunError: a server or the nightly job has ended by itself, or the user's Prefect has gone; whoever keeps the
            service starts all of it anew.
    """
    programs = {f"{server.name} (it says why in {server.said})": server.program for server in servers}
    programs["the nightly job"] = nightly
    while not stopped.wait(WATCH_SECONDS):
        if is_gone.is_set():
            raise AmunError(
                f"{API_VARIABLE}: the server at {os.environ[API_VARIABLE]} no longer answers; a wave under way stays "
                "open, and `amun serve` goes on with it once the server is back"
            )
        for name, program in programs.items():
            if (code := program.poll()) is not None:
                raise AmunError(f"{name} has ended by itself with exit code {code}")
