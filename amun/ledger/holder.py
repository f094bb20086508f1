"""Names a process so that another one on the same machine can tell whether it still runs."""

import os
import socket
from pathlib import Path

import psutil

# the kernel derives a process's start from two clock readings; they may disagree by a tick of the coarser one
START_TOLERANCE_SECONDS = 2.0


def describe_holder() -> str:
    """Returns this process as `host:boot marker:pid:seconds from boot to its start`."""
    pid = os.getpid()
    return f"{_describe_machine()}:{pid}:{_measure_start(psutil.Process(pid)):.2f}"


def tell_holder(holder: str) -> str:
    """Returns a holder as people know it, `process 4711 on night-server`.

    Args:
        holder: what `describe_holder` returned in that process.
    """
    match holder.split(":"):
        case [host, _, pid, _]:
            return f"process {pid} on {host}"
        case _:
            return holder


def is_holder_alive(holder: str) -> bool | None:
    """Returns whether the process still runs; None where this machine cannot know.

    Args:
        holder: what `describe_holder` returned in that process.
    """
    own = _describe_machine() + ":"
    if not holder.startswith(own):
        return None
    pid, start = holder.removeprefix(own).split(":")
    try:
        process = psutil.Process(int(pid))
        # a killed child that nobody has waited for still has its number, but writes nothing more
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(_measure_start(process) - float(start)) < START_TOLERANCE_SECONDS
    except psutil.NoSuchProcess:
        return False


def _describe_machine() -> str:
    """Returns host and boot; process numbers mean the same wherever both agree.

    Two containers can share host name and boot: the namespace that numbers their processes tells them apart.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return f"{socket.gethostname()}:{psutil.boot_time():.0f}"
    return f"{socket.gethostname()}:{boot}.{namespace}"


def _measure_start(process: psutil.Process) -> float:
    """Returns the seconds from boot to the process's start, which setting the clock does not move."""
    return process.create_time() - psutil.boot_time()
