"""The fault suite counts what it does, does what is asked for, and goes on where it was killed."""

from collections import Counter
from pathlib import Path

from tests.faults.kills import kill_at_any_moment, kill_in_steps
from tests.faults.owners import pause_the_owner
from tests.faults.plan import Asked, Progress, choose_next
from tests.faults.tally import Tally

FAULTS = (pause_the_owner, kill_in_steps, kill_at_any_moment)
NUM_KILLS = {"kill_in_steps": 20, "kill_at_any_moment": 4}


def count_wave(kind: str) -> Tally:
    """Returns what comes of a wave in which nothing is wrong."""
    kills = NUM_KILLS.get(kind, 0)
    return Tally(kills=Counter({kind: kills} if kills else {}), kinds=Counter([kind]), waves=1)


def run_all(asked: Asked, num_waves: int) -> Tally:
    """Returns what comes of as many waves as are asked for, and of so many at most."""
    done = Tally()
    while done.waves < num_waves and (fault := choose_next(asked, FAULTS, done, Counter())):
        done.add(count_wave(fault.__name__))
    return done


def test_as_much_of_each_kind_is_done_as_is_asked_for() -> None:
    done = run_all(Asked(kills=100, moments=9, others=2), 100)
    assert done.kinds == {"pause_the_owner": 2, "kill_in_steps": 5, "kill_at_any_moment": 3}
    assert done.kills == {"kill_in_steps": 100, "kill_at_any_moment": 12}
    assert run_all(Asked(moments=9), 100).kinds == {"kill_at_any_moment": 3}


def test_without_a_number_the_kinds_come_in_turn() -> None:
    assert run_all(Asked(minutes=1), 7).kinds == {"pause_the_owner": 3, "kill_in_steps": 2, "kill_at_any_moment": 2}


def test_waves_that_are_under_way_are_not_begun_twice() -> None:
    asked = Asked(others=1, kills=1)
    assert choose_next(asked, FAULTS, Tally(), Counter(["pause_the_owner"])) is kill_in_steps
    assert choose_next(asked, FAULTS, Tally(), Counter(["pause_the_owner", "kill_in_steps"])) is None


def test_numbers_are_read_and_time_is_no_bound_then() -> None:
    assert Asked.read({}) == Asked(minutes=10)
    assert Asked.read({"MINUTES": "60", "KILLS": "", "LANES": "2"}) == Asked(minutes=60, lanes=2)
    assert Asked.read({"KILLS": "1000", "OTHERS": "1", "SEED": "3"}) == Asked(kills=1000, others=1, seed=3)


def test_progress_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    first = Progress(path)
    assert [first.begin("kill_in_steps"), first.begin("kill_in_steps"), first.begin("pause_the_owner")] == [0, 1, 0]
    first.keep("kill_in_steps", 1, count_wave("kill_in_steps"))
    wrong = count_wave("pause_the_owner")
    wrong.wrong, wrong.lost, wrong.told = 1, 2, ["what was wrong"]
    first.keep("pause_the_owner", 0, wrong)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "kill_in_st')
    second = Progress(path)
    assert second.tally == first.tally
    assert str(second.tally).startswith("20 kills, 2 waves, 0 inputs: 2 lost, 0 twice, 1 wrong\n")
    # the one that had not ended is made anew
    assert [second.begin("kill_in_steps"), second.begin("kill_in_steps"), second.begin("pause_the_owner")] == [0, 2, 1]
    assert not second.has("kill_at_any_moment")
    second.keep("kill_in_steps", 0, count_wave("kill_in_steps"))
    assert Progress(path).tally.kills == {"kill_in_steps": 40}


def test_what_ends_a_block_is_counted_as_wrong() -> None:
    tally = Tally()
    with tally.judge("here"):
        raise ValueError("a fault")
    assert (tally.wrong, tally.told[0].splitlines()[-1]) == (1, "ValueError: a fault")
    assert tally.told[0].startswith("here: ")
