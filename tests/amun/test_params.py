"""`params.yaml`: what is refused, and the one line that says why."""

import re
from pathlib import Path

import pytest

from amun.core.errors import InputError
from amun.params import load_params
from tests.imports import ROOT

SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")
FIRST = "{method: never_seen, learning_rate: 0.05, forget_weight: 2}"


def test_shipped_parameters_are_read(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED, encoding="utf-8")
    assert load_params(path).unlearning.attempts[-1].method == "retrain"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "  momentum: 0.9\n",
            "  momentun: 0.9\n",
            r"training.momentun: unknown key.*training.momentum|training.momentum: missing",
        ),
        (
            "  weight_decay: 0.0005\n",
            "  weight_decay: 5e-4\n",
            "training.weight_decay: YAML reads 5e-4 as text; write 0.0005$",
        ),
        ("  weight_decay: 0.0005\n", "  weight_decay: 1e-7\n", "YAML reads 1e-7 as text; write 0.0000001$"),
        (
            "  epsilon: 0.04",
            "  epsilon: -0.04",
            "adversarial.pgd_doubling.epsilon: input should be greater than 0, found -0.04",
        ),
        (
            "  max_epsilon: 41.0",
            "  max_epsilon: .inf",
            "adversarial.pgd_doubling.max_epsilon: input should be a finite number",
        ),
        ("  epochs: 60\n", "  epochs: 60\n  epochs: 6\n", "key epochs stands twice"),
        (
            re.search("  twins: .*\n", SHIPPED)[0],  # type: ignore[index]
            "",
            "data.twins: missing; every key must be there, and keep is what to begin with$",
        ),
        (
            re.search("  fallback_gradient_norm: .*\n", SHIPPED)[0],  # type: ignore[index]
            "",
            "training.fallback_gradient_norm: missing; every key must be there, and null is what to begin with",
        ),
        (
            re.search("erasure:\n.*\n.*\n", SHIPPED)[0],  # type: ignore[index]
            "",
            "erasure: missing; every key must be there, and {waiting_days: 7, scan: true} is what to begin with$",
        ),
        (
            re.search("  policy: .*\n", SHIPPED)[0],  # type: ignore[index]
            "",
            "unlearning.policy: missing; every key must be there, and in_order is what to begin with$",
        ),
        (
            re.search("wave: .*\n.*\n.*\n", SHIPPED)[0],  # type: ignore[index]
            "",
            "wave: missing; every key must be there, and {max_requests: null, max_forget_share: null} is what to begin",
        ),
        ("  max_requests: null", "  max_requests: 0", "wave.max_requests: input should be greater than or equal to 1"),
        ("  max_forget_share: null", "  max_forget_share: 1.5", "wave.max_forget_share: input should be less than or"),
        ("  max_forget_share: null", "  max_forget_share: 0", "wave.max_forget_share: input should be greater than 0"),
        ("  policy: in_order", "  policy: cheap", "unlearning.policy: input should be 'in_order' or 'cheapest'"),
        ("  waiting_days: 7", "  waiting_days: 25", "erasure.waiting_days: input should be less than or equal to 24"),
        ("  waiting_days: 7", "  waiting_days: -1", "erasure.waiting_days: input should be greater than or equal to 0"),
        ("  twins: keep", "  twins: forget", "data.twins: input should be 'keep' or 'forget_too', found 'forget'"),
        ("  train_fraction: 0.5", "  train_fraction: 0.8", "must sum to less than 1"),
        ("  num_audit: 16", "  num_audit: 15", "references.num_audit: input should be a multiple of 2"),
        ("{method: retrain}", "{method: amun, learning_rate: 0.1}", "the last one must be exact"),
        ("{method: retrain}", "{method: retrain, learning_rate: 0.1}", "retrain takes no learning_rate"),
        (FIRST, "{method: amun}", "amun needs a learning_rate"),
        (FIRST, "{method: amnesia, learning_rate: 0.03}", "unknown method 'amnesia'"),
        (
            FIRST,
            "{method: adversarial, learning_rate: 0.03}",
            "attempts 1: adversarial is an ablation: it shows what does not work",
        ),
        (
            FIRST,
            "{method: 'custom.mine:forget', learning_rate: 0.03}",
            "unlearning.attempts: cannot import 'custom.mine:forget': ModuleNotFoundError",
        ),
        (
            "  insufficient: retrain",
            "  pool_samples: 300\n  insufficient: retrain",
            "pool_samples: is gone: .* remove it$",
        ),
        ('cron: "0 3 * * *"', 'cron: "0 0 3 * * *"', "schedule.cron: 6 fields, where 5 are meant"),
        (
            "earlier_people: 200",
            "earlier_people: 11",
            "audit.earlier_people: of fewer than 12 people nothing is computed",
        ),
        (
            "  canaries: 0",
            "  canaries: 11",
            "audit.canaries: fewer than 12 canaries show nothing; 0 takes none, found 11",
        ),
        ("  canaries: 0", "  canaries: 40", "audit.canaries is 40, but data.canaries names nobody"),
        *(
            ("  canaries: null", f"  canaries: {wrong}", rf"data.canaries: write null, a file .*, found {shown}$")
            for wrong, shown in (("0", "0"), ("''", "''"), ("true", "True"), ("1.5", r"1\.5"), ("[ann]", r"\['ann'\]"))
        ),
        ("num_retrained: 0", "num_retrained: 3", "references.num_retrained: fewer than 4 models bound nothing; 0"),
        ("num_retrained: 0", "num_retrained: -1", "references.num_retrained: "),
        ('cron: "0 3 * * *"', "cron: daily", "schedule.cron: 1 field, where 5 are meant"),
        ("  num_target: 4", "  num_target: 0", "attempts 1: never_seen needs target references"),
        ("  remain: use", "  remain: none", "unlearning.attempts 2: retrain needs the remain set"),
    ],
)
def test_faulty_key_is_named_in_one_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert old in SHIPPED
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=line) as refused:
        load_params(path)
    assert "\n" not in str(refused.value)


