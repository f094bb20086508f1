"""Everything that is held on one person (GDPR art. 15), and nothing of anybody else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from amun.core.keys import is_keyed, load_secret, subject_keys
from amun.core.paths import (
    ADVERSARIAL,
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    CALIBRATION,
    HELD_OUT_ADVERSARIAL,
    PREPARE_METRICS,
    TARGET_INCLUSION,
    TARGET_LOGITS,
    TEST,
    TRAIN,
)
from amun.evidence.figures import PrepareFigures
from amun.evidence.wave import parse_record
from amun.ledger import Holding, Request, Wave
from amun.store.samples import Samples, read_files, read_samples
from amun.vault.vault import read_suppression
from tasks.tools.contents import find_cached
from tasks.tools.git import read_committed
from tasks.views.copies import Copy, list_copies
from tasks.views.trace import Trace, trace_subject
from tasks.workspace.store_files import StoreFile, read_lock
from tasks.workspace.twins import find_shared
from tasks.workspace.workspace import Workspace, open_ledger

NEAR_COPIES = (ADVERSARIAL, HELD_OUT_ADVERSARIAL)
IMAGES = (TRAIN, CALIBRATION, TEST, *NEAR_COPIES)
ANSWERS = {AUDIT_LOGITS: ("audit", AUDIT_INCLUSION), TARGET_LOGITS: ("target", TARGET_INCLUSION)}


@dataclass(frozen=True)
class Facts:
    """What is known of one person.

    Attributes:
        trace: where the samples went.
        elsewhere: what other models of the ledger hold of the person, by their names.
        waves: that have forgotten the person, of every model.
        copies: what holds copies of the samples, or was made from them.
        shared: a sentence on other people's copies of the person's pictures; empty where there are none.
        is_suppressed: the person is on the suppression list.
    """

    trace: Trace
    elsewhere: dict[str, Holding]
    waves: list[Wave]
    copies: list[Copy]
    shared: str
    is_suppressed: bool

    @property
    def missing(self) -> list[StoreFile]:
        """The contents that may have samples of the person, and are not in the cache of this clone."""
        return [file for file in self.trace.files if file.known_from != "file"]

    @property
    def erased(self) -> str:
        """Since when the person is erased, or is being erased, under which request; empty where neither is so."""
        begun = [
            (request.request_id, outcome.erasure)
            for request in self.trace.requests
            for outcome in request.outcomes
            if outcome.erasure is not None and outcome.erasure.started_at is not None
        ]
        for request_id, erasure in sorted(begun, key=lambda one: one[1].erased_at is not None):
            if erasure.erased_at is None:
                return f"being erased since {erasure.started_at:%Y-%m-%d} under request {request_id}"
            return f"erased on {erasure.erased_at:%Y-%m-%d} under request {request_id}"
        return ""


@dataclass(frozen=True)
class HeldImage:
    """A sample of the person, or a near-copy of one, in one content of a file.

    Attributes:
        sample_id: its keyed id.
        kind: train, calibration, test, adversarial or held_out_adversarial: the name of the file.
        is_near_copy: a wave has made it of the sample.
        waves: whose commits name that content.
        label: its class; of a near-copy the one that it was taken for.
        class_name: of that class, the person's own by their name; empty where the names were not kept, or it is that of
            somebody else.
        payload: (C, H, W) uint8, or float32 in [0, 1].
        original: the image file that it came in, where the store keeps that.
    """

    sample_id: str
    kind: str
    is_near_copy: bool
    waves: tuple[int, ...]
    label: int
    class_name: str
    payload: npt.NDArray[Any]
    original: bytes | None = None


@dataclass(frozen=True)
class Answer:
    """What one reference answers to a sample of the person.

    Attributes:
        sample_id: its keyed id.
        references: audit or target.
        number: of the reference in that set.
        waves: that worked with it.
        was_trained: the reference was trained on the sample; None where the cache has lost that.
        logits: one for each class.
    """

    sample_id: str
    references: str
    number: int
    waves: tuple[int, ...]
    was_trained: bool | None
    logits: list[float]


def gather_facts(workspace: Workspace, subject_id: str) -> Facts:
    """Returns what is known of a person, whose samples `read_images` and `read_answers` open.

    Raises:
        InputError: nobody is called so, or the keys are not at hand.
        AmunError: a file is damaged, or a database does not answer.
    """
    trace = trace_subject(workspace, subject_id)
    with open_ledger() as ledger:
        held = ledger.list_holdings_of(subject_id)
        waves = [ledger.get_wave(model, number) for model, number in sorted(_list_forgetting(trace.requests))]
    twins = find_shared(workspace, subject_id)
    suppression = read_suppression(workspace.root, is_sealed=workspace.params.data.sealed)
    return Facts(
        trace=trace,
        elsewhere={model: holding for model, holding in held.items() if model != workspace.model},
        waves=waves,
        copies=list_copies(workspace, trace),
        shared=twins.describe() if twins else "",
        is_suppressed=suppression.has_person(subject_id),
    )


def read_images(root: Path, trace: Trace) -> Iterator[HeldImage]:
    """Yields the person's samples and near-copies that can be opened, of every content that the cache has.

    Raises:
        InputError, AmunError: what is sealed cannot be opened, or is not what was sealed.
    """
    commits = _list_commits(trace)
    for file, path, samples in _read(root, trace, IMAGES):
        originals = read_files(path, trace.subject_id)
        # classes are those of the wave's base
        classes = _read_classes(root, commits[file.waves[0]], trace.subject_id)
        for row, (sample_id, label) in enumerate(
            zip(samples.sample_ids.tolist(), samples.labels.tolist(), strict=True)
        ):
            yield HeldImage(
                sample_id=sample_id,
                kind=Path(file.path).stem,
                is_near_copy=Path(file.path) in NEAR_COPIES,
                waves=file.waves,
                label=label,
                class_name=classes[label] if label < len(classes) else "",
                payload=samples.payloads[row].numpy(),
                original=originals.get(sample_id),
            )


def read_answers(root: Path, trace: Trace) -> Iterator[Answer]:
    """Yields what each reference answers to the person's samples; raises as `read_images`."""
    commits = _list_commits(trace)
    for file, _, samples in _read(root, trace, tuple(ANSWERS)):
        name, inclusion = ANSWERS[Path(file.path)]
        was_trained = None
        for path in find_cached(root, [read_lock(root, commits[file.waves[0]])[str(inclusion)]]).values():
            was_trained = (
                read_samples(path, trace.subject_id).align(samples.sample_ids.tolist()).payloads.bool().tolist()
            )
        for row, sample_id in enumerate(samples.sample_ids.tolist()):
            for number, logits in enumerate(samples.payloads[row].tolist()):
                is_in = None if was_trained is None else was_trained[row][number]
                yield Answer(sample_id, name, number, file.waves, is_in, logits)


