"""Where every file lives, relative to the workspace."""

import hashlib
from pathlib import Path

STATE = Path(".amun")
SECRET = STATE / "secret"
KEYS = STATE / "keys.db"
KEK = STATE / "kek"
RECEIPT_KEY = STATE / "receipt-key"
RECEIPT_LOCK = STATE / "receipts.lock"
STAGE_LOCK = STATE / "stage.lock"
LEDGER = STATE / "ledger.db"
REGISTRY = STATE / "mlflow.db"
REGISTRY_FILES = STATE / "mlartifacts"
MIRRORS = STATE / "mirrors"
COMPARISON = STATE / "comparison.json"
PARTIAL_ADVERSARIAL = STATE / "adversarial"
PARTIAL_REFERENCES = STATE / "references"
KEPT_RETRAINED = STATE / "retrained"
BENCHMARKS = STATE / "benchmark"
SELFTEST = STATE / "selftest"
SERVERS = STATE / "servers.json"
REPORT = STATE / "report.html"
REPORT_LOCK = STATE / "report.lock"
SERVE_LOCK = STATE / "serve.lock"
INIT_LOCK = STATE / "init.lock"
BACKUP = STATE / "backup.json"
SCRUB = STATE / "scrub.json"
RESTORING = STATE / "restoring.json"

PARAMS = Path("params.yaml")
WORKSPACE = Path("workspace.json")
CUSTOM = Path("custom")

RECEIPT_CHAIN = Path("receipts/chain.jsonl")

EXCLUSIONS = Path("data/exclusions.json")
TRAIN = Path("data/train.parquet")
CALIBRATION = Path("data/calibration.parquet")
TEST = Path("data/test.parquet")

BASE_MODEL = Path("models/base.safetensors")
ADOPTED = Path("models/adopted.json")
ADOPTED_WEIGHTS = Path("models/adopted.safetensors")
AUDIT_LOGITS = Path("references/audit_logits.parquet")
TARGET_LOGITS = Path("references/target_logits.parquet")
AUDIT_INCLUSION = Path("references/audit_inclusion.parquet")
TARGET_INCLUSION = Path("references/target_inclusion.parquet")
TARGET_WEIGHTS = Path("references/target_weights.safetensors")

WAVE = Path("wave/wave.json")
ATTEMPT = Path("wave/attempt.json")
PLAN = Path("wave/plan.json")
DECISIONS = Path("wave/decisions.json")
FORGOTTEN = Path("wave/forgotten.json")
WAVE_BASE = Path("wave/base.safetensors")
ADVERSARIAL = Path("wave/adversarial.parquet")
HELD_OUT_ADVERSARIAL = Path("wave/held_out_adversarial.parquet")
UNLEARNED = Path("wave/unlearned.safetensors")

PREPARE_METRICS = Path("metrics/prepare.json")
TRAIN_METRICS = Path("metrics/train.json")
POWER_METRICS = Path("metrics/power.json")
ADVERSARIAL_METRICS = Path("metrics/adversarial.json")
UNLEARN_METRICS = Path("metrics/unlearn.json")
AUDIT_METRICS = Path("metrics/audit.json")
REPORT_METRICS = Path("metrics/report.json")

TRAIN_EPOCHS = Path("plots/train_epochs.csv")
UNLEARN_EPOCHS = Path("plots/unlearn_epochs.csv")
ROC = Path("plots/roc.csv")
CONFIDENCE = Path("plots/confidence.csv")


def is_bucket(root: str | None) -> bool:
    """Tells whether a source (`data.root`) lies on S3."""
    return root is not None and root.startswith("s3://")


def locate_mirror(root: str) -> Path:
    """Returns the folder that mirrors a source on S3: one of its own for each address."""
    return MIRRORS / hashlib.sha256(root.encode()).hexdigest()[:16]


def locate_manifest(root: str) -> Path:
    """Returns the file that says what the complete mirror of a source on S3 holds."""
    return locate_mirror(root).with_suffix(".json")


def locate_journal(root: str) -> Path:
    """Returns the file that is there while a mirror is brought up to date."""
    return locate_mirror(root).with_suffix(".journal")


def locate_source(root: str | None) -> Path | None:
    """Returns the folder from which a source (`data.root`) is read; None where it needs none."""
    if root is None:
        return None
    return locate_mirror(root) if is_bucket(root) else Path(root)
