"""What a receipt does not show is said in it, as far as it is so."""

from amun.evidence.receipt import Destruction
from tasks.workspace.receipt_limits import list_limits
from tests.amun.receipts.bodies import make_body


def list_words(method: str, destroyed: Destruction) -> str:
    forgotten = make_body("0" * 64).forgotten
    return " ".join(list_limits(forgotten.model_copy(update={"method": method}), destroyed))


def test_limits_are_those_of_the_receipt() -> None:
    destroyed = make_body("0" * 64).destroyed
    assert destroyed.weights is not None
    assert destroyed.scan is not None
    least = destroyed.model_copy(update={"weights": None, "scan": None})
    for words in ("no proof", "downloaded before", "backup of the key store", "of no single person"):
        assert words in list_words("never_seen", destroyed)
    assert "approximate" not in list_words("retrain", destroyed)
    assert "trained anew" in list_words("retrain", destroyed)
    for words in ("They were not destroyed", "Nobody has scanned"):
        assert words in list_words("retrain", least)
        assert words not in list_words("retrain", destroyed)
