"""How single figures are worded, wherever a person reads them."""

from amun.evidence.figures import ModelFigures

TOO_FEW = "too few samples to say"


def show_percent(value: float | None) -> str:
    """Returns an accuracy for a person."""
    return TOO_FEW if value is None else f"{value:.1%}"


def show_auc(value: float | None) -> str:
    """Returns an FT AUC or a trace for a person."""
    return TOO_FEW if value is None else f"{value:.3f}"


def show_share(value: float | None) -> str:
    """Returns memory left for a person, without its bounds."""
    return TOO_FEW if value is None else f"{value:.2f}"


def tell_noticed(figures: ModelFigures) -> str:
    """Returns what a night would have noticed; empty where it is not known, or nothing."""
    if figures.noticed is None:
        return ""
    return f"{figures.noticed:.0%} of the people not forgotten at all, with a chance of 80%"


def show_left(figures: ModelFigures, missing: str = TOO_FEW) -> str:
    """Returns memory left with its bounds for a person, `0.05 [-0.30, 0.40]`, or what to say where it is missing."""
    if figures.memory_left is None or figures.bounds is None:
        return missing
    lower, upper = figures.bounds
    return f"{figures.memory_left:.2f} [{lower:.2f}, {upper:.2f}]"