def test_methods_that_need_the_references_themselves_need_them_kept(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    first = "    - {method: amun_soft, learning_rate: 0.03, label_mix: 0}\n"
    soft = re.sub(r"    - \{method: never_seen, .*\n", first, SHIPPED)
    path.write_text(soft, encoding="utf-8")
    with pytest.raises(InputError, match=r"attempts 1: amun_soft needs .* not kept \(references.keep_weights\)"):
        load_params(path)
    kept = soft.replace("keep_weights: false", "keep_weights: true")
    path.write_text(kept, encoding="utf-8")
    assert load_params(path).unlearning.attempts[0].method == "amun_soft"
    path.write_text(kept.replace("num_target: 4", "num_target: 0"), encoding="utf-8")
    with pytest.raises(InputError, match=r"amun_soft needs target references, but references\.num_target is 0"):
        load_params(path)


def test_remain_none_needs_a_gate_that_does_not_retrain(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    without = SHIPPED.replace("  remain: use", "  remain: none").replace(
        "    - {method: retrain}", "    # - {method: retrain}"
    )
    path.write_text(without, encoding="utf-8")
    with pytest.raises(InputError, match=r"gate.insufficient: retrain .* write pass_with_warning"):
        load_params(path)
    with_warning = without.replace("insufficient: retrain", "insufficient: pass_with_warning")
    path.write_text(with_warning, encoding="utf-8")
    assert load_params(path).data.remain == "none"
    path.write_text(with_warning.replace("policy: in_order", "policy: cheapest"), encoding="utf-8")
    with pytest.raises(InputError, match=r"unlearning.policy: cheapest .* data.remain is none; write in_order"):
        load_params(path)


def test_file_that_is_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"model: \xff\xfe")
    with pytest.raises(InputError, match="not UTF-8 text"):
        load_params(path)


def test_a_key_that_would_end_the_line_is_told_in_one(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED + '"\\u2028": 1\n', encoding="utf-8")
    with pytest.raises(InputError) as refused:
        load_params(path)
    assert refused.value.told == r"params.yaml: '\u2028': unknown key; remove it or correct its spelling"
