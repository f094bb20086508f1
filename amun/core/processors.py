"""Which processors there are, and how many of them this process may use."""

import platform
from pathlib import Path

from amun.core.counts import tell_count

CPU_INFO = Path("/proc/cpuinfo")


def count_processors() -> int:
    """Returns their number: of those that it is bound to, no more than its container's share of time comes to."""
    from joblib import cpu_count  # only here: it takes a fifth of a second

    return int(cpu_count())


def name_processor() -> str:
    """Returns the kind of this machine's processor; where the system has no such file, what Python knows of it."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:  # another system than Linux, or a sandbox
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def describe_device(device: str) -> str:
    """Returns what a device is on which this process computes: an accelerator's model, or processor and threads.

    Args:
        device: as PyTorch names it.
    """
    import torch  # only here: it takes seconds

    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(torch.device(device))
    return f"{name_processor()}, {tell_count(torch.get_num_threads(), 'thread')}"
