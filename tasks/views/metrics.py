"""What a monitoring system reads of a model: how requests, nights and waves stand, by Prometheus' conventions of names.

Times are Unix timestamps: `time() - amun_wave_last_success_timestamp_seconds` is an age. What is not known is left out.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from amun.ledger import Ledger, Night, ParkedAs, Status, Wave
from tasks.workspace.deadlines import find_last_night
from tasks.workspace.workspace import Workspace, open_ledger

Value = float | datetime | None


class ModelCollector(Collector):
    """Asks the ledger anew each time that it is asked; `amun_ledger_up` is 0 where that does not answer."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def collect(self) -> Iterator[Metric]:
        """Yields every metric of the workspace's model."""
        now, gauge = datetime.now(UTC), self._gauge
        try:
            with open_ledger() as ledger:
                read = list(self._read(ledger, now))
        except Exception:  # whatever it is, the rest of the machine is still told of
            yield from gauge("amun_ledger_up", "Whether the ledger answers.", 0)
        else:
            yield from gauge("amun_ledger_up", "Whether the ledger answers.", 1)
            yield from read
        usage = shutil.disk_usage(self._workspace.root)
        yield from gauge("amun_disk_free_bytes", "Free on the disk of the workspace.", usage.free)
        yield from gauge("amun_disk_size_bytes", "Size of the disk of the workspace.", usage.total)

    def _gauge(self, name: str, what: str, value: Value) -> Iterator[Metric]:
        if value is None:
            return
        metric = GaugeMetricFamily(name, what, labels=["model"])
        metric.add_metric([self._workspace.model], value.timestamp() if isinstance(value, datetime) else value)
        yield metric

    def _read(self, ledger: Ledger, now: datetime) -> Iterator[Metric]:
        model = self._workspace.model
        status, waves = ledger.count_status(model, now), ledger.list_waves(model)
        yield from self._tell_requests(status, ledger.find_next_due(model))
        yield from self._tell_night(ledger.find_night(model))
        yield from self._tell_waves(waves, status)
        undelivered = sum(
            any(one.delivered_at is None for one in alert.deliveries)
            for alert in ledger.list_alerts(model)
            if alert.raised_at > now - timedelta(days=1)
        )
        yield from self._gauge("amun_alerts_undelivered", "Alerts of a day that a channel has not told.", undelivered)

    def _tell_requests(self, status: Status, due: datetime | None) -> Iterator[Metric]:
        # of all that the channels tell of, too: whoever matches nobody yet has the same month
        gauge, last_night = self._gauge, find_last_night(self._workspace.params, due)
        yield from gauge("amun_requests_pending", "Requests that wait for a wave.", status.pending)
        yield from gauge("amun_requests_overdue", "Requests not honoured after their due date.", status.overdue)
        yield from gauge("amun_requests_unmatched", "Requests that match nobody in the data.", status.unmatched)
        yield from gauge("amun_requests_held", "Requests on hold.", status.held)
        yield from gauge("amun_request_due_timestamp_seconds", "Nearest due date of a request whose clock runs.", due)
        what = "Until when that request has to be in a wave."
        yield from gauge("amun_request_last_night_timestamp_seconds", what, last_night)
        yield from gauge("amun_erasures_pending", "Forgotten people's requests that are not erased.", status.to_erase)
        yield from gauge("amun_erasures_overdue", "Those past their due date.", status.erase_overdue)

    def _tell_night(self, night: Night | None) -> Iterator[Metric]:
        if night is not None:
            yield from self._gauge("amun_night_end_timestamp_seconds", "When a night ended last.", night.ended_at)
            what = "When a night without a failure ended last."
            yield from self._gauge("amun_night_last_success_timestamp_seconds", what, night.good_at)

    def _tell_waves(self, waves: list[Wave], status: Status) -> Iterator[Metric]:
        counts = CounterMetricFamily("amun_waves", "Waves that have ended.", labels=["model", "state"])
        # what was parked so as waits or had nothing to do has not failed
        states = Counter(wave.state if wave.state != "parked" else wave.parked_as or "parked" for wave in waves)
        for state in ("complete", *get_args(ParkedAs)):
            counts.add_metric([self._workspace.model, state], states[state])
        yield counts
        opened_at = None if status.open_wave is None else status.open_wave.opened_at
        what = "When the wave was opened that is open."
        yield from self._gauge("amun_wave_open_timestamp_seconds", what, opened_at)
        complete = [wave for wave in waves if wave.state == "complete" and wave.kind == "deletion"]
        if complete:
            yield from self._tell_wave(complete[-1])

    def _tell_wave(self, wave: Wave) -> Iterator[Metric]:
        gauge = self._gauge
        yield from gauge("amun_wave_number", "Number of the last wave that is complete.", wave.number)
        yield from gauge("amun_wave_last_success_timestamp_seconds", "When it was complete.", wave.closed_at)
        yield from gauge("amun_wave_requests", "Requests that it has honoured.", wave.num_requests)
        if (summary := wave.summary) is None:
            return
        test = summary.test
        yield from gauge("amun_wave_compute_seconds", "That its stages have computed.", summary.stage_seconds)
        yield from gauge("amun_wave_attempts", "Attempts that it made.", len(summary.decisions))
        yield from gauge("amun_wave_accuracy_ratio", "Of its model, on the test half.", test.accuracy)
        what = "Share of the base's memory of its people that is left: 0 is exact retraining."
        yield from gauge("amun_wave_memory_left_ratio", what, test.memory_left)
        yield from gauge("amun_wave_memory_left_upper_ratio", "Bound of it, 95 %.", test.memory_left_upper)
        what = "Its people who stand out further than the worst of so many may by chance."
        yield from gauge("amun_wave_people_standing_out", what, test.num_standing_out)


def make_registry(workspace: Workspace) -> CollectorRegistry:
    """Returns the registry of a workspace's metrics, and of nothing else."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ModelCollector(workspace))
    return registry


def write_metrics(workspace: Workspace) -> str:
    """Returns all metrics as Prometheus' text format has them (0.0.4), which a textfile collector reads."""
    from prometheus_client.exposition import generate_latest

    return generate_latest(make_registry(workspace)).decode()


def start_metrics(workspace: Workspace, host: str, port: int) -> Callable[[], None]:
    """Serves the metrics at `/metrics`, as text or as OpenMetrics, as it is asked for; returns what stops that.

    Raises:
        OSError: the port cannot be had.
    """
    from prometheus_client.exposition import start_http_server

    server, thread = start_http_server(port, host, make_registry(workspace))

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
