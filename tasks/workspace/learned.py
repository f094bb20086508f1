"""Which models have learned people who are erased: the weights of all from before a wave has forgotten them.

The wave's own model was derived from theirs in order to forget them, was audited for it, and stays, as do all that
were made from it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amun.core.errors import AmunError, InputError
from amun.core.keys import load_secret, subject_keys
from amun.core.paths import BASE_MODEL, TARGET_WEIGHTS, TRAIN, UNLEARNED
from amun.core.subject_ids import normalise
from amun.evidence.wave import ForgottenWave
from amun.ledger import PlannedErasure
from amun.store.store import StoredIds, read_ids
from amun.vault.sealed_weights import WeightsNote, is_in_clear, list_weights_keys
from amun.vault.vault import Vault
from tasks.tools.contents import find_cached
from tasks.tools.registered import WaveVersion, find_champion, list_registered
from tasks.workspace.history import read_forgotten_at, tell_how_to_fetch
from tasks.workspace.store_files import find_base, find_erased_owners, read_locks
from tasks.workspace.workspace import Workspace

TRAINED = (str(BASE_MODEL), str(TARGET_WEIGHTS))  # on the training samples, whoever was forgotten since


@dataclass(frozen=True)
class LearnedVersion:
    """A version that has learned somebody, and not forgotten.

    Attributes:
        number: the registry's.
        md5: of its weights in DVC; None where its commit does not name them.
        is_sealed: they lie there under a key of their own; None where that cannot be told any more.
        erased_at: the day on which they were erased, with somebody else; None where they were there until now.
    """

    number: int
    md5: str | None
    is_sealed: bool | None
    erased_at: str | None


@dataclass(frozen=True)
class Learned:
    """What has learned some people, and is to be erased with them.

    Attributes:
        key_ids: of the keys under which weights lie in DVC's files, those of attempts that were refused among them.
        versions: numbers of the versions whose weights MLflow still has.
        by_request: for each of the people, by the request, all versions that have learned that one.
    """

    key_ids: frozenset[str]
    versions: tuple[int, ...]
    by_request: Mapping[str, tuple[LearnedVersion, ...]]


@dataclass(frozen=True)
class _Person:
    """Somebody who is erased.

    Attributes:
        request_id: under which.
        ids: the name, and the keyed ids by which store files and git may know the person.
        samples: training samples of all whom the wave has forgotten, where store files know the person by no such id:
            a name in a spelling that nobody can list is known by its key alone, and a killed call has destroyed that.
        owners: keyed ids of those of them whose keys are gone: another base may have other ids for the same samples.
    """

    request_id: str
    ids: frozenset[str]
    samples: frozenset[str]
    owners: frozenset[str]

    def is_in(self, stored: StoredIds) -> bool:
        """Tells whether a store file may have samples of the person."""
        return bool(stored.subjects & (self.ids | self.owners) or stored.samples & self.samples)


def find_learned(
    workspace: Workspace, vault: Vault, erased: Sequence[PlannedErasure], commits: Mapping[int, str]
) -> Learned:
    """Returns what has learned these people and has not forgotten them.

    Args:
        workspace: whose models.
        vault: has the keys.
        erased: the people; their own keys may be destroyed already.
        commits: of the waves, by their numbers.

    Raises:
        InputError: a commit of a version is not in this clone.
        AmunError: the champion has learned one of them; the registry or the key store does not answer.
    """
    root, model = workspace.root, workspace.model
    notes, versions = list_weights_keys(vault, model), list_registered(model)
    if not erased or not (notes or versions):
        return Learned(frozenset(), (), {})
    people = _find_people(root, vault, erased, commits)
    judged = _judge_commits(root, {*commits.values(), *(version.commit for version in versions)}, people)
    _require_forgotten(model, judged)
    return Learned(
        frozenset(_choose_keys(notes, judged.values(), erased)),
        tuple(
            version.version
            for version in versions
            if judged[version.commit].is_learned and version.weights_erased_at is None
        ),
        {
            one.request_id: tuple(
                _describe(root, version, judged[version.commit], {note.md5 for note in notes.values()})
                for version in versions
                if one.request_id in judged[version.commit].learned
            )
            for one in people
        },
    )


def find_remembering(
    root: Path, vault: Vault, erased: Sequence[PlannedErasure], waves: Mapping[int, str], commits: Collection[str]
) -> set[str]:
    """Returns those of some waves' commits whose models have learned one of these people and not forgotten.

    Args:
        root: of a clone that has the commits.
        vault: has the keys.
        erased: the people.
        waves: commits of the waves, by their numbers.
        commits: to be judged.

    Raises:
        InputError, AmunError: as `find_learned`.
    """
    people = _find_people(root, vault, erased, waves)
    return {commit for commit, judged in _judge_commits(root, commits, people).items() if judged.is_learned}


def _describe(root: Path, version: WaveVersion, commit: "_Commit", sealed: Collection[str]) -> LearnedVersion:
    md5 = commit.outputs.get(str(UNLEARNED))
    # the key of weights that went before is gone: the file itself tells, where it is at hand
    cached = find_cached(root, () if md5 is None or md5 in sealed else (md5,))
    told = [not is_in_clear(path) for path in cached.values()]
    is_sealed = True if md5 in sealed else next(iter(told), None)
    return LearnedVersion(version.version, md5, is_sealed, version.weights_erased_at)


@dataclass(frozen=True)
class _Commit:
    """What a wave's commit tells.

    Attributes:
        outputs: the MD5 of each, by path.
        is_trained_on: one of the people was among the training samples of its base.
        learned: the requests of those who were, and were not yet forgotten.
    """

    outputs: Mapping[str, str]
    is_trained_on: bool
    learned: frozenset[str]

    @property
    def is_learned(self) -> bool:
        """Tells whether its version remembers one of them."""
        return bool(self.learned)


def _judge_commits(root: Path, commits: Collection[str], people: Sequence[_Person]) -> dict[str, _Commit]:
    outputs = read_locks(root, {commit: commit for commit in commits})
    cached = find_cached(root, {lock[str(TRAIN)] for lock in outputs.values() if str(TRAIN) in lock})
    stored = {md5: read_ids(path) for md5, path in cached.items()}
    judged = {}
    for commit, lock in outputs.items():
        gone = {key for wave in _read_forgotten(root, commit) for key in wave.people_keys}
        # where the cache has lost the samples, anybody may have been among them
        held = stored.get(lock.get(str(TRAIN), ""))
        trained_on = [one for one in people if held is None or one.is_in(held)]
        learned = frozenset(one.request_id for one in trained_on if gone.isdisjoint(one.ids))
        judged[commit] = _Commit(lock, bool(trained_on), learned)
    return judged


def _choose_keys(
    notes: Mapping[str, WeightsNote], commits: Iterable[_Commit], erased: Sequence[PlannedErasure]
) -> set[str]:
    """Returns the ids of the keys that are to go.

    Weights that no commit names are of refused attempts and killed runs: what was made until these people were
    forgotten was made of what had learned them.
    """
    commits = list(commits)
    if not any(commit.is_trained_on for commit in commits):
        return set()
    unlearned = [(commit.outputs.get(str(UNLEARNED)), commit.is_learned) for commit in commits]
    trained = [(commit.outputs.get(path), commit.is_trained_on) for commit in commits for path in TRAINED]
    named = {md5 for md5, _ in [*unlearned, *trained]}
    kept = {md5 for md5, is_learned in unlearned if not is_learned}
    learned = {md5 for md5, is_learned in [*unlearned, *trained] if is_learned} - kept
    last_wave = max(one.wave_number or 0 for one in erased)
    last_time = max(one.erasure.intended_at for one in erased)
    return {
        key_id
        for key_id, note in notes.items()
        if note.md5 in learned or (note.md5 not in named and note.is_before(last_wave, last_time))
    }


def _find_people(
    root: Path, vault: Vault, erased: Sequence[PlannedErasure], commits: Mapping[int, str]
) -> list[_Person]:
    secret, names = load_secret(root), vault.find_names({one.subject_id for one in erased})
    people = []
    for one in erased:
        person = normalise(one.subject_id)
        spelled = {key for key, name in names.items() if normalise(name) == person}
        ids = frozenset([person, *subject_keys(secret, one.subject_id), *spelled])
        commit = commits.get(one.wave_number or 0)
        is_known = commit is None or not ids.isdisjoint(_list_subjects(root, commit))
        samples = frozenset[str]() if is_known or commit is None else _list_forgotten(root, commit, one.wave_number)
        owners = find_erased_owners(root, commit, samples) if commit is not None and samples else frozenset[str]()
        people.append(_Person(one.request_id, ids, samples, owners))
    return people


def _list_subjects(root: Path, commit: str) -> set[str]:
    """Returns everybody who has samples at a wave's commit, as far as the cache has them."""
    return {subject for path in find_base(root, commit) for subject in read_ids(path).subjects}


def _list_forgotten(root: Path, commit: str, wave: int | None) -> frozenset[str]:
    """Returns the training samples that a wave has forgotten."""
    return frozenset(
        sample_id for past in _read_forgotten(root, commit) if past.number == wave for sample_id in past.forget_ids
    )


def _read_forgotten(root: Path, commit: str) -> list[ForgottenWave]:
    line = read_forgotten_at(root, commit)
    if line is None:
        raise InputError(
            f"commit {commit[:12]} of a version is not in {root}, and whom its weights remember cannot be told; "
            f"{tell_how_to_fetch(root)} brings it"
        )
    return line


def _require_forgotten(model: str, judged: Mapping[str, _Commit]) -> None:
    """Refuses to erase people whom the version that serves remembers.

    Raises:
        AmunError: it does: somebody has moved the alias.
    """
    champion = find_champion(model)
    if champion is not None and judged[champion.commit].is_learned:
        raise AmunError(
            f"MLflow: the champion of {model} is version {champion.version}, which has learned people who are to be "
            "erased, and no wave has made it forget them: set the alias back to the version of the last wave"
        )
