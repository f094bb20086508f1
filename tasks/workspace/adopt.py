"""A base that was trained elsewhere: found in MLflow or a file, checked, and put into the workspace.

No Prefect in here: `amun init` looks at the base before there is a server.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from torch import nn

from amun.core.errors import InputError, join_lines
from amun.core.paths import ADOPTED, ADOPTED_WEIGHTS
from amun.core.temporary import open_temporary
from amun.evidence.adoption import EXPORT, SCHEME, SUFFIX, Adopted, digest_file, read_adopted, require_source
from amun.evidence.figures import TrainFigures, read_figures
from amun.evidence.wave import write_json
from amun.model.foreign_weights import load_foreign_weights
from amun.model.weights import save_weights
from amun.vault.sealed_weights import WeightsSeal
from amun.vault.vault import open_vault
from tasks.tools import dvc
from tasks.tools.registry import WEIGHTS, download, list_entries, open_registry, translate_errors
from tasks.workspace.workspace import Workspace


def read_base(root: Path, source: str, accuracy: float, model: nn.Module) -> Adopted:
    """Reads a base's weights into a model of the workspace's architecture; returns where they come from.

    Args:
        root: a relative file name starts there.
        source: a safetensors file, `models:/NAME@alias` or `models:/NAME/VERSION`.
        accuracy: 0 to 1, as its owner says.
        model: as `build_model` returns it.

    Raises:
        InputError: there is no such file or version, it holds no safetensors file, or another architecture's.
        AmunError: MLflow does not answer.
    """
    named = require_source(root, source)
    if named is None:
        path = root / source
        _load(path, model, path.name)
        return Adopted(source=path.name, digest=digest_file(path), accuracy=accuracy)
    with translate_errors():
        version = _find_version(source, named)
        resolved = f"{SCHEME}{version.name}/{version.version}"
        with _fetch(resolved, version) as path:
            _load(path, model, resolved)
            digest = digest_file(path)
    return Adopted(source=resolved, digest=digest, name=version.name, version=int(version.version), accuracy=accuracy)


def keep_base(workspace: Workspace, adopted: Adopted, model: nn.Module) -> None:
    """Puts an adopted base into the workspace, its weights under DVC, sealed where the samples are to be."""
    root = workspace.root
    seal = WeightsSeal(open_vault(root), workspace.model) if workspace.params.data.sealed else None
    save_weights(root / ADOPTED_WEIGHTS, model, seal)
    dvc.add_file(root, ADOPTED_WEIGHTS)
    write_json(root / ADOPTED, adopted)


def drop_base(root: Path) -> None:
    """Makes the workspace train its base itself, from now on."""
    if read_adopted(root) is not None:
        write_json(root / ADOPTED, None)
    for path in (ADOPTED_WEIGHTS, Path(f"{ADOPTED_WEIGHTS}.dvc")):
        (root / path).unlink(missing_ok=True)


def describe_base(root: Path) -> str:
    """Returns what the stage `train` found of an adopted base; empty for one that was trained here."""
    adopted = read_adopted(root)
    if adopted is None:
        return ""
    measured = read_figures(TrainFigures, root)
    shown = (
        f"  adopted {adopted.source}: accuracy {measured.train_accuracy:.1%} on training samples, "
        f"{measured.calibration_accuracy:.1%} on held-out ones"
    )
    return f"{shown}\n  warning: {measured.warning}" if measured.warning else shown


def _load(path: Path, model: nn.Module, source: str) -> None:
    if prefix := load_foreign_weights(path, model, source):
        print(f"  {source}: its tensors are named behind the prefix {prefix}, which is left out", flush=True)


def _find_version(source: str, named: re.Match[str]) -> ModelVersion:
    client = open_registry()
    try:
        if alias := named["alias"]:
            return client.get_model_version_by_alias(named["name"], alias)
        return client.get_model_version(named["name"], named["version"])
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise InputError(f"--base {source}: {join_lines(error)}") from None
        raise


@contextmanager
def _fetch(resolved: str, version: ModelVersion) -> Iterator[Path]:
    """Gives the one safetensors file of a version, from its own folder or else from its run's."""
    folders = [resolved, *([f"runs:/{version.run_id}"] if version.run_id else [])]
    seen: set[str] = set()
    for folder in folders:
        files = _list_files(folder)
        seen.update(files)
        weights = [name for name in files if name.endswith(SUFFIX)]
        # the name that this project gives them goes before others
        chosen = [name for name in weights if name == WEIGHTS] or weights
        if len(chosen) > 1:
            raise InputError(f"--base {resolved}: several safetensors files ({', '.join(chosen)}); name one as a file")
        if chosen:
            with open_temporary() as target:
                yield download(f"{folder}/{chosen[0]}", target)
            return
    raise InputError(
        f"--base {resolved}: no safetensors file among its files ({', '.join(sorted(seen)) or 'there are none'}); "
        f"other formats are not read, for loading them can run code: write one with {EXPORT}"
    )


def _list_files(folder: str) -> list[str]:
    """Returns the paths of all files below an artifact folder, relative to it."""
    waiting, files = [""], list[str]()
    while waiting:
        for entry in list_entries(f"{folder}/{waiting.pop()}"):
            (waiting if entry.is_dir else files).append(entry.path)
    return sorted(files)
