"""A wave is drawn without bias, by what anybody can compute again; a receipt that tells of another draw is refused."""

import hashlib
from collections import Counter

import pytest

from amun.core.errors import AmunError, InputError
from amun.evidence.receipt import Draw
from amun.receipts.chain import find_break
from amun.receipts.drawing import (
    check_value,
    draw_wave,
    find_false,
    list_draws,
    list_heads,
    rank_waves,
    require_true_draws,
)
from amun.receipts.entries import write_line
from tests.amun.receipts.bodies import MODEL, draw_from, make_body, make_chain

HEAD = "ab" * 32


def test_wave_has_the_smallest_digest_of_the_canonical_json() -> None:
    def score(wave: int) -> str:
        text = f'{{"format":"amun draw 1","head":"{HEAD}","model":"{MODEL}","value":"4\u00fc","wave":{wave}}}'
        return hashlib.sha256(text.encode()).hexdigest()

    assert rank_waves("4\u00fc", HEAD, MODEL, range(1, 30)) == sorted(range(1, 30), key=score)
    # written down once, so that no release draws otherwise
    assert rank_waves("4\u00fc", HEAD, MODEL, range(1, 8)) == WRITTEN_DOWN


WRITTEN_DOWN = [1, 7, 5, 3, 4, 6, 2]


def test_every_wave_is_as_likely_and_all_four_facts_count() -> None:
    drawn = Counter(draw_wave(str(value), HEAD, MODEL, range(1, 6)) for value in range(5000))
    # five bounds of five standard deviations of a binomial of 5,000 and 1/5
    assert all(abs(count - 1000) < 5 * 28.3 for count in drawn.values()), drawn
    assert len(drawn) == 5
    waves = range(1, 40)
    orders = [
        rank_waves("1", HEAD, MODEL, waves),
        rank_waves("2", HEAD, MODEL, waves),
        rank_waves("1", "cd" * 32, MODEL, waves),
        rank_waves("1", HEAD, "faces", waves),
    ]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_leaving_a_wave_out_moves_no_other() -> None:
    ranked = rank_waves("1", HEAD, MODEL, range(1, 9))
    for left_out in ranked:
        assert rank_waves("1", HEAD, MODEL, set(ranked) - {left_out}) == [one for one in ranked if one != left_out]
    assert draw_wave("1", HEAD, MODEL, ranked, ranked[:2]) == ranked[2]
    assert draw_wave("1", HEAD, MODEL, ranked, ranked) is None


@pytest.mark.parametrize("value", ["", " 7", "7\n", "\u200b", "7" * 1001, "a\tb"])
def test_value_that_two_people_would_write_otherwise_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="printable characters"):
        check_value(value)
    assert check_value("7" * 1000) == "7" * 1000


def test_draw_to_which_nobody_else_comes_is_false() -> None:
    ranked = rank_waves("1", HEAD, MODEL, range(1, 9))
    for place in (0, 3):
        assert find_false(draw_from("1", HEAD, range(1, 9), ranked[:place]), MODEL) == ""
    true = draw_from("1", HEAD, range(1, 9), ranked[:1])
    changes: list[dict[str, object]] = [
        {"wave": ranked[4]},
        {"wave": 99},
        {"value": "3"},
        {"head": "cd" * 32},
        {"waves": ()},
        {"skipped": ()},
        {"skipped": (ranked[0], ranked[5])},
        {"skipped": (ranked[0], 99)},
    ]
    for change in changes:
        assert find_false(true.model_copy(update=change), MODEL), change
    assert find_false(true, "faces")


def test_receipt_with_a_false_draw_or_a_head_that_never_was_is_refused() -> None:
    entries, _ = make_chain(3)
    heads = list_heads(MODEL, entries)
    assert len(set(heads)) == 4
    assert heads[1:3] == [entry.previous for entry in entries[1:]]
    assert heads[3] == hashlib.sha256(write_line(entries[2]).encode()).hexdigest()
    assert find_break(entries, MODEL) == ""

    def tell(draw: Draw) -> None:
        body = make_body("0" * 64)
        assert body.drawn is not None
        told = body.model_copy(update={"drawn": body.drawn.model_copy(update={"draw": draw})})
        assert list_draws(told) == [draw]
        require_true_draws(told, entries, "receipt.json")

    for head in heads:
        tell(draw_from("1", head, range(1, 5)))
    with pytest.raises(AmunError, match=r"^receipt.json: wave \d is said to be drawn by a head that"):
        tell(draw_from("1", HEAD, range(1, 5)))
    true = draw_from("1", heads[0], range(1, 5))
    with pytest.raises(AmunError, match=r"^receipt.json: the value '1' draws wave \d, and wave 9 was run again"):
        tell(true.model_copy(update={"wave": 9}))
