"""All models of a ledger side by side: who was forgotten by one and not yet by another is counted at the other."""

from datetime import timedelta

from amun.ledger import Ledger
from tests.amun.ledger.helpers import MODEL, NOW, add, build_base, claim_wave, complete_wave

OTHER = "other"


def test_who_is_forgotten_by_one_model_alone_is_behind_at_the_other(ledger: Ledger) -> None:
    for model in (MODEL, OTHER):
        build_base(ledger, ["ann", "bob", "cid"], model)
    add(ledger, "ann", "bob")
    complete_wave(ledger, claim_wave(ledger))
    add(ledger, "cid")
    first, second = ledger.list_standings(NOW)
    assert [first.model, second.model] == sorted([MODEL, OTHER])
    mine, others = (first, second) if first.model == MODEL else (second, first)
    assert (mine.status.pending, mine.num_behind, mine.is_overdue) == (1, 0, False)
    assert (others.status.pending, others.num_behind) == (3, 2)
    assert [(one.last_wave, one.last_state) for one in (mine, others)] == [(1, "complete"), (0, "complete")]
    assert all(one.is_overdue for one in ledger.list_standings(NOW + timedelta(days=40)))
    ledger.withdraw_request("R-000001", OTHER, now=NOW)
    assert {one.model: one.num_behind for one in ledger.list_standings(NOW)} == {MODEL: 0, OTHER: 1}
