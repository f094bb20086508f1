"""What a stage and the process that started it tell each other, beside command and exit code."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

RESULT_FILE_VARIABLE = "AMUN_STAGE_RESULT"
FORCED_VARIABLE = "AMUN_STAGE_FORCED"


@dataclass(frozen=True)
class Work:
    """What a stage has done in its seconds, by which the next one like it is foreseen.

    Attributes:
        num_samples: that it has trained on, searched for or looked at. What a killed run had done before is not in it.
        epochs: how often.
    """

    num_samples: int
    epochs: int = 1


@dataclass(frozen=True)
class StageResult:
    """What became of a stage.

    Attributes:
        exit_code: 0, or the error's.
        error: the error's one line; empty on success.
        seconds: time the stage's own function took, imports and waiting for locks left out.
        short: the error's line without names of people's files, if it has any.
        work: done meanwhile; None where the stage is one whose time goes by no number of samples.
        machine: that computed, as `describe_device` names it; empty where that was not told.
    """

    exit_code: int
    error: str
    seconds: float
    short: str = ""
    work: Work | None = None
    machine: str = ""

    def write(self, path: Path) -> None:
        """Writes the result as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "StageResult":
        """Returns what `write` wrote; a stage of an earlier release tells neither work nor machine."""
        told = json.loads(path.read_text(encoding="utf-8"))
        work = told.pop("work", None)
        return cls(**told, work=None if work is None else Work(**work))


UP_TO_DATE = StageResult(0, "", 0.0)
