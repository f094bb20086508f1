"""What still holds copies of a person's samples, or was made from them, after the model has forgotten."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amun.core.errors import AmunError
from amun.core.masking import mask_passwords
from amun.core.paths import (
    AUDIT_LOGITS,
    BENCHMARKS,
    PARTIAL_ADVERSARIAL,
    PARTIAL_REFERENCES,
    SELFTEST,
    TARGET_LOGITS,
    is_bucket,
    locate_mirror,
)
from amun.evidence.adoption import read_adopted
from tasks.tools import dvc
from tasks.tools.contents import find_cached, find_sent
from tasks.views.trace import ReferenceSet, Trace, TracedVersion
from tasks.workspace.intake_files import DONE
from tasks.workspace.store_files import OF_A_WAVE, StoreFile, find_weights_in_clear, read_locks
from tasks.workspace.workspace import Workspace, open_ledger

_LOGITS = (str(AUDIT_LOGITS), str(TARGET_LOGITS))


@dataclass(frozen=True)
class Copy:
    """One kind of thing that is still there.

    Attributes:
        what: in plain words.
        place: where it lies.
        amount: how much of it.
    """

    what: str
    place: str
    amount: str


def list_copies(workspace: Workspace, trace: Trace) -> list[Copy]:
    """Returns what still holds the person's samples, or was learned from them, as far as this software knows."""
    return [
        *_list_files(workspace.root, trace.files),
        *_list_weights(trace.versions),
        *_list_references(trace.references),
        *list_beside(workspace),
        *list_ids(trace),
    ]


def _list_files(root: Path, files: Sequence[StoreFile]) -> Iterator[Copy]:
    digests = {file.md5 for file in files}
    places = {"work tree": _find_checked_out(root, files), "DVC cache": set(find_cached(root, digests))}
    try:
        address, sent = find_sent(root, digests) if dvc.has_remote(root) else ("", set())
        places[f"DVC remote {mask_passwords(address)}"] = sent
    except AmunError as error:
        yield Copy("whatever was sent to the DVC remote", "DVC remote", f"could not be looked at: {error}")
    for what, kind in (
        ("images", [file for file in files if file.path not in (*_LOGITS, *OF_A_WAVE)]),
        ("adversarial examples, which are near-copies of the images", _select(files, *OF_A_WAVE)),
        ("the reference models' answers to the images", _select(files, *_LOGITS)),
    ):
        amounts = {place: _count([file for file in kind if file.md5 in held]) for place, held in places.items()}
        for amount in dict.fromkeys(filter(None, amounts.values())):
            yield Copy(what, "; ".join(place for place in amounts if amounts[place] == amount), amount)


def _select(files: Sequence[StoreFile], *paths: str) -> list[StoreFile]:
    return [file for file in files if file.path in paths]


def _find_checked_out(root: Path, files: Sequence[StoreFile]) -> set[str]:
    """Returns the MD5s of the contents that the work tree's own `dvc.lock` names and that are there."""
    current = dvc.read_digests(root)
    return {file.md5 for file in files if current.get(file.path) == file.md5 and (root / file.path).exists()}


def _count(files: Sequence[StoreFile]) -> str:
    """Returns how many samples of the person are in these files; nothing where there are none."""
    # a copy in clear, of before everything was sealed, is readable whatever becomes of keys
    readable, erased = (_sum([file for file in files if file.is_erased is wanted]) for wanted in (False, True))
    return ", ".join(filter(None, [readable, f"{erased} that nobody can open any more" if erased else ""]))


def _sum(files: Sequence[StoreFile]) -> str:
    known = [file.num_samples for file in files if file.num_samples is not None]
    lost = len(files) - len(known)
    counted = f"{sum(known)} in {len(known)} file{'s' if len(known) > 1 else ''}" if known else ""
    return ", ".join(filter(None, [counted, f"an unknown number in {lost} more" if lost else ""]))


