"""`amun alert`: who is told when something needs a person, and what they were told."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import typer

from amun.core.errors import AmunError, InputError
from flows.cli import shared

app = typer.Typer(help="Who is told when something needs a person.", no_args_is_help=True)


@app.command("list")
def list_alerts(
    columns: shared.Columns = None,
    limit: shared.Limit = None,
    page: shared.PageNumber = 1,
    is_all: shared.IsAll = False,
    search: shared.Search = "",
    as_json: shared.AsJson = False,
) -> None:
    """List what was told, over which channels and when, the latest last."""
    from flows.pages import alert_table

    view = shared.read_view(columns, limit, page, is_all, search, as_json=as_json)
    workspace = shared.open_here()
    with shared.open_ledger() as ledger:
        alerts = ledger.list_alerts(workspace.model)
    chosen, num_alerts = alert_table.choose_alerts(alerts, view)
    shared.show(chosen, as_json, lambda listed: alert_table.print_list(listed, view, num_alerts))


@app.command("check")
def check_alerts() -> None:
    """Tell what needs a person and was not told today; for cron, so that it works where nothing else runs any more."""
    from tasks.tools.channels import list_channels
    from tasks.workspace.alert_finding import find_alerts
    from tasks.workspace.alert_kinds import advise
    from tasks.workspace.alerting import tell_alerts, tell_failures

    workspace, now = shared.open_here(), datetime.now(UTC)
    with shared.open_ledger() as ledger:
        found = find_alerts(workspace, ledger, now, is_night_over=False)
        tellings = tell_alerts(workspace, ledger, found, now)
    wanted = [alert for alert in found if alert.kind not in workspace.params.alerts.mute]
    for alert in wanted:
        print(f"{alert.kind}: {alert.line}; {advise(alert.kind, alert.object)}")
    if not wanted:
        print("nothing to tell")
    failures = tell_failures(tellings)
    for line in failures:
        print(f"amun: {line}", file=sys.stderr)
    if wanted and not list_channels(workspace.params.alerts):
        raise AmunError("nobody is told of this: there is no channel; docs/alerts.md says how to name one")
    if failures:
        raise typer.Exit(1)


@app.command("test")
def test_channels() -> None:
    """Send a message over every channel, and a heartbeat where it has an address, and say what arrived."""
    from tasks.tools.channels import list_channels, run_bounded
    from tasks.tools.webhook import beat, has_heartbeat
    from tasks.workspace.alerting import HEARTBEAT, describe_channel, write_test_message

    workspace, now = shared.open_here(), datetime.now(UTC)
    channels = list_channels(workspace.params.alerts)
    if not channels and not has_heartbeat():
        raise InputError("there is no channel to test; docs/alerts.md says how to name one")
    message = write_test_message(workspace.model, now)
    calls: dict[str, Callable[[], str]] = {channel.name: partial(channel.send, message) for channel in channels}
    if has_heartbeat():
        calls[HEARTBEAT] = beat
    names = {channel.name: describe_channel(channel) for channel in channels}
    ended = run_bounded(calls)
    for name in calls:
        is_told, said, is_partial = ended[name]
        outcome = "arrived, but not for everybody" if is_partial else "arrived" if is_told else "failed"
        print(f"{names.get(name, name)}: {outcome}: {said}")
    if num_failed := sum(not one.is_done or one.is_partial for one in ended.values()):
        raise AmunError(f"{num_failed} of {len(ended)} failed")
