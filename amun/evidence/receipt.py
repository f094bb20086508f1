"""A receipt of erasure: what is stated to one person, and the entry by which git can show that it was stated then.

The body names nobody, but it is about one person: it is sealed in the ledger, and git has the entry alone.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from amun.evidence.figures import AuditFigures, Figures, NamedBy, RareCount, ReportFigures
from amun.evidence.scan import ScanRecord
from amun.evidence.wave import Record

FORMAT: Literal["amun receipt 1"] = "amun receipt 1"
HeldKind = Literal["training sample", "held-out sample", "adversarial example", "answer of reference models"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
SignatureText = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class Statement(Figures):
    """A part of a receipt. A later release may say more: what this one does not know is signed all the same."""


class HeldSamples(Statement):
    """What store files hold of one person and of one kind.

    Attributes:
        kind: of content.
        num_samples: different samples that they have it of.
        num_files: how many contents of files have some.
    """

    kind: HeldKind
    num_samples: int
    num_files: int


class LearnedWeights(Statement):
    """Weights of a version that had learned the person and not forgotten, removed from the registry.

    Attributes:
        version: of the model.
        md5: of their file in the data remote; None where that is not known.
        is_sealed: that file is under a key of its own, which is destroyed; else it lies in clear. None where the file
            was not at hand and its key was destroyed before, so that nobody can tell.
        erased_before: the day on which they went with somebody else; None where they went with this person.
    """

    version: str
    md5: str | None
    is_sealed: bool | None
    erased_before: str | None


class LeftFiles(Statement):
    """Files of weights that MLflow had, and that belonged to no version any more, when the keys were destroyed.

    Attributes:
        num_erased: which had learned the person, or somebody who was erased in the same call, and were removed.
        num_unknown: of which nobody could tell whom they have learned; they stay.
    """

    num_erased: int
    num_unknown: int


class Held(Statement):
    """What was held of a person, counted before the keys were destroyed.

    Attributes:
        num_train: training samples, as the ledger has counted them; None where a later base has no samples of the
            person any more.
        num_held_out: likewise, held-out samples.
        in_files: what the files in this clone's work tree and DVC cache had.
        num_unread_files: files besides that could not be read, and may have had some.
    """

    num_train: int | None
    num_held_out: int | None
    in_files: tuple[HeldSamples, ...]
    num_unread_files: int = 0


class Draft(Statement):
    """What has to be known before a person's keys are destroyed, and goes into the receipt afterwards.

    Attributes:
        held: what was held.
        num_keys: how many keys the person had; None where they were destroyed before anybody had counted.
        weights: of the versions that have learned the person; None where a release has written it that did not look.
        left_files: of weights of no version; None likewise.
        scan: for copies, once the keys were destroyed; None where there was none.
    """

    held: Held
    num_keys: int | None
    weights: Annotated[tuple[LearnedWeights, ...] | None, Field(exclude_if=lambda value: value is None)] = None
    left_files: Annotated[LeftFiles | None, Field(exclude_if=lambda value: value is None)] = None
    scan: Annotated[ScanRecord | None, Field(exclude_if=lambda value: value is None)] = None


class Forgetting(Statement):
    """The wave that has forgotten the person, as it was recorded.

    Attributes:
        wave: its number.
        closed_at: when it was complete.
        tag: in git; likewise its commit.
        version: of the model that it has ended with.
        weights_md5: of that version's weights, as `dvc.lock` has it; None where the commit is not at hand.
        weights_sha256: likewise, computed from the file; None where that is not at hand.
        data_md5: of every other output that the wave's `dvc.lock` names, by path.
        samples_named_by: whose key has made the ids by which git has the samples: the workspace's secret, or each
            person's; None where that is not at hand, or a release has written it that did not say.
        method: of the attempt that has passed.
        attempt: its number.
        reason: why the gate let it pass.
        calibration: what the gate judged by.
        test: what the report has measured.
        num_canaries: people who had not asked, of whom alone both are; not in a receipt where there were none.
    """

    wave: int
    closed_at: datetime
    tag: str
    commit: str
    version: str
    weights_md5: str | None
    weights_sha256: str | None
    data_md5: dict[str, str]
    samples_named_by: Annotated[NamedBy | None, Field(exclude_if=lambda value: value is None)] = None
    method: str | None
    attempt: int | None
    reason: str
    calibration: AuditFigures
    test: ReportFigures
    num_canaries: RareCount = 0


class Source(Statement):
    """What became of the person's files in the source of the data.

    Attributes:
        deleted_at: when none was left that could be deleted without others'.
        left: what the source's owner has to take the person out of, each in words.
    """

    deleted_at: datetime
    left: tuple[str, ...]


class Destruction(Statement):
    """What was destroyed, where and when.

    Attributes:
        begun_at: from then on nothing could stop it.
        keys_destroyed_at: when no key of the person was left, and the key-encryption key was changed.
        erased_at: when nothing of the person could be opened any more, as far as was looked.
        num_keys: how many keys were destroyed; None where it is not known.
        where: they lay.
        weights: of versions that had learned the person; None where nobody has looked for them.
        left_files: of weights of no version; None likewise.
        source: the files in it; None where it is left to its owner.
        scan: for copies; None where there was none.
    """

    begun_at: datetime
    keys_destroyed_at: datetime
    erased_at: datetime
    num_keys: int | None
    where: str
    weights: Annotated[tuple[LearnedWeights, ...] | None, Field(exclude_if=lambda value: value is None)] = None
    left_files: Annotated[LeftFiles | None, Field(exclude_if=lambda value: value is None)] = None
    source: Annotated[Source | None, Field(exclude_if=lambda value: value is None)] = None
    scan: Annotated[ScanRecord | None, Field(exclude_if=lambda value: value is None)] = None


class Draw(Statement):
    """How it came that this wave was run again, and no other: anybody can compute it anew (`amun.receipts.drawing`).

    Attributes:
        value: by which it was drawn, public and not the operator's choice.
        head: of the chain of receipts at `commit`: the digest of its last line.
        commit: of the branch that has the waves.
        waves: the numbers of all waves that had forgotten people there.
        skipped: of them those which were drawn before, and can no longer be run again: what they need is destroyed.
        wave: the one that was run again.
    """

    value: str
    head: Digest
    commit: str
    waves: tuple[int, ...]
    skipped: tuple[int, ...]
    wave: int


class Reproduction(Statement):
    """The last time that a wave was run again.

    Attributes:
        finished_at: when.
        differing: the files of which other bytes came out, and those of whose figures the ledger has others; none where
            the wave reproduces.
        software: the release that has run it.
        draw: by which the wave was chosen; None where somebody has named it.
    """

    finished_at: datetime
    differing: tuple[str, ...]
    software: str
    draw: Annotated[Draw | None, Field(exclude_if=lambda value: value is None)] = None


class Software(Statement):
    """By what the receipt was issued: the release, and the commit of the workspace, which has the code."""

    version: str
    commit: str


class Term(Statement):
    """By which law's clock a request was due.

    Attributes:
        law: its name.
        extended_at: when the due date was put off, as the law allows it once; None where it was not.
        due_before: when it was due before that; None where it was not.
    """

    law: str
    extended_at: Annotated[datetime | None, Field(exclude_if=lambda value: value is None)] = None
    due_before: Annotated[datetime | None, Field(exclude_if=lambda value: value is None)] = None


class ReceiptBody(Statement):
    """What is stated.

    Attributes:
        request: its id.
        received_at: when it came.
        due_at: by when the person had to be erased.
        term: by which law, and whether that was put off; None where an earlier release has issued it.
        model: which has forgotten the person.
        subject: the person, by a digest under the receipt's nonce.
        held: what was held.
        forgotten: by which wave, with what figures.
        destroyed: what, and when.
        reproduction: of the wave, the last one before the receipt; None where there was none.
        drawn: the last one, of whatever wave of the model, that was drawn; None where there was none.
        software: which has issued it.
        limits: what it does not show, in words.
    """

    request: str
    received_at: datetime
    due_at: datetime
    term: Annotated[Term | None, Field(exclude_if=lambda value: value is None)] = None
    model: str
    subject: str
    held: Held
    forgotten: Forgetting
    destroyed: Destruction
    reproduction: Reproduction | None
    drawn: Annotated[Reproduction | None, Field(exclude_if=lambda value: value is None)] = None
    software: Software
    limits: tuple[str, ...]


class ChainEntry(Record):
    """What git has of a receipt: nothing that tells whose it is, or what it says.

    Attributes:
        format: of entry and receipt.
        number: in the chain, from 1.
        previous: digest of the entry before; of the first one, of the model's name.
        issued_at: when.
        commitment: digest of body and nonce.
        public_key: of the key that has signed it.
        signature: of all that is above.
    """

    format: Literal["amun receipt 1"] = FORMAT
    number: Annotated[int, Field(ge=1)]
    previous: Digest
    issued_at: datetime
    commitment: Digest
    public_key: Digest
    signature: SignatureText


class SignedReceipt(Record):
    """A receipt as the person gets it.

    Attributes:
        body: what is stated.
        nonce: 256 random bits, without which nobody can try which body an entry stands for.
        entry: its place in the chain, signed.
    """

    body: ReceiptBody
    nonce: Digest
    entry: ChainEntry
