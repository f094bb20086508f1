"""What a stage and the process that started it tell each other, beside command and exit code."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

RESULT_FILE_VARIABLE = "AMUN_STAGE_RESULT"
FORCED_VARIABLE = "AMUN_STAGE_FORCED"


@dataclass(frozen=True)
class StageResult:
    """What became of a stage.

    Attributes:
        exit_code: 0, or the error's.
        error: the error's one line; empty on success.
        seconds: time the stage's own function took, imports and waiting for locks left out.
        short: the error's line without names of people's files, if it has any.
    """

    exit_code: int
    error: str
    seconds: float
    short: str = ""

    def write(self, path: Path) -> None:
        """Writes the result as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "StageResult":
        """Returns what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
