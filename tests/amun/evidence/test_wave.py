"""The files that say what a wave is about."""

from pathlib import Path

import pytest

from amun.core.errors import AmunError, InputError
from amun.core.paths import ATTEMPT, FORGOTTEN, WAVE
from amun.evidence.wave import (
    Attempt,
    ForgottenWave,
    Wave,
    list_excluded,
    read_attempt,
    read_forgotten,
    read_wave,
    write_json,
)

FIRST = ForgottenWave(number=1, subject_keys=["p"], forget_ids=["a", "b"], held_out_ids=["h"])
SECOND = ForgottenWave(number=2, subject_keys=["q"], forget_ids=["c"], held_out_ids=[])
THIRD = ForgottenWave(number=3, subject_keys=["r"], forget_ids=["d"], held_out_ids=["i"])
THE_WAVE = Wave(
    number=3,
    model="digits-cnn",
    kind="deletion",
    secret_fingerprint="1" * 32,
    base_version=3,
    base_digest="0" * 32,
    yardstick=0.9,
    forgetting=THIRD,
    forgotten=[FIRST, SECOND],
)


def test_wave_reads_as_written(tmp_path: Path) -> None:
    write_json(tmp_path / WAVE, THE_WAVE)
    first = (tmp_path / WAVE).read_bytes()
    assert read_wave(tmp_path) == THE_WAVE
    write_json(tmp_path / WAVE, read_wave(tmp_path))
    assert (tmp_path / WAVE).read_bytes() == first
    assert [path.name for path in (tmp_path / WAVE).parent.iterdir()] == [WAVE.name]


def test_twins_stand_in_a_file_only_where_there_are_any(tmp_path: Path) -> None:
    write_json(tmp_path / FORGOTTEN, [FIRST])
    assert (tmp_path / FORGOTTEN).read_text(encoding="utf-8").count(": ") == 4, "as earlier versions wrote it"
    shared = FIRST.model_copy(update={"shared_ids": ["b"]})
    write_json(tmp_path / FORGOTTEN, [shared, SECOND.model_copy(update={"twin_ids": ["c"]})])
    assert [wave.shared_ids + wave.twin_ids for wave in read_forgotten(tmp_path)] == [["b"], ["c"]]
    assert list_excluded(read_forgotten(tmp_path)) == ["c", "p", "q"], "what stays with others is no reason"
    assert THE_WAVE.model_copy(update={"forgetting": shared}).telling_ids == ["a"]
    assert THE_WAVE.telling_ids == ["d"]


def test_canaries_stand_in_a_file_only_where_there_are_any_and_no_base_has_them() -> None:
    with_canary = FIRST.model_copy(update={"canary_keys": ["nobody"], "canary_ids": ["a"]})
    assert with_canary.model_dump().keys() - FIRST.model_dump().keys() == {"canary_keys", "canary_ids"}
    assert list_excluded([with_canary, SECOND]) == sorted(["nobody", *list_excluded([FIRST, SECOND])])
    assert with_canary.people_keys == [*FIRST.subject_keys, "nobody"]
    taking = THE_WAVE.model_copy(update={"forgetting": with_canary})
    assert taking.telling_ids == ["a", "b"], "they can tell"
    assert (taking.figure_ids, taking.forgetting.asked_ids) == (["a"], ["b"]), "figures are of them alone"


def test_latest_forgotten_come_first_and_all_are_gone() -> None:
    assert THE_WAVE.forget_ids == ["d"]
    assert sorted(THE_WAVE.gone_ids) == ["a", "b", "c", "d", "h", "i"]


def test_attempt_reads_as_written(tmp_path: Path) -> None:
    write_json(tmp_path / ATTEMPT, Attempt(attempt=2))
    assert read_attempt(tmp_path).attempt == 2


def test_forgotten_are_read_as_written_and_never_guessed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"forgotten\.json is missing.*`git checkout HEAD --"):
        read_forgotten(tmp_path)
    for forgotten in ([], [FIRST, SECOND]):
        write_json(tmp_path / FORGOTTEN, forgotten)
        assert read_forgotten(tmp_path) == forgotten
    for content in ("", "[{", "{}", '[{"number": 1}]'):
        (tmp_path / FORGOTTEN).write_text(content, encoding="utf-8")
        with pytest.raises(AmunError, match=r"forgotten\.json is damaged"):
            read_forgotten(tmp_path)


def test_missing_wave_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="amun init"):
        read_wave(tmp_path)


@pytest.mark.parametrize("content", ["{", "{}", '{"attempt": "two"}', '{"attempt": 1, "more": 2}'])
def test_damaged_file_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / ATTEMPT).parent.mkdir()
    (tmp_path / ATTEMPT).write_text(content, encoding="utf-8")
    with pytest.raises(AmunError, match=r"attempt\.json is damaged"):
        read_attempt(tmp_path)
