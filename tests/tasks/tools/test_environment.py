"""What every tool is started with, whatever the shell that starts us says."""

import os
import subprocess
import sys

PROGRAM = """
import locale, sys
from tasks.tools.environment import ensure_utf8
ensure_utf8()
print(locale.getpreferredencoding(False).lower(), *sys.argv[1:])
"""


def test_other_locales_get_utf8() -> None:
    foreign = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, "of", "its own"],
        env=os.environ | foreign,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert finished.stdout.split(maxsplit=1) == ["utf-8", "of its own\n"]
