"""Waves whose files in clear are destroyed: the intent first, and nothing that somebody still needs."""

from datetime import timedelta

import pytest

from amun.core.errors import InputError
from amun.ledger import ClearedWave, Ledger
from amun.ledger.clear_waves import tell_cleared
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, claim_wave, complete_wave

LATER = NOW + timedelta(days=1)


@pytest.fixture
def forgotten(ledger: Ledger) -> Ledger:
    """A ledger in which wave 1 has forgotten ann where nothing was sealed; bob is still held."""
    build_base(ledger, ["ann", "bob"])
    add(ledger, "ann")
    complete_wave(ledger, claim_wave(ledger), "8")
    return ledger


def test_intent_comes_first_and_the_time_last(forgotten: Ledger) -> None:
    assert forgotten.count_status(MODEL, NOW).never_erased == 1
    forgotten.begin_clearing(MODEL, {0}, NOW)
    forgotten.begin_clearing(MODEL, [1, 0], LATER)
    assert forgotten.list_cleared(MODEL) == {0: ClearedWave(0, NOW, None), 1: ClearedWave(1, LATER, None)}
    assert forgotten.count_status(MODEL, NOW).never_erased == 1
    told = "the files of wave 1 lay in clear, and are being destroyed since 2026-02-01 (`amun erase adopt`)"
    assert tell_cleared(forgotten.list_cleared(MODEL)[1]) == told
    forgotten.finish_clearing(MODEL, LATER)
    forgotten.finish_clearing(MODEL, LATER + timedelta(days=1))
    assert forgotten.list_cleared(MODEL)[0] == ClearedWave(0, NOW, LATER)
    assert tell_cleared(forgotten.list_cleared(MODEL)[0]).endswith("were destroyed on 2026-02-01 (`amun erase adopt`)")
    # no copy of ann is left in clear
    assert forgotten.count_status(MODEL, NOW).never_erased == 0


def test_nothing_goes_that_somebody_needs(forgotten: Ledger) -> None:
    claim = claim_wave(forgotten, "base")
    refuse(forgotten, f"wave 2 of {MODEL} is open; type this again once `amun wave run` has ended it")
    complete_wave(forgotten, claim, "9")
    add(forgotten, "bob")
    complete_wave(forgotten, claim_wave(forgotten), "10", erase_after=LATER)
    forgotten.hold_request("R-000002", "a court's order", now=NOW)
    refuse(forgotten, "the people of 1 request are under a legal hold", 3)
    forgotten.check_clearing(MODEL, [0, 1])  # of nobody who waits
    forgotten.release_request("R-000002", now=NOW)
    refuse(forgotten, "the people of 1 request are still to be erased", 3)
    forgotten.start_erasures(MODEL, now=LATER)
    forgotten.begin_clearing(MODEL, [0, 1, 3], NOW)
    with pytest.raises(InputError, match="not registered"):
        forgotten.check_clearing("another", [0])


def refuse(ledger: Ledger, told: str, wave: int = 1) -> None:
    with pytest.raises(InputError, match=f"^{told}"):
        ledger.check_clearing(MODEL, [wave])
    with pytest.raises(InputError, match=f"^{told}"):
        ledger.begin_clearing(MODEL, [wave], NOW)
    assert ledger.list_cleared(MODEL) == {}


def test_model_does_not_go_back_to_what_is_destroyed(forgotten: Ledger) -> None:
    forgotten.begin_clearing(MODEL, [0], NOW)
    with pytest.raises(InputError, match=r"^version 7 cannot serve again: the files of wave 0 lay in clear, and are"):
        forgotten.begin_rollback(
            MODEL, from_version="8", to_version="7", undone_waves=[1], reason="why", holder="me", now=NOW
        )