def _list_forgetting(requests: Sequence[Request]) -> set[tuple[str, int]]:
    """Returns model and number of each wave that has forgotten the person."""
    return {
        (outcome.model, outcome.wave_number)
        for request in requests
        for outcome in request.outcomes
        if outcome.wave_number is not None and outcome.state in ("completed", "already_forgotten")
    }


def _list_commits(trace: Trace) -> dict[int, str]:
    return {version.wave: version.commit for version in trace.versions}


def _read(root: Path, trace: Trace, paths: Sequence[Path]) -> Iterator[tuple[StoreFile, Path, Samples]]:
    """Yields each content of these files that the cache has, where it lies, and what can be opened of the person."""
    known = [file for path in paths for file in trace.files if file.path == str(path) and file.known_from == "file"]
    cached = find_cached(root, {file.md5 for file in known})
    for file in known:
        yield file, cached[file.md5], read_samples(cached[file.md5], trace.subject_id)


def _read_classes(root: Path, commit: str, person: str) -> list[str]:
    """Returns the names of the classes at a commit; nothing where they were not kept.

    Where classes are people, git has keyed ids of them: the person gets the own name, and nothing of the others.
    """
    text = read_committed(root, PREPARE_METRICS, commit)
    classes = [] if text is None else parse_record(PrepareFigures, text, str(PREPARE_METRICS)).classes or []
    own = subject_keys(load_secret(root), person)
    return [person if name in own else "" if is_keyed(name) else name for name in classes]
