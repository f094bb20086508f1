"""What a run takes: gradients that count, memory that is its own."""

import pytest

from amun.search.catalogue import search_together
from amun.study.cost import Meter
from tests.amun.methods.problems import IMAGES, LABELS, QUICK, make_problem
from tests.amun.shipped import needs_glibc, run_apart


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_rows_that_only_fill_up_a_pass_are_no_gradients(batch_size: int) -> None:
    """What a search takes must not depend on how many samples share a pass."""
    params = QUICK.adversarial.model_copy(update={"search": "pgd_doubling", "batch_size": batch_size})
    meter = Meter()
    model = meter.attach(make_problem("amun").base)
    search_together(model, IMAGES[:3], LABELS[:3], params, str)
    assert meter.num_gradients == count_passes()


def count_passes() -> int:
    """Returns how many passes the three samples take alone: one of their own each."""
    params = QUICK.adversarial.model_copy(update={"search": "pgd_doubling", "batch_size": 1})
    model, passes = make_problem("amun").base, list[int]()
    model.register_forward_hook(
        lambda _, inputs, logits: passes.append(len(inputs[0])) if logits.requires_grad else None
    )
    for place in range(3):
        search_together(model, IMAGES[place : place + 1], LABELS[place : place + 1], params, str)
    return sum(passes)


@needs_glibc
def test_memory_of_an_earlier_run_is_not_this_ones() -> None:
    program = (
        "import torch; from amun.study.cost import Meter, measuring; from amun.model.training import configure_torch;\n"
        "from tests.amun.shipped import PARAMS;\n"
        "device = configure_torch(PARAMS.runtime.model_copy(update={'device': 'cpu'}))\n"
        "def measure(mebibytes):\n"
        "    with measuring(Meter(), device) as costs:\n"
        "        torch.ones(mebibytes * 2**18)\n"
        "    return costs[0].peak_mib\n"
        "little, much, again = (measure(mebibytes) for mebibytes in (1, 300, 1))\n"
        "print(much > little + 250, again < little + 50)"
    )
    assert run_apart(program).stdout == "True True\n"
