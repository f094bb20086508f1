"""What a stage has made so far, kept where DVC does not delete it: a killed run's successor goes on from there."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch

from amun.core.params import Params
from amun.core.paths import CUSTOM
from amun.core.release import describe_release
from amun.core.stage_result import FORCED_VARIABLE
from amun.store.samples import Samples, concatenate, read_ids, read_samples, write_samples
from amun.vault.seal import Seal


class PartialResults:
    """Samples that a stage has made, in store files of a folder of their own; each is whole or not there."""

    def __init__(self, folder: Path, seal: Seal | None) -> None:
        self._folder = folder
        self._seal = seal
        self._paths = sorted(folder.glob("*.parquet"))
        self._path_by_id = {sample_id: path for path in self._paths for sample_id in read_ids(path)}

    def __contains__(self, sample_id: str) -> bool:
        return sample_id in self._path_by_id

    def keep(self, samples: Samples) -> None:
        """Writes some more samples."""
        path = self._folder / f"{len(self._paths):08}.parquet"
        write_samples(path, samples, self._seal)
        self._paths.append(path)
        self._path_by_id |= dict.fromkeys(samples.sample_ids.tolist(), path)

    def collect(self, sample_ids: list[str]) -> Samples:
        """Returns the samples of these ids, in this order; all must be there, and at least one asked for."""
        paths = sorted({self._path_by_id[sample_id] for sample_id in sample_ids})
        parts = [read_samples(path) for path in paths]
        return concatenate([part.select(part.is_among(sample_ids)) for part in parts]).align(sample_ids)


@contextmanager
def keep_partial_results(root: Path, digest: str) -> Iterator[Path]:
    """Gives the folder in `root` for partial results on these inputs; deletes it when the block has succeeded.

    What a killed run on the same inputs has left is in it. What runs on other inputs have left is deleted at once. A
    forced run finds nothing.

    Args:
        root: a folder for one stage's partial results alone.
        digest: of all that the results depend on.
    """
    folder = root / digest
    for path in root.glob("*"):
        if path != folder or is_forced():
            shutil.rmtree(path)
    yield folder
    shutil.rmtree(root, ignore_errors=True)


def digest_inputs(params: Params, sections: set[str], device: torch.device, files: list[Path]) -> str:
    """Returns the SHA-256 of all that a stage's results depend on.

    Args:
        params: all of `params.yaml`.
        sections: which of it the stage reads; of `runtime.engine` and `runtime.memory_gib` no result depends.
        device: on which it computes; which one of several alike does not matter.
        files: that it reads, besides the user's code.
    """
    settings = {name: getattr(params, name).model_dump(mode="json") for name in sorted(sections)}
    for name in ("engine", "memory_gib", "device"):  # auto, or the one that was taken
        settings.get("runtime", {}).pop(name, None)
    told = [settings, device.type, describe_release(str(device))]
    digest = hashlib.sha256(json.dumps(told).encode())
    for path in [*sorted(CUSTOM.rglob("*.py")), *files]:
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, hashlib.sha256).hexdigest()}".encode())
    return digest.hexdigest()


def is_forced() -> bool:
    """Tells whether this stage runs because `dvc repro` was told to run it again, inputs changed or not.

    DVC does not tell its stages; its own command line does, or whoever runs DVC without one.
    """
    if os.environ.get(FORCED_VARIABLE):
        return True
    return any(is_forced_reproduction(command) for command in _list_commands())


def is_forced_reproduction(command: list[str]) -> bool:
    """Tells whether a command line is DVC's, told to reproduce whether inputs have changed or not.

    Its short options may stand together, as in `-sf`.
    """
    names = [Path(word).name for word in command]
    if "dvc" not in names or "repro" not in names[names.index("dvc") :]:
        return False
    options = command[names.index("repro", names.index("dvc")) + 1 :]
    return any(re.fullmatch(r"-[a-zA-Z]*f[a-zA-Z]*|--force", option) for option in options)


def _list_commands() -> Iterator[list[str]]:
    """Yields the command lines of the processes above this one, as far as this user may see them."""
    for parent in psutil.Process().parents():
        with suppress(psutil.Error):
            yield parent.cmdline()
