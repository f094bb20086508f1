"""The stages of `dvc.yaml`, in the order in which they run."""

BASE_STAGES = ("prepare", "train", "references")
WAVE_STAGES = ("power", "adversarial", "unlearn", "audit", "report")
