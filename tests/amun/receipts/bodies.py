"""Receipts as tests need them: one with all that there can be in it, and any that hypothesis makes."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from amun.evidence.figures import AuditFigures, ReportFigures
from amun.evidence.receipt import (
    ChainEntry,
    Destruction,
    Draw,
    Forgetting,
    Held,
    HeldSamples,
    LearnedWeights,
    LeftFiles,
    ReceiptBody,
    Reproduction,
    Software,
    Source,
    Term,
)
from amun.evidence.scan import ScannedPlace, ScanRecord
from amun.receipts.chain import append_entry, commit_to, draw_nonce
from amun.receipts.drawing import draw_wave
from amun.receipts.entries import begin_chain
from amun.receipts.signing import SigningKey
from amun.receipts.statement import dump_body, name_subject, write_receipt

MODEL = "digits-cnn"
PERSON = "Zo\u00eb"
NOW = datetime(2026, 2, 7, 3, 0, 1, 999, tzinfo=UTC)
SCAN = ScanRecord(
    scanned_at=NOW,
    num_payloads=3,
    num_files=1,
    num_blank=0,
    num_unread=0,
    has_key=False,
    places=(
        ScannedPlace(place="DVC cache", num_contents=33, num_bytes=2**40, num_readable=0, num_sealed=3, num_unread=0),
    ),
)
KEY, OTHER_KEY = (SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)) for number in (1, 2))


def draw_from(value: str, head: str, waves: Iterable[int], skipped: Iterable[int] = ()) -> Draw:
    """Returns the draw of one of some waves; those that are skipped must be the first that the value draws."""
    candidates, left_out = tuple(waves), tuple(skipped)
    drawn = draw_wave(value, head, MODEL, candidates, left_out)
    assert drawn is not None
    return Draw(value=value, head=head, commit="c0ffee", waves=candidates, skipped=left_out, wave=drawn)


# the wave that is drawn first is said to be erased
DRAW = draw_from("round 4711", begin_chain(MODEL), range(1, 8), [5])


def make_body(nonce: str, number: int = 1) -> ReceiptBody:
    """Returns a body in which nothing that there can be is missing."""
    return ReceiptBody(
        request=f"R-{number:06d}",
        received_at=NOW - timedelta(days=20),
        due_at=NOW + timedelta(days=8),
        term=Term(law="gdpr", extended_at=NOW - timedelta(days=9), due_before=NOW - timedelta(days=3)),
        model=MODEL,
        subject=name_subject(nonce, PERSON),
        held=Held(
            num_train=7,
            num_held_out=2,
            in_files=(HeldSamples(kind="adversarial example", num_samples=7, num_files=1),),
            num_unread_files=1,
        ),
        forgotten=Forgetting(
            wave=3,
            closed_at=NOW - timedelta(days=8),
            tag="wave/0003",
            commit="c0ffee" * 6 + "c0ff",
            version="4",
            weights_md5="0" * 32,
            weights_sha256="1" * 64,
            data_md5={"data/train.parquet": "2" * 32},
            samples_named_by="person",
            method="never_seen",
            attempt=1,
            reason="memory left 0.1 to 0.3",
            calibration=AuditFigures(memory_left=0.2, memory_left_lower=0.1, memory_left_upper=0.3),
            test=ReportFigures(accuracy=0.5, memory_left=1e-7),
        ),
        destroyed=Destruction(
            begun_at=NOW,
            keys_destroyed_at=NOW,
            erased_at=NOW,
            num_keys=1,
            where="the key store",
            weights=(LearnedWeights(version="1", md5="3" * 32, is_sealed=True, erased_before="2026-01-31"),),
            left_files=LeftFiles(num_erased=1, num_unknown=2),
            source=Source(deleted_at=NOW, left=("labels.csv, which names the person",)),
            scan=SCAN,
        ),
        reproduction=Reproduction(finished_at=NOW - timedelta(days=3), differing=("metrics/audit.json",), software="1"),
        drawn=Reproduction(finished_at=NOW, differing=("plots/roc.csv",), software="1", draw=DRAW),
        software=Software(version="0.2.0", commit="c0ffee"),
        limits=("This is a statement.", "\u00e4\u00f6\u00fc \U0001f600"),
    )


def make_chain(count: int, keys: tuple[SigningKey, ...] = (KEY,)) -> tuple[list[ChainEntry], list[str]]:
    """Returns a chain of so many entries, signed by the keys in turn, and the receipts that they stand for."""
    entries: list[ChainEntry] = []
    receipts = []
    for number in range(1, count + 1):
        nonce = draw_nonce()
        body = dump_body(make_body(nonce, number))
        before, now = (entries or [None])[-1], NOW + timedelta(days=number)  # type: ignore[list-item]
        entries.append(append_entry(keys[number % len(keys)], MODEL, before, commit_to(body, nonce), now))
        receipts.append(write_receipt(body, nonce, entries[-1]))
    return entries, receipts


_whole = st.integers(0, 2**53 - 1)
_number = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_text = st.text(st.characters(exclude_categories=["Cs"]))
_time = st.datetimes(timezones=st.just(UTC))
_digest = st.text("0123456789abcdef", min_size=64, max_size=64)
_figures: dict[str, Any] = {"memory_left": _number, "accuracy": _number, "num_forget": _whole, "not_measured": _text}

bodies = st.builds(
    ReceiptBody,
    request=_text,
    received_at=_time,
    due_at=_time,
    term=st.none() | st.builds(Term, law=_text, extended_at=st.none() | _time, due_before=st.none() | _time),
    model=_text,
    subject=_text,
    held=st.builds(
        Held,
        num_train=st.none() | _whole,
        num_held_out=st.none() | _whole,
        in_files=st.lists(
            st.builds(HeldSamples, kind=st.just("training sample"), num_samples=_whole, num_files=_whole), max_size=3
        ).map(tuple),
        num_unread_files=_whole,
    ),
    forgotten=st.builds(
        Forgetting,
        wave=_whole,
        closed_at=_time,
        tag=_text,
        commit=_text,
        version=_text,
        weights_md5=st.none() | _text,
        weights_sha256=st.none() | _text,
        data_md5=st.dictionaries(_text, _text, max_size=3),
        method=st.none() | _text,
        attempt=st.none() | _whole,
        reason=_text,
        calibration=st.builds(AuditFigures, **_figures),
        test=st.builds(ReportFigures, **_figures, svc_entropy=_number),
    ),
    destroyed=st.builds(
        Destruction,
        begun_at=_time,
        keys_destroyed_at=_time,
        erased_at=_time,
        num_keys=st.none() | _whole,
        where=_text,
        weights=st.none(),
        left_files=st.none() | st.builds(LeftFiles, num_erased=_whole, num_unknown=_whole),
        source=st.none() | st.builds(Source, deleted_at=_time, left=st.tuples(_text)),
        scan=st.none() | st.just(SCAN),
    ),
    reproduction=st.none() | st.builds(Reproduction, finished_at=_time, differing=st.tuples(_text), software=_text),
    software=st.builds(Software, version=_text, commit=_text),
    limits=st.lists(_text, max_size=2).map(tuple),
)
nonces = _digest
