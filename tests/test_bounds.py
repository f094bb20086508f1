"""A night takes the request that is due first, and leaves the others to later ones."""

from typing import Any

from tests.workspaces import Site, list_people, set_key

LEFT = "1 request waits for a later night, as `wave` in params.yaml bounds one"


def test_a_bounded_night_takes_who_is_due_first(site: Site) -> None:
    trained, held_out = list_people(site)
    (later,) = site.load("request", "add", held_out[1], "--law", "ccpa")
    (sooner,) = site.load("request", "add", trained[-1])

    def change(params: Any) -> None:
        set_key(params, "wave.max_requests", 1)
        # one person shows nothing; but the wave is full, and more requests would make it no larger
        set_key(params, "gate.insufficient", "wait")

    site.change_params(change)
    pace = {"num_tonight": 1, "num_later": 1, "num_nights": 2, "num_forced": 0, "is_full": True}
    assert site.load("status")["pace"] == pace
    plan = site.load("wave", "plan")
    assert plan["told"].startswith("wave 2 would forget 1 person: ")
    assert plan["told"].endswith(LEFT)
    assert (plan["planned"], plan["wait_reason"]) == ([3], "")

    said = site.run("amun", "wave", "run")
    assert f"\n  {LEFT}\n" in said
    assert f"retrained at once: {plan['decision']}" in said
    outcomes = {request["request_id"]: request["outcomes"][0] for request in site.load("request", "list")}
    assert outcomes[sooner["request_id"]]["wave_number"] == 2
    assert outcomes[later["request_id"]]["state"] == "pending"
