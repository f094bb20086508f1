"""The scan: looks through every place for what fingerprints are of, and tells what it could not read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from amun.core.counts import tell_count
from amun.core.errors import AmunError, InputError, join_lines
from amun.core.subject_ids import normalise
from amun.evidence.scan import ScannedPlace, ScanRecord
from amun.ledger import PlannedErasure
from amun.scan.content import scan_content
from amun.scan.fingerprint import FILE, SEALED, Fingerprint
from amun.scan.hashing import WindowHash
from amun.scan.matcher import Matcher, WholeFile
from amun.store.sources.revision import find_dvc_file
from amun.vault.fingerprints import fingerprint_key
from amun.vault.vault import open_vault
from tasks.tools.contents import list_tracked
from tasks.workspace.fingerprinting import read_fingerprints, take_fingerprints
from tasks.workspace.places import Place, list_places
from tasks.workspace.workspace import Workspace, open_ledger


@dataclass(frozen=True)
class Target:
    """Whom a scan looks for.

    Attributes:
        label: the request under which the person was erased, or the id of a person who is not.
        subject_id: whose copies.
        has_key: there still is a key of theirs, so that sealed copies can be opened.
        fingerprint: of what was held of them; None where none is kept.
        lack: why the scan cannot say that nothing is left; empty where it can.
    """

    label: str
    subject_id: str
    has_key: bool
    fingerprint: Fingerprint | None
    lack: str = ""


@dataclass
class Scanned:
    """What was found in one place.

    Attributes:
        place: its name.
        num_contents: files, objects and tables that were read.
        num_bytes: of these, before anything was unpacked.
        readable: copies that anybody can read, by the label of whom they are of: a payload counts once in each content.
        sealed: copies that open with the person's key alone, likewise.
        files: contents that are, or have in them, a whole file that was looked for, by its label.
        file_names: the names of these contents.
        problems: what could not be read, a line each.
    """

    place: str
    num_contents: int = 0
    num_bytes: int = 0
    readable: Counter[str] = field(default_factory=Counter)
    sealed: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    file_names: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scan:
    """What a scan has found.

    Attributes:
        targets: whom it looked for.
        places: where, and what was there.
        num_files: how many whole files it looked for.
    """

    targets: list[Target]
    places: list[Scanned]
    num_files: int = 0

    @property
    def is_clean(self) -> bool:
        """Everything was read, everybody could be looked for, and no copy that is left can be read; no file is left."""
        with_key = {target.label for target in self.targets if target.has_key}
        return not any(target.lack for target in self.targets) and not any(
            place.problems or place.readable or place.files or with_key.intersection(place.sealed)
            for place in self.places
        )


def choose_targets(workspace: Workspace, subjects: Sequence[str] | None, *, before: bool) -> list[Target]:
    """Returns whom a scan is to look for.

    Args:
        workspace: whose model has forgotten them.
        subjects: who; None is everybody who is erased, or, with `before`, who is to be.
        before: of people who still have keys: their fingerprints are taken now, and kept nowhere.

    Raises:
        InputError: somebody is not erased yet; or, with `before`, is, or nothing is held of them.
        AmunError: ledger or key store does not answer.
    """
    with open_ledger() as ledger:
        erasures = ledger.list_erasures(workspace.model, datetime.now(UTC))
        commits = {wave.number: wave.commit for wave in ledger.list_waves(workspace.model) if wave.commit is not None}
    begun = {normalise(one.subject_id): one for one in erasures if one.erasure.started_at is not None}
    waiting = {normalise(one.subject_id): one for one in erasures if one.erasure.started_at is None}
    chosen = waiting if before else begun
    asked = list(chosen) if subjects is None else [normalise(subject) for subject in subjects]
    _require_fitting(asked, begun, before=before)
    if not asked:
        return []  # a workspace that seals nothing has no key store
    vault = open_vault(workspace.root)
    with_keys = {normalise(name) for name in vault.find_names(asked).values()}
    if not before:
        kept = read_fingerprints(vault, asked)
        return [_aim(begun[person], kept.get(person), person in with_keys) for person in asked]
    from tasks.workspace.store_files import require_locks

    taken = take_fingerprints(workspace, vault, asked, require_locks(workspace.root, commits))
    if unknown := [person for person, fingerprint in taken.items() if not len(fingerprint.kinds)]:
        raise InputError(f"nothing is held of {unknown[0]!r}; `amun subject trace` says who is known")
    return [
        Target(
            waiting[person].request_id if person in waiting else person,
            person,
            person in with_keys,
            fingerprint,
            _find_lack(fingerprint),
        )
        for person, fingerprint in taken.items()
    ]


def _require_fitting(asked: Sequence[str], begun: Mapping[str, PlannedErasure], *, before: bool) -> None:
    for person in asked:
        if before and person in begun:
            raise InputError(f"{person!r} is erased, or about to be; leave --before out")
        if not before and person not in begun:
            raise InputError(f"{person!r} is not erased yet: `amun erase verify --before` looks for whoever has a key")


def _aim(one: PlannedErasure, fingerprint: Fingerprint | None, has_key: bool) -> Target:
    """Returns somebody erased as a target, with what keeps a scan from saying that nothing is left."""
    if fingerprint is None:
        at = one.erasure.erased_at or one.erasure.keys_destroyed_at or one.erasure.started_at
        told = "being erased since" if one.erasure.erased_at is None else "erased on"
        lack = (
            f"{told} {at:%Y-%m-%d}, and no fingerprints are kept: either their time is over, or that was before there "
            "were any"
        )
        return Target(one.request_id, one.subject_id, has_key, None, lack)
    return Target(one.request_id, one.subject_id, has_key, fingerprint, _find_lack(fingerprint))


def _find_lack(fingerprint: Fingerprint) -> str:
    num_unread = int(fingerprint.num_unread[0])
    lacking = tell_count(num_unread, "file or sample", "files or samples")
    return f"the fingerprints are not whole: {lacking} could not be read" if num_unread else ""


def scan(
    workspace: Workspace, targets: Sequence[Target], *, only_own: bool = False, files: Sequence[WholeFile] = ()
) -> Scan:
    """Looks for these people's payloads in every place.

    Args:
        workspace: whose places.
        targets: whom to look for.
        only_own: leaves out what is not on this machine, and what others write to as well: a source that is under DVC
            lies in its cache and remotes, too.
        files: that are to be nowhere any more, weights as a rule: they are found whole, also in archives.

    Raises:
        InputError, AmunError: the key store or the registry does not answer.
    """
    known = [target for target in targets if target.fingerprint is not None]
    if not known and not files:
        return Scan(list(targets), [])
    window_hash = WindowHash.derive(fingerprint_key(open_vault(workspace.root)))
    matcher = Matcher(window_hash, [target.fingerprint for target in known if target.fingerprint is not None], files)
    labels = [target.label for target in known]
    places = [place for place in list_places(workspace) if place.is_own or not only_own]
    of_source = _list_source(workspace) if only_own else frozenset[str]()
    return Scan(list(targets), [_scan_place(matcher, labels, place, of_source) for place in places], len(files))


def _list_source(workspace: Workspace) -> frozenset[str]:
    """Returns how the names end of the files in DVC's cache and remotes that are the source of the data."""
    file = find_dvc_file(workspace.params.data.root, workspace.root)
    digests = set[str]() if file is None else list_tracked(workspace.root, file)
    return frozenset(f"{digest[:2]}/{digest[2:]}" for digest in digests)


