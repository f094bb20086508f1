"""What a night asks of S3 and costs, in numbers that can be added up by hand; a real server counts them elsewhere."""

import pytest

from amun.costs.prices import Prices, price_night
from amun.costs.s3 import (
    LEAST_PARTED,
    NUM_LISTS,
    NUM_LOOKS,
    PART_BYTES,
    READ_AGAIN_BYTES,
    Requests,
    count_intake,
    count_night,
    count_puts,
)


@pytest.mark.parametrize(
    ("num_bytes", "num_puts"),
    # whole, or parts with what begins and ends them
    [(0, 1), (LEAST_PARTED - 1, 1), (LEAST_PARTED, 4), (LEAST_PARTED + 1, 5), (1e6 * PART_BYTES, 10_002)],
)
def test_large_files_go_in_parts(num_bytes: float, num_puts: int) -> None:
    assert count_puts(num_bytes) == num_puts


def test_a_night_sends_large_files_in_parts_and_asks_for_all_others() -> None:
    small = count_night([5.0, 7.0], num_files=10, num_kept=30, kept_bytes=1e6)
    # each of 10 files is asked for twice, once with the bucket, which is asked for with each of 2, too; 30 are read
    assert small == Requests(puts=2, lists=NUM_LISTS + 1, gets=NUM_LOOKS + 30 + 2 + 30)
    large = count_night([5.0, 3.0 * PART_BYTES], num_files=10, num_kept=30, kept_bytes=1e6)
    assert large.puts == 1 + 5


@pytest.mark.parametrize(
    ("num_sent", "num_kept", "counted", "foreseen"),
    [
        (12, 12, Requests(puts=12, lists=7, gets=69), Requests(puts=12, lists=7, gets=69)),
        (3, 15, Requests(puts=3, lists=4, gets=59), Requests(puts=3, lists=7, gets=63)),
    ],
)
def test_two_nights_that_were_counted_at_a_server_asked_no_more(
    num_sent: int, num_kept: int, counted: Requests, foreseen: Requests
) -> None:
    """The first sends all files of the workspace; the second need not look for folders, which are there."""
    assert count_night([1e5] * num_sent, 12, num_kept, 1.5e6) == foreseen
    assert (counted.lists, counted.gets) <= (foreseen.lists, foreseen.gets)


def test_a_night_reads_again_no_more_than_a_part() -> None:
    # objects of half of it each: three
    kept = 2_500 * READ_AGAIN_BYTES / 2
    assert count_night([], num_files=0, num_kept=2_500, kept_bytes=kept) == Requests(
        lists=NUM_LISTS + 3, gets=NUM_LOOKS + 3
    )


def test_an_intake_lists_what_earlier_nights_have_left() -> None:
    assert count_intake(0, 9_000) == Requests()
    assert count_intake(1_000) == Requests(puts=1_000, lists=2, gets=2_000)
    # 1,001 objects are two pages, and there are two passes
    assert count_intake(1, 1_000) == Requests(puts=1, lists=4, gets=2)


def test_a_bill_has_the_devices_a_day_of_storage_and_the_requests() -> None:
    prices = Prices(device_hour=2.0, gigabyte_month=0.3, thousand_puts=5.0, thousand_gets=0.4)
    bill = price_night(prices, 7200.0, 20.0 * 2**30, Requests(puts=300, lists=200, gets=1_000))
    assert (bill.devices, bill.storage, bill.requests) == pytest.approx((4.0, 0.2, 2.9))
    assert bill.total == pytest.approx(7.1)
