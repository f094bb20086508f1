"""Where one person's samples went: the versions of the data, the models trained on them, the references, the requests.

A wave's commit names by keyed ids whom it forgot, whatever has become of the data.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amun.core.errors import InputError
from amun.core.keys import load_secret, subject_key, subject_keys
from amun.core.near_ids import ask_for
from amun.core.params import EXACT_METHOD
from amun.core.paths import (
    AUDIT_INCLUSION,
    CALIBRATION,
    EXCLUSIONS,
    TARGET_INCLUSION,
    TARGET_WEIGHTS,
    TEST,
    TRAIN,
)
from amun.core.subject_ids import normalise
from amun.ledger import Holding, Request
from amun.ledger.checks import check_subject
from amun.model.target_weights import count_references
from amun.store.samples import Samples, read_samples
from amun.store.store import read_shape, read_share
from tasks.tools.contents import find_cached
from tasks.tools.git import name_tag, read_committed
from tasks.views.lineage import Version, list_versions
from tasks.workspace.history import read_forgotten_at, tell_how_to_fetch
from tasks.workspace.store_files import Locks, StoreFile, count_in, find_files, gather, read_lock
from tasks.workspace.workspace import Workspace, open_ledger

INCLUSIONS = {"audit": AUDIT_INCLUSION, "target": TARGET_INCLUSION}


@dataclass(frozen=True)
class ReferenceSet:
    """How many references of a set were trained on the person's samples; half of them, by design.

    Attributes:
        name: audit or target.
        waves: that worked with them.
        num_trained: on the person's samples; None where nobody can tell any more, because the person is erased.
        num_references: in the set.
        has_weights: they themselves were kept, not their answers alone.
    """

    name: str
    waves: tuple[int, ...]
    num_trained: int | None
    num_references: int
    has_weights: bool


@dataclass(frozen=True)
class TracedVersion:
    """What a model version has to do with the person.

    Attributes:
        version: the registry's number.
        wave: that registered it.
        tag: of the wave.
        commit: of the wave.
        aliases: of the version.
        num_train: the person's training samples in the data of its base; None where that cannot be known.
        num_held_out: likewise, the person's samples that were never trained on.
        forgotten_by: the wave of its line that forgot the person, this one or an earlier one, as far as is known here.
        is_retrained: it, or a version it was made from, was trained anew without the person.
        weights_erased_at: the day on which its weights were erased; None while they are there.
        role: in words.
    """

    version: int
    wave: int
    tag: str
    commit: str
    aliases: tuple[str, ...]
    num_train: int | None
    num_held_out: int | None
    forgotten_by: int | None
    is_retrained: bool
    weights_erased_at: str | None
    role: str


@dataclass(frozen=True)
class Trace:
    """Everything about one person, and of nobody else.

    Attributes:
        model: of this workspace.
        subject_id: the person.
        subject_key: by which git knows the person.
        files: every content of a data file that holds or may hold samples of the person.
        references: the sets that saw samples of the person.
        versions: every version that a wave has registered.
        requests: the person's, for all models.
    """

    model: str
    subject_id: str
    subject_key: str
    files: list[StoreFile]
    references: list[ReferenceSet]
    versions: list[TracedVersion]
    requests: list[Request]


def trace_subject(workspace: Workspace, subject_id: str) -> Trace:
    """Returns where the person's samples went.

    Raises:
        InputError: it is no id, or neither the data of any wave nor any request know the person.
    """
    check_subject(subject_id)
    root = workspace.root
    with open_ledger() as ledger:
        requests = ledger.requests_of_subject(subject_id)
        found, holdings_wave = ledger.find_holding(workspace.model, subject_id)
    holding = found or Holding(subject_id, 0, 0)
    versions = [version for version in list_versions(workspace) if version.wave is not None]
    locks = {int(version.wave or 0): read_lock(root, str(version.commit)) for version in versions}
    secret = load_secret(root)
    keyed_ids = subject_keys(secret, subject_id)
    files = find_files(root, subject_id, keyed_ids, locks, holding, holdings_wave)
    if not requests and found is None and not any(file.num_samples for file in files):
        raise InputError(_describe_stranger(workspace, subject_id))
    keys = frozenset(keyed_ids)
    return Trace(
        model=workspace.model,
        subject_id=subject_id,
        subject_key=subject_key(secret, normalise(subject_id)),
        files=[file for file in files if file.num_samples != 0],
        references=_find_references(root, subject_id, keyed_ids, locks),
        versions=[_trace_version(root, version, versions, keys, files, holding) for version in versions],
        requests=requests,
    )


def _describe_stranger(workspace: Workspace, subject_id: str) -> str:
    with open_ledger() as ledger:
        near = ask_for(ledger.suggest_ids([subject_id])[subject_id])
    said = f"nobody is called {subject_id!r} in the data of {workspace.model}, and no request names them"
    return f"{said}; {near}" if near else said


def _find_references(root: Path, subject_id: str, keyed_ids: Sequence[str], locks: Locks) -> list[ReferenceSet]:
    names = {str(path): name for name, path in INCLUSIONS.items()}
    contents = gather(locks, list(INCLUSIONS.values()))
    cached = find_cached(root, {md5 for _, md5 in contents})
    sets = []
    for (path, md5), waves in contents.items():
        share = read_share(cached[md5], subject_id, keyed_ids) if md5 in cached else None
        if share is not None and share.num_samples:
            has_weights = path == str(TARGET_INCLUSION) and _has_weights(root, locks, waves)
            num_references = read_shape(cached[md5]).payload_shape[0]
            num_trained = None if share.is_erased else _count_trained(read_samples(cached[md5], subject_id))
            sets.append(ReferenceSet(names[path], waves, num_trained, num_references, has_weights))
    return sets


def _has_weights(root: Path, locks: Locks, waves: Sequence[int]) -> bool:
    """Tells whether the base of these waves has kept its target references, as far as the cache knows."""
    named = gather(locks, [TARGET_WEIGHTS])
    digests = {md5 for (_, md5), naming in named.items() if set(naming) & set(waves)}
    return any(count_references(path) for path in find_cached(root, digests).values())


def _count_trained(inclusion: Samples) -> int:
    """Returns how many references were trained on at least one of the samples."""
    return int(inclusion.payloads.bool().any(dim=0).sum())


def _trace_version(
    root: Path,
    version: Version,
    versions: Sequence[Version],
    keys: frozenset[str],
    files: Sequence[StoreFile],
    holding: Holding,
) -> TracedVersion:
    wave, commit = int(version.wave or 0), str(version.commit)
    num_train, num_held_out = (count_in(files, wave, paths, holding) for paths in ((TRAIN,), (CALIBRATION, TEST)))
    line = read_forgotten_at(root, commit)
    forgotten_by = next((gone.number for gone in line or [] if keys.intersection(gone.people_keys)), None)
    is_retrained = forgotten_by is not None and _is_retrained(version, versions, forgotten_by)
    excluded = [] if line is None else json.loads(read_committed(root, EXCLUSIONS, commit) or "[]")
    is_excluded = not keys.isdisjoint(excluded)
    told = _tell_role(wave, num_train, num_held_out, forgotten_by, is_excluded)
    return TracedVersion(
        version=version.number,
        wave=wave,
        tag=name_tag(wave),
        commit=commit,
        aliases=version.aliases,
        num_train=num_train,
        num_held_out=num_held_out,
        forgotten_by=forgotten_by,
        is_retrained=is_retrained,
        weights_erased_at=version.weights_erased_at,
        role=f"its commit is not in this clone: not known; {tell_how_to_fetch(root)} brings it"
        if line is None
        else told
        + (", by exact retraining" if is_retrained and num_train != 0 else "")
        + (f"; weights erased on {version.weights_erased_at}" if version.weights_erased_at is not None else ""),
    )


def _is_retrained(version: Version, versions: Sequence[Version], forgotten_by: int) -> bool:
    """Tells whether a version or one of those before it, since the person was forgotten, was trained anew."""
    by_number = {str(other.number): other for other in versions}
    line: Version | None = version
    while line is not None and line.wave is not None and line.wave >= forgotten_by:
        if line.method == EXACT_METHOD:
            return True
        line = by_number.get(line.parent or "")
    return False


def _tell_role(
    wave: int, num_train: int | None, num_held_out: int | None, forgotten_by: int | None, is_excluded: bool
) -> str:
    if is_excluded:
        return f"left out of its base: forgotten by wave {forgotten_by} before"
    if num_train == num_held_out == 0:
        return "has nothing of the person"
    if forgotten_by is not None:
        when = "this wave" if forgotten_by == wave else f"wave {forgotten_by}"
        return f"forgotten by {when}" if num_train != 0 else f"never trained on; held out until {when}"
    if num_train is None:
        return "the data are not in the cache and not in the ledger: not known"
    return "trained on" if num_train else "never trained on; held out"
