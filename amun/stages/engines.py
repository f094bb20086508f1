"""What a stage has its shards computed by: this process, copies of it, or a cluster."""

from functools import partial

import torch

from amun.core.memory import count_free_memory
from amun.core.params import RuntimeParams
from amun.engine.local import LocalEngine
from amun.engine.on_ray import RayEngine, read_address
from amun.engine.shards import Engine
from amun.model.training import configure_torch, count_workers

PROCESS_BYTES = 2**29


def choose_engine(runtime: RuntimeParams, device: torch.device, copied_bytes: int, *, may_fork: bool) -> Engine:
    """Returns the engine that `runtime.engine` names.

    Args:
        runtime: which one, and with how many threads.
        device: to compute on.
        copied_bytes: of memory that each process has for itself, beside what any takes.
        may_fork: copies of this process may compute: it is a program of its own, whose other threads hold nothing
            that a copy would wait for.

    Raises:
        InputError: it is a cluster that cannot be used.
    """
    if runtime.engine == "local":
        return LocalEngine(_count_processes(runtime, copied_bytes) if may_fork else 1)
    num_gpus = 0 if device.type == "cpu" else 1
    return RayEngine(read_address(), partial(configure_torch, runtime), runtime.num_threads, num_gpus)


def _count_processes(runtime: RuntimeParams, copied_bytes: int) -> int:
    """Returns how many shards are computed at a time, as far as processors and memory go.

    One where each takes several threads, which a fork lacks.
    """
    if torch.get_num_threads() != 1:
        return 1
    # each needs room to compute besides
    room = count_free_memory() // (copied_bytes + PROCESS_BYTES)
    return max(1, min(count_workers(runtime), room))
