"""Weights that MLflow's registry names no more, and that have learned people who are erased."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amun.core.counts import tell_count
from amun.core.errors import InputError
from amun.ledger import PlannedErasure
from amun.vault.sealed_weights import PlainFile
from amun.vault.vault import Vault
from tasks.tools.git import has_commit
from tasks.tools.registry import SERVING_FILE
from tasks.tools.registry_left import LeftFile, erase_left_file, list_left_files
from tasks.tools.registry_weights import describe_file_in, describe_serving_file, erase_weights
from tasks.workspace.history import tell_how_to_fetch
from tasks.workspace.learned import find_remembering
from tasks.workspace.workspace import Workspace


@dataclass(frozen=True)
class LeftWeights:
    """What lies among MLflow's files and belongs to no version.

    Attributes:
        learned: has learned somebody of those who are asked for, and not forgotten.
        unknown: of which nobody can tell by which wave it was made.
    """

    learned: tuple[LeftFile, ...] = ()
    unknown: tuple[LeftFile, ...] = ()


def find_left_weights(
    workspace: Workspace, vault: Vault, erased: Sequence[PlannedErasure], waves: Mapping[int, str]
) -> LeftWeights:
    """Returns the weights without a version that have learned these people.

    Args:
        workspace: whose model.
        vault: has the keys.
        erased: the people; their own keys may be destroyed already.
        waves: commits of the waves, by their numbers.

    Raises:
        InputError: a commit that made some is not in this clone.
        AmunError: the registry or the key store does not answer.
    """
    if not erased or not (files := list_left_files(workspace.model)):
        return LeftWeights()
    root = workspace.root
    known = {file.commit: file for file in files if file.commit is not None}
    for commit, file in known.items():
        _require_commit(root, commit, file)
    learned = find_remembering(root, vault, erased, waves, known)
    return LeftWeights(
        tuple(file for file in files if file.commit in learned),
        tuple(file for file in files if file.commit is None),
    )


def _require_commit(root: Path, commit: str, file: LeftFile) -> None:
    """Refuses to go on where another clone could tell: nobody comes back to people who are recorded as erased."""
    if not has_commit(root, commit):
        raise InputError(
            f"MLflow has {file}, weights of no version, whose commit {commit[:12]} is not in {root}, and whom they "
            f"have learned cannot be told; {tell_how_to_fetch(root)} brings it, or remove the file where nobody has it"
        )


def erase_registered(
    model: str,
    versions: Sequence[int],
    left: Sequence[LeftFile],
    keep: Callable[[PlainFile], None] | None = None,
) -> tuple[str, ...]:
    """Removes the weights of some versions from MLflow, and those of none.

    Args:
        model: whose versions.
        versions: their numbers.
        left: the weights of none.
        keep: is told by what each model that serves is known, before its file goes.

    Returns:
        the versions of other models that were copies of them.

    Raises:
        AmunError: the registry or the key store does not answer, or a file is still there.
    """
    copies: list[str] = []
    for number in versions:
        if keep is not None and (served := describe_serving_file(model, number)) is not None:
            keep(served)
        copies += erase_weights(model, number)
    for file in left:
        if keep is not None and file.name == SERVING_FILE and (served := describe_file_in(file.folder)) is not None:
            keep(served)
        copies += erase_left_file(file)
    return tuple(copies)


def tell_unknown(files: Sequence[LeftFile]) -> str:
    """Returns in a line what nobody can judge, and what to do; nothing where there is none."""
    if not files:
        return ""
    return (
        f"MLflow has {tell_count(len(files), 'file')} of weights of no version, and nobody can tell whom they have "
        f"learned: {files[0]}{' and others' if len(files) > 1 else ''}; remove what is not to stay"
    )
