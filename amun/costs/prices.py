"""On paper: what a night costs, by what devices, storage, requests to S3 and what leaves it are sold for.

Source of what a gigabyte is: Amazon counts 2^30 bytes as one (https://aws.amazon.com/s3/faqs/).
"""

from dataclasses import dataclass

from amun.core.memory import GIB
from amun.costs.s3 import Requests

DAYS_A_MONTH = 30
GIGABYTE = GIB


@dataclass(frozen=True)
class Prices:
    """What is paid, in one currency.

    Attributes:
        device_hour: an hour of a device.
        gigabyte_month: 2^30 bytes kept for a month.
        thousand_puts: requests that write or list.
        thousand_gets: requests that read.
        gigabyte_out: 2^30 bytes that leave the bucket; nothing is paid for what comes in.
    """

    device_hour: float
    gigabyte_month: float
    thousand_puts: float
    thousand_gets: float
    gigabyte_out: float


@dataclass(frozen=True)
class Bill:
    """What a night costs: its devices, a day of what is stored, its requests to S3, and what it reads from there."""

    devices: float
    storage: float
    requests: float
    transfer: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.devices + self.storage + self.requests + self.transfer


def price_night(
    prices: Prices, device_seconds: float, stored_bytes: float, requests: Requests, read_bytes: float
) -> Bill:
    """Returns what a night costs.

    Args:
        prices: of all.
        device_seconds: of all devices together, each from a night's beginning to its end.
        stored_bytes: of all nights, after this one.
        requests: to S3.
        read_bytes: that leave the bucket.
    """
    return Bill(
        devices=device_seconds / 3600 * prices.device_hour,
        storage=stored_bytes / GIGABYTE * prices.gigabyte_month / DAYS_A_MONTH,
        requests=requests.price(prices.thousand_puts, prices.thousand_gets),
        transfer=read_bytes / GIGABYTE * prices.gigabyte_out,
    )