def _list_weights(versions: Sequence[TracedVersion]) -> Iterator[Copy]:
    there = [version for version in versions if version.weights_erased_at is None]
    learned = [version for version in there if version.num_train and version.forgotten_by is None]
    forgotten = [version for version in there if version.num_train and version.forgotten_by is not None]
    unlearned = [version for version in forgotten if not version.is_retrained]
    unknown = [version for version in there if version.num_train is None]
    for what, kind in (
        ("models trained on the samples", learned),
        ("models made from such a model by unlearning", unlearned),
        ("models of which it is not known here whether they were trained on the samples", unknown),
    ):
        if kind:
            numbers = ", ".join(str(version.version) for version in kind)
            yield Copy(what, "MLflow, the DVC cache and, where there is one, its remote", f"version {numbers}")


def _list_references(sets: Sequence[ReferenceSet]) -> Iterator[Copy]:
    for kept in sets:
        if kept.has_weights and kept.num_trained != 0:
            amount = f"{'half' if kept.num_trained is None else kept.num_trained} of {kept.num_references}"
            yield Copy(
                "reference models trained on the samples", "the DVC cache and, where there is one, its remote", amount
            )


def list_beside(workspace: Workspace) -> Iterator[Copy]:
    """Yields what lies under `.amun/` and may hold anybody's samples; nobody has looked into it."""
    source = workspace.params.data.root
    mirror = [locate_mirror(source)] if source is not None and is_bucket(source) else []
    for what, paths in (
        ("images as the source on S3 had them when it was last read", mirror),
        ("adversarial examples of a search that was cut short", [PARTIAL_ADVERSARIAL]),
        ("logits of reference models whose training was cut short", [PARTIAL_REFERENCES]),
        ("images, adversarial examples and models of benchmarks", [BENCHMARKS]),
        ("images and models of the self-test", [SELFTEST]),
    ):
        for path in paths:
            if (workspace.root / path).exists():
                yield Copy(what, str(path), "perhaps: not looked into")


def list_untouched(workspace: Workspace) -> list[Copy]:
    """Returns what erasing people leaves as it is, and what may hold copies of them or have been made from them."""
    data = workspace.params.data
    what = "copies of what is deleted in the source" if data.source_delete else "the source, for its owner to clear"
    return [
        Copy(what, data.root or data.source, "not looked into"),
        *list_beside(workspace),
        Copy("samples that were written in clear, before everything was sealed", "the DVC remote", "not looked into"),
        *_list_weights_in_clear(workspace),
        *_list_adopted(workspace),
        Copy("the requests themselves, with the people's ids", "the ledger and the intake source", "all"),
    ]


def _list_adopted(workspace: Workspace) -> Iterator[Copy]:
    """Yields the model from which the base was adopted: others' own, which nobody here removes."""
    if (adopted := read_adopted(workspace.root)) is not None:
        yield Copy("the model from which the base was adopted", adopted.source, "not looked into")


def _list_weights_in_clear(workspace: Workspace) -> Iterator[Copy]:
    """Yields the weights that were written before weights were sealed, as far as the cache has them."""
    with open_ledger() as ledger:
        waves = ledger.list_waves(workspace.model)
    commits = {wave.number: wave.commit for wave in waves if wave.commit is not None}
    if numbers := find_weights_in_clear(workspace.root, read_locks(workspace.root, commits)):
        named = f"of wave {', '.join(map(str, numbers))}"
        yield Copy(
            "models' weights that were written in clear", "the DVC cache and, where there is one, its remote", named
        )


def list_ids(trace: Trace) -> Iterator[Copy]:
    """Yields what names the person: keyed ids, the requests, the files that these came in."""
    waves = [str(version.wave) for version in trace.versions if version.forgotten_by is not None]
    if waves:
        yield Copy(
            "keyed ids of the person and the samples, which mean nothing without the workspace secret",
            "git, in wave/wave.json and wave/forgotten.json",
            f"since wave {waves[0]}",
        )
    if trace.requests:
        yield Copy("the requests themselves, with the person's id", "the ledger", f"{len(trace.requests)}")
    if numbers := sorted({request.file_number for request in trace.requests if request.file_number is not None}):
        named = ", ".join(f"{DONE}/{number:06d}" for number in numbers)
        yield Copy("the files that these requests came in", "the intake source, unless you removed them", named)
