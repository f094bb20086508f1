"""The bench of nights on paper: what earlier nights have left is paid, and a price belongs to what computes."""

from dataclasses import replace

import pytest

from amun.costs.night import Load, UnitCosts
from amun.costs.stored import Sizes
from bench.nights import THREAD_PRICE, read_arguments, sum_night
from tests.amun.shipped import PARAMS

COSTS = UnitCosts(train=1.0, tune=1.0, search=1.0, audit=1.0, report=1.0)


def tell(*typed: str, num_models: int = 1, fixed: float = 3600.0) -> dict[str, str]:
    load = Load(num_images=1_000, num_forget=100, num_models=num_models)
    return sum_night(replace(COSTS, fixed=fixed), Sizes(image=64, weights=2**30), PARAMS, load, read_arguments(typed))


def test_the_files_of_all_nights_are_stored_and_paid() -> None:
    # the base's weights and those of the night, a GiB each; then those of 58 others; half a currency a GiB and day
    alone, later = (tell("--storage-price", "15", "--nights", number) for number in ("0", "58"))
    assert (alone["stored, GiB"], later["stored, GiB"]) == ("2.0", "60.0")
    assert (alone["storage"], later["storage"]) == ("1.00", "30.00")


def test_what_is_read_again_leaves_the_bucket_and_is_paid_for_each_model() -> None:
    told = tell("--transfer-price", "2", num_models=3)
    # a GiB for each, but for what is left of the last night of a round
    assert told["read again, GiB"] == "3.0"
    assert float(told["out of S3"]) == pytest.approx(6.0, abs=0.05)
    assert tell("--transfer-price", "0")["out of S3"] == "0.00"


def test_a_night_is_the_sum_of_its_bill() -> None:
    told = tell("--storage-price", "15", "--put-price", "100", "--transfer-price", "2", num_models=2)
    parts = [float(told[name]) for name in ("devices", "storage", "requests to S3", "out of S3")]
    assert min(parts) > 0.1
    assert float(told["a night"]) == pytest.approx(sum(parts), abs=0.02)


def test_a_device_is_paid_for_what_is_fixed_too() -> None:
    fixed, bare = (float(tell("--device-price", "8", fixed=fixed)["devices"]) for fixed in (3600.0, 0.0))
    assert fixed - bare == pytest.approx(8.0, abs=0.011)


def test_a_thread_has_its_price_and_another_device_must_have_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_arguments([]).device_price == THREAD_PRICE
    assert read_arguments(["--speed", "20", "--device-price", "2"]).device_price == 2
    with pytest.raises(SystemExit) as ended:
        read_arguments(["--speed", "20"])
    assert ended.value.code == 2
    assert "--speed 20 is of another device than a thread here: give its --device-price" in capsys.readouterr().err
