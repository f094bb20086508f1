"""What tonight is expected to take, by what the stages of earlier waves took; and a night that goes by it."""

import json
from typing import Any

from amun.core.paths import PLAN, TRAIN
from tests.readme import list_commands
from tests.workspaces import Site, list_people


def find_summary(site: Site, number: int) -> dict[str, Any]:
    """Returns what the ledger keeps of a wave, whose stages have all told what they took."""
    summary: dict[str, Any] = site.load("wave", "show", str(number))["summary"]
    assert all(cost["seconds"] > 0 and cost["machine"] for cost in summary["costs"])
    return summary


def test_waves_keep_what_their_stages_took(wave_one: Site) -> None:
    num_train, summary = len(wave_one.read_owners(TRAIN)), find_summary(wave_one, 1)
    base = {cost["stage"]: cost for cost in find_summary(wave_one, 0)["costs"]}
    assert (base["train"]["num_samples"], base["train"]["epochs"]) == (num_train, 12)
    assert base["unlearn"]["num_samples"] is None, "the base was copied"
    costs = summary["costs"]
    assert {cost["stage"] for cost in costs} == {"power", "adversarial", "unlearn", "audit", "report"}
    made = [cost for cost in costs if cost["stage"] == "unlearn"][-1]
    assert (made["method"], made["num_samples"], made["epochs"]) == ("amun", num_train, 2)
    (searched,) = (cost["num_samples"] for cost in costs if cost["stage"] == "adversarial")
    # about as many held-out people's as are forgotten
    assert summary["num_forget"] < searched < 3 * summary["num_forget"]
    assert sum(cost["seconds"] for cost in costs) < summary["stage_seconds"] + 0.1


def test_plan_without_requests_tells_what_was_measured(wave_one: Site) -> None:
    plan = wave_one.load("wave", "plan")
    sums = plan["sums"]
    assert (plan["told"], plan["planned"], sums["is_weighable"]) == ("no request is pending", [], False)
    assert [attempt["num_made"] for attempt in sums["attempts"]] == [1, 1, 0]
    assert [attempt["num_passed"] for attempt in sums["attempts"]] == [0, 1, 0]
    assert all(attempt["seconds"] > 0 and 0 < attempt["chance"] <= 1 for attempt in sums["attempts"])
    (command,) = list_commands("scale.md#what-tonight-takes")
    said = wave_one.run(*command.split())
    assert "no request is pending" in said
    assert not wave_one.load("wave", "show", "1")["summary"]["was_resumed"]
    assert "break-even" not in said
    assert f"measured on {sums['measured']['train']['machine']}" in said


def test_a_night_is_retrained_at_once_where_attempts_take_longer(site: Site) -> None:
    site.run("amun", "request", "add", *list_people(site)[0][:3])
    site.change_params(lambda params: params["unlearning"].update(epochs=500, policy="cheapest"))
    plan = site.load("wave", "plan")
    sums = plan["sums"]
    assert plan["planned"] == [3]
    assert sums["in_order_seconds"] > sums["at_once_seconds"] > sums["shared"]["search"] > 0
    assert sums["tonight_seconds"] == sums["at_once_seconds"]
    assert sums["break_even"] is None or sums["break_even"] > sums["tonight"]["num_train"]

    assert f"retrained at once: {plan['decision']}" in site.run("amun", "wave", "run")
    planned = json.loads((site.root / PLAN).read_text(encoding="utf-8"))
    assert (planned["policy"], planned["attempts"], planned["reason"]) == ("cheapest", [3], plan["decision"])
    assert site.git("status", "--porcelain") == ""
    summary = find_summary(site, 2)
    assert summary["plan"] == planned
    assert [cost["method"] for cost in summary["costs"] if cost["stage"] == "unlearn"] == ["retrain"]
    assert planned["reason"] in " ".join(site.run("amun", "wave", "show", "2").split())
