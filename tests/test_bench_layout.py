"""The bench of layouts measures both on the same model and images."""

import torch

from bench.layout import Case, make_work, measure_layouts
from bench.victims import RESNET
from tests.amun.shipped import PARAMS

# narrower layers can end the process in PyTorch 2.14.1
CASE = Case(RESNET.model_copy(update={"options": {"widths": [16, 32]}}), (3, 8, 8))


def test_every_round_of_each_layout_counts_but_the_first() -> None:
    measured = measure_layouts(PARAMS, CASE, num_rounds=2)
    assert {(kind, name): len(times) for kind, part in measured.items() for name, times in part.items()} == {
        (kind, name): 2 for kind in ("step", "pass") for name in ("contiguous", "channels_last")
    }


def test_the_layouts_do_the_same_work() -> None:
    logits = [make_work(PARAMS, CASE, name)["pass"]() for name in ("contiguous", "channels_last")]
    assert isinstance(logits[0], torch.Tensor)
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)
