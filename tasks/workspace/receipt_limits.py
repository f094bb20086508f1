"""What a receipt of erasure does not show, in words that stand in it."""

from collections.abc import Iterator, Sequence

from amun.core.counts import tell_count
from amun.core.params import EXACT_METHOD
from amun.evidence.receipt import Destruction, Forgetting, LearnedWeights, Reproduction


def list_limits(
    forgotten: Forgetting, destroyed: Destruction, adopted: str = "", drawn: Reproduction | None = None
) -> Iterator[str]:
    """Yields each limit of a receipt.

    Args:
        forgotten: the wave that it tells of.
        destroyed: what it says was destroyed.
        adopted: where the base comes from, if it was trained elsewhere.
        drawn: the last time that a drawn wave was run again.
    """
    yield (
        "This is a statement, signed by whoever holds the key, and no proof: a signature shows who says it, and the "
        "chain that it was said then and has not been changed since."
    )
    if adopted:
        yield f"The base was adopted from {adopted}, which may have learned the samples, and is not reached."
    yield from _tell_figures(forgotten, drawn)
    yield from _tell_weights(destroyed)
    yield from _tell_copies(destroyed)
    yield from _tell_ids(forgotten)
    yield "Disks may keep blocks that were overwritten. The request itself stays on record, with the person's id."


def _tell_figures(forgotten: Forgetting, drawn: Reproduction | None) -> Iterator[str]:
    """Yields of whom the figures are, and who says that they are those of the pipeline."""
    if forgotten.num_canaries:
        whom = (
            f"{tell_count(forgotten.num_canaries, 'canary', 'canaries')} alone, people who had not asked and were "
            "forgotten along so that the run can be judged. They prove the run, and nothing of this person"
        )
    else:
        whom = "all who were forgotten in that wave together, and of no single person"
    if forgotten.method == EXACT_METHOD:
        yield f"The model was trained anew without the samples. The figures are of {whom}."
    else:
        yield (
            f"The model was made to forget by an approximate method. The figures bound what is left of {whom}. The "
            "model that serves was made from models that had learned the samples."
        )
    if drawn is None or drawn.draw is None:
        yield (
            "No wave was drawn and run again, so that the figures are those that the pipeline gives is the word of "
            "whoever has signed."
        )
    else:
        yield (
            f"Of {tell_count(len(drawn.draw.waves), 'wave')} one was drawn and run again, wave {drawn.draw.wave}. That "
            "shows nothing where the value by which it was drawn was known to whoever ran it before the chain of "
            "receipts had the head that the draw names; and others' computers alone show that it was run."
        )


def _tell_weights(destroyed: Destruction) -> Iterator[str]:
    """Yields which models that may have learned the samples are left."""
    if destroyed.weights is None:
        yield (
            "Earlier versions of the model, and reference models whose weights are kept, may have learned the samples. "
            "They were not destroyed."
        )
    else:
        yield from _tell_in_clear(destroyed.weights)
    if destroyed.left_files is not None and (num_unknown := destroyed.left_files.num_unknown):
        yield (
            f"MLflow had {tell_count(num_unknown, 'file')} of weights of no version, of which nobody can tell whom "
            "they have learned. They may have learned the samples, and were not destroyed."
        )


def _tell_copies(destroyed: Destruction) -> Iterator[str]:
    """Yields where copies may be that nothing here reaches."""
    if destroyed.scan is None:
        yield "Nobody has scanned disks, remotes and databases for copies."
    else:
        yield (
            "The scan has looked in the places that it names, for what is the same to the value. What was encoded "
            "anew, scaled or cut small is not found, nor what lies elsewhere."
        )
    yield "Models that were downloaded before, and copies that were made outside of the workspace, are not reached."
    if destroyed.source is None:
        yield "The source of the data, from which the workspace had read them, is left to its owner."
    else:
        yield from (f"Left to the owner of the source of the data: {left}." for left in destroyed.source.left)
    yield (
        "Sealed copies of the samples are still there, in files and their backups. They cannot be opened, unless "
        "somebody has kept a backup of the key store together with a key-encryption key of the same time."
    )


def _tell_ids(forgotten: Forgetting) -> Iterator[str]:
    """Yields what the ids say by which git has the samples."""
    if forgotten.samples_named_by == "secret":
        yield (
            "The ids by which git has the samples are made with the secret of the workspace alone: whoever has that "
            "secret and the very picture can tell which id was the picture's."
        )
    if forgotten.samples_named_by == "person":
        yield (
            "Files keep the ids by which git has the samples, beside the keyed id of their person, in the order in "
            "which the source lists them. Whoever has such a file, the secret of the workspace and the person's id can "
            "tell which ids were the person's. Of a single sample that is which id it has; of several, the names by "
            "which the source had them, in their order, tell which was which. The rows do not open for it."
        )


def _tell_in_clear(learned: Sequence[LearnedWeights]) -> Iterator[str]:
    """Yields which weights are left in the data remote, as far as that can be told."""
    if in_clear := [weights.version for weights in learned if weights.is_sealed is False]:
        yield (
            f"The weights of version {', '.join(in_clear)}, which had learned the samples, were removed from the "
            "registry, and lie in clear in the data remote and its cache."
        )
    if unknown := [weights.version for weights in learned if weights.is_sealed is None]:
        yield (
            f"The weights of version {', '.join(unknown)}, which had learned the samples, were removed from the "
            "registry before. Whether the data remote has them in clear is not known."
        )