def record_scan(found: Scan, target: Target, at: datetime) -> ScanRecord:
    """Returns what a scan has found of one person, as a receipt has it.

    Args:
        found: by the scan.
        target: one of those whom it looked for, whose fingerprint there is.
        at: when that was.

    Raises:
        AmunError: nobody could look for this person.
    """
    if (fingerprint := target.fingerprint) is None:
        raise AmunError(f"{target.label}: {target.lack}")
    return ScanRecord(
        scanned_at=at,
        num_payloads=len(fingerprint.kinds),
        num_files=int((fingerprint.kinds == FILE).sum()),
        num_blank=fingerprint.num_blank,
        num_unread=int(fingerprint.num_unread[0]),
        has_key=target.has_key,
        places=tuple(
            ScannedPlace(
                place=place.place,
                num_contents=place.num_contents,
                num_bytes=place.num_bytes,
                num_readable=place.readable[target.label],
                num_sealed=place.sealed[target.label],
                num_unread=len(place.problems),
            )
            for place in found.places
        ),
    )


def _scan_place(matcher: Matcher, labels: Sequence[str], place: Place, without: frozenset[str]) -> Scanned:
    scanned = Scanned(place.name)
    try:
        for content in place.list_contents(scanned.problems):
            if without and "/".join(content.name.rsplit("/", 2)[-2:]) in without:
                continue
            try:
                finding = scan_content(matcher, content.open_content)
            except FileNotFoundError:
                continue  # it was there a moment ago
            except (OSError, AmunError) as error:
                scanned.problems.append(f"{content.name}: {_tell(error)}")
                continue
            scanned.num_contents += 1
            scanned.num_bytes += finding.num_bytes
            scanned.problems += [f"{content.name}: {problem}" for problem in finding.problems]
            scanned.files.update(finding.files)
            scanned.file_names += [content.name] * bool(finding.files)
            for item in finding.items:
                counts = scanned.sealed if matcher.kinds[item] == SEALED else scanned.readable
                counts[labels[matcher.owners[item]]] += 1
    except AmunError as error:
        scanned.problems.append(str(error))
    return scanned


def _tell(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or join_lines(error)
