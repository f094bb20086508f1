"""What is told of memory left beside its bounds: what refutes, and what a night would have noticed."""

import pytest

from amun.audit.measuring import add_memory, add_refuting, fit_to_night
from amun.audit.memory import Memory, measure_memory
from amun.audit.night import NightPower
from amun.evidence.figures import AuditFigures, ModelFigures
from tests.amun.audit.test_memory import World
from tests.amun.shipped import PARAMS

NIGHT = NightPower(
    num_people=60,
    num_samples=180,
    num_held_out_people=120,
    num_held_out_samples=360,
    num_references=16,
    base_memory=1.0,
    power=0.9,
)


def measure(growth: float) -> Memory:
    """People of one style, so that trainings scatter."""
    world = World(3, style=0.5)
    base = world.ask(1.0 * world.is_forget)
    memory = measure_memory(world.evidence, base, world.ask(0.0), growth)
    assert memory is not None
    assert memory.null.between > 0
    return memory


@pytest.mark.parametrize(("power", "is_told"), [(0.8, True), (0.79, False), (None, False)])
def test_what_would_be_noticed_is_told_where_all_of_the_gate_could_show_it(power: float | None, is_told: bool) -> None:
    memory = World(0).measure(0.0)
    gate = PARAMS.gate.model_copy(update={"max_memory_left": 0.6})
    params = PARAMS.model_copy(update={"gate": gate})
    assert memory.compute_power(0.6, 0.05) > 0.8, "memory left alone could"
    night = NIGHT.model_copy(update={"power": power})
    assert (fit_to_night(ModelFigures(), memory, night, params).noticed is not None) is is_told
    assert fit_to_night(ModelFigures(), None, night, params).noticed is None


def test_bounds_that_refute_are_not_widened_for_the_images_left() -> None:
    plain, grown = (add_memory(AuditFigures(), measure(growth), PARAMS) for growth in (1.0, 2.5))
    refuting = add_refuting(grown, measure(2.5), PARAMS)
    assert refuting.bounds == grown.bounds != plain.bounds
    assert refuting.refuting_bounds == pytest.approx(plain.bounds)
    # where both are the same the figures are as ever
    assert add_refuting(plain, measure(1.0), PARAMS) == plain
    assert "refuting_lower" not in add_refuting(plain, measure(1.0), PARAMS).model_dump()
    assert plain.refuting_bounds == plain.bounds
    assert add_refuting(AuditFigures(), None, PARAMS).refuting_bounds is None


def test_spread_is_widened_for_the_images_left_only_where_the_night_can_show_something() -> None:
    memory = measure(2.5)
    for power, growth in ((0.9, 2.5), (0.2, 1.0)):
        night = NIGHT.model_copy(update={"power": power})
        figures = fit_to_night(add_memory(AuditFigures(), memory, PARAMS), memory, night, PARAMS)
        assert figures.spread == pytest.approx(measure(growth).spread)
        assert figures.max_spread == pytest.approx(measure(1.0).null.max_spread)
    assert measure(1.0).spread > 1.5 * memory.spread
