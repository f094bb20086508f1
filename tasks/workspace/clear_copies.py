"""What of a workspace lies in clear from before its base was sealed.

Files are told by what they are: each content that a wave's commit names, or that DVC notes of a run, is looked into
where a copy of it is left.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amun.core.errors import AmunError, DamagedError, InputError
from amun.core.paths import (
    ADOPTED_WEIGHTS,
    AUDIT_INCLUSION,
    PARTIAL_ADVERSARIAL,
    PARTIAL_REFERENCES,
    TARGET_INCLUSION,
    WAVE_BASE,
)
from amun.ledger import Wave
from amun.store.rows import is_sealed
from amun.vault.sealed_weights import is_in_clear
from tasks.tools import dvc
from tasks.tools.content_places import ContentPlace, list_content_places, list_run_outputs
from tasks.tools.digests import compute_md5
from tasks.tools.registered import find_champion, list_registered
from tasks.workspace.clear_waves import is_base_sealed
from tasks.workspace.history import require_commit
from tasks.workspace.store_files import CONTENT, WEIGHTS
from tasks.workspace.workspace import Workspace, open_ledger

if TYPE_CHECKING:
    from tasks.tools.registry_left import LeftFile

_OF_WEIGHTS = {str(path) for path in (*WEIGHTS, WAVE_BASE, ADOPTED_WEIGHTS)}
_KINDS = {str(path) for path in (*CONTENT, AUDIT_INCLUSION, TARGET_INCLUSION)} | _OF_WEIGHTS
_ADDED = (WAVE_BASE, ADOPTED_WEIGHTS)
WORK_TREE = "work tree"
_FIRST = (
    "what would be destroyed is still needed; first `amun keys create`, once, and `data.sealed: true` in params.yaml, "
    "committed, then `amun base rebuild`"
)


@dataclass(frozen=True)
class Recorded:
    """What a commit names.

    Attributes:
        outputs: the MD5 of each file that holds samples or weights, by path.
        is_sealed: the samples of its base are.
    """

    outputs: Mapping[str, str]
    is_sealed: bool

    def is_of(self, clear: Collection[str]) -> bool:
        """Tells whether it is of a base in clear, or names one of these contents, which are."""
        return not self.is_sealed or any(md5 in clear for md5 in self.outputs.values())

    def is_learned_in(self, clear: Collection[str]) -> bool:
        """Tells whether its version was made from a base in clear."""
        return not self.is_sealed or any(path in _OF_WEIGHTS and md5 in clear for path, md5 in self.outputs.items())


@dataclass(frozen=True)
class ClearCopies:
    """What lies in clear, and is needed by nothing that the present base is for.

    Attributes:
        waves: that were made from it: they can no longer be run again once it is gone.
        held: for each place the MD5s of contents in clear.
        files: that lie beside what DVC keeps.
        versions: numbers of the versions in MLflow which were made from a base in clear.
        left: weights in MLflow that were, too, and that no version names any more.
        unread: a line for each place or content that could not be looked into.
        unknown: a line of weights in MLflow of which nobody can tell by which wave they were made; empty for none.
    """

    waves: tuple[int, ...]
    held: tuple[tuple[ContentPlace, tuple[str, ...]], ...]
    files: tuple[Path, ...]
    versions: tuple[int, ...]
    left: tuple["LeftFile", ...]
    unread: tuple[str, ...]
    unknown: str = ""

    @property
    def is_empty(self) -> bool:
        """Tells whether nothing is to be destroyed."""
        return not (self.versions or self.left or self.files or any(digests for _, digests in self.held))

    def count(self) -> dict[str, int]:
        """Returns how many files lie in clear in each place that has some."""
        counts = {place.name: len(digests) for place, digests in self.held} | {WORK_TREE: len(self.files)}
        return {name: count for name, count in counts.items() if count}


def find_clear_copies(workspace: Workspace) -> ClearCopies:
    """Returns what lies in clear of a workspace whose base is sealed.

    Raises:
        InputError: the base or the champion is not sealed, a commit is not in this clone, or somebody needs the files.
        AmunError: ledger or registry does not answer, or DVC's settings cannot be read.
    """
    with open_ledger() as ledger:
        found = look_through(workspace, ledger.list_waves(workspace.model))
        ledger.check_clearing(workspace.model, found.waves)
    return found


def look_through(workspace: Workspace, waves: Sequence[Wave]) -> ClearCopies:
    """Returns the same as `find_clear_copies`, whether somebody needs the files or not.

    Args:
        workspace: whose files.
        waves: all of its model.
    """
    root = workspace.root
    if not workspace.params.data.sealed:
        raise InputError(f"params.yaml: data.sealed is false: {_FIRST}")
    present = _read_record(root, "HEAD")
    if not present.is_sealed:
        raise InputError(f"the base in {root} is not sealed: {_FIRST}")
    recorded = {wave.number: _read_wave(root, wave) for wave in waves if wave.commit is not None}
    paths = _gather(root, present, recorded.values())
    places, unread = list_content_places(root)
    held = _find_held(places, paths, unread)
    judged, unjudged = _judge(paths, held, recorded.values())
    clear = {digest for digest, is_clear in judged.items() if is_clear}
    if needed := sorted(path for path, digest in present.outputs.items() if digest in clear):
        raise InputError(f"{needed[0]} in {root} is not sealed: {_FIRST}")
    of_clear = {number for number, record in recorded.items() if record.is_of(clear)}
    learned = {number for number in of_clear if recorded[number].is_learned_in(clear)}
    numbers = {str(wave.commit): wave.number for wave in waves}
    left, unknown = _choose_left(workspace.model, learned, numbers) if of_clear else ((), "")
    return ClearCopies(
        tuple(sorted(of_clear)),
        tuple((place, tuple(sorted(digests & clear))) for place, digests in held),
        tuple(_list_files(root, present)),
        _choose_versions(workspace.model, learned, numbers),
        left,
        (*unread, *unjudged),
        unknown,
    )


def _read_wave(root: Path, wave: Wave) -> Recorded:
    require_commit(root, str(wave.commit), f"wave {wave.number}")
    return _read_record(root, str(wave.commit))


def _read_record(root: Path, revision: str) -> Recorded:
    stages = dvc.read_lock_at(root, revision)
    outputs = dvc.list_digests(stages)
    for path in _ADDED:
        outputs |= dvc.read_added_at(root, path, revision)
    return Recorded({path: md5 for path, md5 in outputs.items() if path in _KINDS}, is_base_sealed(stages))


def _gather(root: Path, present: Recorded, recorded: Collection[Recorded]) -> dict[str, str]:
    """Returns each content that a commit names or a run here has made, by its MD5: one of the paths that it had."""
    runs = {md5: path for path, md5 in list_run_outputs(root) if path in _KINDS}
    return runs | {md5: path for record in (present, *recorded) for path, md5 in record.outputs.items()}


def _find_held(
    places: Sequence[ContentPlace], digests: Collection[str], unread: list[str]
) -> list[tuple[ContentPlace, set[str]]]:
    """Returns what each place has of these contents; adds a line for each place that does not answer."""
    held = []
    for place in places:
        try:
            held.append((place, place.find_held(digests)))
        except AmunError as error:
            unread.append(f"{place.name}: {error}")
    return held


def _judge(
    paths: Mapping[str, str], held: Sequence[tuple[ContentPlace, set[str]]], recorded: Collection[Recorded]
) -> tuple[dict[str, bool], list[str]]:
    """Tells of each content of which something is left whether it lies in clear.

    What no copy tells, for all are damaged or only a name is left, the commits tell that name it.

    Returns:
        whether, by MD5; and a line for each content of which nothing tells.
    """
    of_clear = {md5 for record in recorded if not record.is_sealed for md5 in record.outputs.values()}
    of_sealed = {md5 for record in recorded if record.is_sealed for md5 in record.outputs.values()}
    judged: dict[str, bool] = {}
    unjudged = []
    for digest in sorted(set[str]().union(*(digests for _, digests in held))):
        # the cache stands last, and is at hand
        places = [place for place, digests in reversed(held) if digest in digests]
        is_clear = _look_into(digest, paths[digest], places)
        if is_clear is None and digest in of_clear ^ of_sealed:
            is_clear = digest in of_clear
        if is_clear is None:
            unjudged.append(f"{paths[digest]}, {digest} in {places[0].name}, cannot be read; see what it is")
        else:
            judged[digest] = is_clear
    return judged, unjudged


def _look_into(digest: str, path: str, places: Sequence[ContentPlace]) -> bool | None:
    """Tells whether a content lies in clear, by the first copy that is sound; None where none is."""
    for place in places:
        try:
            with place.lend(digest) as copy:
                if copy is not None:
                    return _is_clear(copy, path)
        except AmunError:
            continue  # it is damaged, or away
    return None


def _is_clear(copy: Path, path: str) -> bool:
    return is_in_clear(copy) if path in _OF_WEIGHTS else not is_sealed(copy)


def _list_files(root: Path, present: Recorded) -> Iterator[Path]:
    """Yields what lies in clear in the work tree beside what HEAD names: older outputs, what killed stages left."""
    for path in sorted(_KINDS - {path for path, md5 in present.outputs.items() if compute_md5(root / path) == md5}):
        if (root / path).exists() and _is_clear(root / path, path):
            yield root / path
    for folder in (PARTIAL_ADVERSARIAL, PARTIAL_REFERENCES):
        # half a file that a killed stage has left, under another name, cannot be read and may be as clear
        yield from (
            path for path in sorted((root / folder).rglob("*")) if path.is_file() and not _is_surely_sealed(path)
        )


def _is_surely_sealed(path: Path) -> bool:
    try:
        return is_sealed(path)
    except DamagedError:
        return False


def _choose_versions(model: str, waves: Collection[int], numbers: Mapping[str, int]) -> tuple[int, ...]:
    """Returns the versions whose waves were made in clear and whose weights MLflow still has.

    Raises:
        InputError: the champion is one.
    """
    champion = find_champion(model)
    if champion is not None and numbers.get(champion.commit, champion.wave) in waves:
        raise InputError(f"MLflow: the champion of {model}, version {champion.version}, is not sealed: {_FIRST}")
    return tuple(
        version.version
        for version in list_registered(model)
        if numbers.get(version.commit, version.wave) in waves and version.weights_erased_at is None
    )


def _choose_left(model: str, waves: Collection[int], numbers: Mapping[str, int]) -> tuple[tuple["LeftFile", ...], str]:
    """Returns the weights of these waves that no version names, and a line where nobody can tell of some."""
    # only here: MLflow takes a second to import
    from tasks.tools.registry_left import list_left_files
    from tasks.workspace.left_weights import tell_unknown

    files = list_left_files(model)
    chosen = tuple(file for file in files if numbers.get(str(file.commit)) in waves)
    return chosen, tell_unknown([file for file in files if str(file.commit) not in numbers])
