"""Which wave is to be run again: drawn by a value that its operator does not choose, and by the chain of receipts.

Each wave has a digest of the value, the chain's head and its own number; the wave with the smallest one is drawn. So
every wave is as likely as any other, and another wave more or less changes nothing between the rest: whoever leaves
waves out can hide the drawn one alone, and that is told.
"""

from collections.abc import Iterable, Sequence

from amun.core.errors import AmunError, InputError
from amun.evidence.receipt import ChainEntry, Draw, ReceiptBody
from amun.receipts.canonical import digest
from amun.receipts.entries import begin_chain, digest_entry

FORMAT = "amun draw 1"
MAX_LENGTH = 1000  # of a value, in characters


def check_value(value: str) -> str:
    """Returns a value that waves can be drawn by.

    Raises:
        InputError: it is none that two people would write alike.
    """
    if not value or value != value.strip() or not value.isprintable() or len(value) > MAX_LENGTH:
        raise InputError(
            f"the value {value[:40]!r}: 1 to {MAX_LENGTH} printable characters without blanks around them are "
            "expected, as the beacon, the auditor or the person has told them"
        )
    return value


def list_heads(model: str, entries: Iterable[ChainEntry]) -> list[str]:
    """Returns every head that a chain has had, the first one without a receipt."""
    return [begin_chain(model), *map(digest_entry, entries)]


def rank_waves(value: str, head: str, model: str, waves: Iterable[int]) -> list[int]:
    """Returns waves in the order in which they are drawn.

    Args:
        value: by which.
        head: of the chain, 64 hexadecimal digits.
        model: whose waves.
        waves: their numbers.
    """

    def score(wave: int) -> str:
        return digest({"format": FORMAT, "head": head, "model": model, "value": value, "wave": wave})

    return sorted(waves, key=score)


def draw_wave(value: str, head: str, model: str, waves: Sequence[int], skipped: Sequence[int] = ()) -> int | None:
    """Returns the wave that is drawn, given those that cannot be run again; None where none is left."""
    return next((wave for wave in rank_waves(value, head, model, waves) if wave not in skipped), None)


def find_false(draw: Draw, model: str) -> str:
    """Returns what is wrong with a draw, in words; empty where anybody comes to the same wave."""
    ranked = rank_waves(draw.value, draw.head, model, draw.waves)
    if (drawn := draw_wave(draw.value, draw.head, model, draw.waves, draw.skipped)) != draw.wave:
        return f"the value {draw.value!r} draws wave {drawn}, and wave {draw.wave} was run again"
    before = set(ranked[: ranked.index(draw.wave)])
    if before != set(draw.skipped):
        return f"waves are said to be left out that were not drawn before wave {draw.wave}"
    return ""


def list_draws(body: ReceiptBody) -> list[Draw]:
    """Returns the draws that a receipt tells of."""
    told = [one.draw for one in (body.reproduction, body.drawn) if one is not None and one.draw is not None]
    return list(dict.fromkeys(told))


def require_true_draws(body: ReceiptBody, chain: Sequence[ChainEntry] | None, where: str) -> None:
    """Refuses a receipt that tells of a draw to which nobody else comes.

    Args:
        body: of the receipt.
        chain: of the model; None where it is not at hand.
        where: the receipt stands.

    Raises:
        AmunError: what is wrong.
    """
    heads = None if chain is None else list_heads(body.model, chain)
    for draw in list_draws(body):
        if fault := find_false(draw, body.model):
            raise AmunError(f"{where}: {fault}")
        if heads is not None and draw.head not in heads:
            raise AmunError(f"{where}: wave {draw.wave} is said to be drawn by a head that the chain never had")
