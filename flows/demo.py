"""The demo: a workspace in `.demo/`, a base model on real images, three waves of deletion, a table of what happened.

Two nights are of many people, and can show that these are forgotten. One is of two people, and cannot. The demo types
the commands that a user would. It chooses whom to forget, and sets two parameters, because a model of clean
digits remembers little of anybody. Run as `python -m flows.demo`.
"""

import hashlib
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amun.core.errors import AmunError, InputError, choose_exit_code
from amun.core.keys import SECRET_VARIABLE
from amun.core.params import read_params
from amun.core.paths import LEDGER, PARAMS, TRAIN
from amun.ledger import Ledger, Wave
from amun.receipts.signing import RECEIPT_KEY_VARIABLE
from amun.store.store import read_owners
from amun.vault.database import KEYS_VARIABLE
from amun.vault.kek import KEK_VARIABLE
from tasks.tools import dvc
from tasks.tools.environment import LEDGER_VARIABLE, set_environment
from tasks.tools.git import find_root, list_changes, run_git
from tasks.tools.prefect_server import provide_prefect

FOLDER = ".demo"
# training samples of the two large waves, of about 75 people each, in which exact retraining itself would pass
NUM_SAMPLES = (170, 170)
NUM_IN_SMALL_WAVE = 2  # people
# Changes of `params.yaml`, as regular expressions. Before the base: there are more people with fewer images each, and
# the digits are noisy: of clean ones a model remembers so little that two nights like these could show nothing. In the
# first wave the paper's method comes first; then it is out.
OF_THE_BASE = {
    r"(?m)^(  subject_max_samples: )\S+": r"\g<1>5",
    r"(?m)^(  options: )\{\}(?= # of the source)": r"\g<1>{noise: 0.3}",
    r"(?m)^    # (- \{method: amun, )": r"    \1",
}
OF_WAVE_2 = {r"(?m)^    (- \{method: amun, )": r"    # \1"}
SEED = 0
AFRESH = f"to start afresh: rm -rf {FOLDER} && make demo"
# what a workspace has committed is its own, not the project's
_WORKSPACE_FILES = ("dvc.lock", "wave", "metrics", "plots", "workspace.json")


def main() -> None:
    """Runs the demo, or goes on with it where it was interrupted."""
    try:
        run_demo(find_root(Path.cwd()))
    except AmunError as error:
        print(f"amun: {error}", file=sys.stderr)
        sys.exit(choose_exit_code(error))


def run_demo(source: Path) -> None:
    """Runs the demo of the project at `source`."""
    root = source / FOLDER
    ensure_clone(source, root)
    change_params(root, "The parameters of the demo", OF_THE_BASE)
    # the demo is its own world: it touches no ledger, registry or server of the user's
    own = (LEDGER_VARIABLE, SECRET_VARIABLE, KEYS_VARIABLE, KEK_VARIABLE, RECEIPT_KEY_VARIABLE)
    for name in (*own, "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME"):
        os.environ.pop(name, None)
    set_environment(root)
    waves, num_large = list_complete_waves(root), len(NUM_SAMPLES)
    if len(waves) > num_large + 1 and all(wave.comparison for wave in waves[1 : num_large + 1]):
        print(f"the demo is finished; {AFRESH}\n")
        show_result(root)
        return
    provide_prefect(root).wait()
    if not waves:
        type_command(root, "init")
    for number in range(1, num_large + 1):
        done = {wave.number: wave for wave in list_complete_waves(root)}
        if number not in done:
            if number == 2:
                change_params(root, "The paper's method is taken out", OF_WAVE_2)
            type_command(root, "request", "add", *choose_subjects(root, number))
            type_command(root, "wave", "run")
        if number not in done or done[number].comparison is None:
            type_command(root, "wave", "compare", str(number))
    if len(list_complete_waves(root)) == num_large + 1:
        type_command(root, "request", "add", *choose_few(root))
        type_command(root, "wave", "run")
    show_result(root)


def ensure_clone(source: Path, root: Path) -> None:
    """Clones the project, with its tracked uncommitted edits as one commit, unless that was done before.

    Raises:
        InputError: the code has moved on since.
    """
    marker, code = root / ".git" / "amun-demo", describe_code(source)
    if marker.exists():
        if marker.read_text(encoding="ascii") != code:
            raise InputError(f"the code has moved on since the demo in {root} was begun; {AFRESH}")
        return
    if root.exists():
        raise InputError(f"{root} is not a finished clone; {AFRESH}")
    run_git(source, "clone", "--quiet", "--no-tags", "--no-local", str(source), str(root))
    _apply_edits(source, root)
    run_git(root, "rm", "-r", "--quiet", "--force", "--ignore-unmatch", "--", *_WORKSPACE_FILES)
    # the data of a demo go nowhere
    dvc.unset_remote(root)
    if list_changes(root):
        run_git(root, "commit", "--quiet", "--no-verify", "--message", "The project as it is here and now")
    marker.write_text(code, encoding="ascii")


def change_params(root: Path, message: str, changes: dict[str, str]) -> None:
    """Commits changed parameters, unless that was done before; what a person has changed since stays.

    Args:
        root: of the workspace.
        message: of the commit.
        changes: regular expressions, each with what takes its place.
    """
    if message in run_git(root, "log", "--format=%s").splitlines():
        return
    path = root / PARAMS
    content = path.read_text(encoding="utf-8")
    for pattern, replacement in changes.items():
        content, found = re.subn(pattern, replacement, content)
        if found != 1:
            raise AmunError(f"{path}: {pattern} stands there {found} times, not once")
    path.write_text(content, encoding="utf-8")
    run_git(root, "commit", "--quiet", "--no-verify", "--message", message, "--", str(PARAMS))


def describe_code(source: Path) -> str:
    """Returns a digest of the project's tracked files as they are now."""
    tree = run_git(source, "rev-parse", "HEAD^{tree}")
    return hashlib.sha256(tree.encode() + _read_edits(source)).hexdigest()


def _read_edits(source: Path) -> bytes:
    """Returns the tracked uncommitted edits as a patch, byte for byte: binary files have their own line ends."""
    command = ["git", "diff", "--binary", "--no-ext-diff", "HEAD"]
    return subprocess.run(command, cwd=source, capture_output=True, check=True).stdout


def _apply_edits(source: Path, root: Path) -> None:
    if edits := _read_edits(source):
        applied = subprocess.run(["git", "apply", "--index"], cwd=root, input=edits, capture_output=True, check=False)
        if applied.returncode:
            raise AmunError(f"the uncommitted edits cannot be brought into {root}; commit them, then {AFRESH}")


def list_complete_waves(root: Path) -> list[Wave]:
    """Returns the demo's complete waves, wave 0 first; none before `amun init` has ended."""
    if not (root / LEDGER).exists():
        return []
    model = read_params(root / PARAMS).model.name
    with Ledger(os.environ[LEDGER_VARIABLE]) as ledger:
        return [wave for wave in ledger.list_waves(model) if wave.state == "complete"]


def choose_few(root: Path) -> list[str]:
    """Returns the people of the small wave: the last ones in the order of the draw."""
    return _order_subjects(read_sizes(root))[-NUM_IN_SMALL_WAVE:]


def read_sizes(root: Path) -> Counter[str]:
    """Returns how many training samples each person has."""
    return Counter(read_owners(root / TRAIN).subject_ids.tolist())


def _order_subjects(sizes: Counter[str]) -> list[str]:
    drawn: list[str] = np.random.default_rng(SEED).permutation(sorted(sizes)).tolist()
    return drawn


def choose_subjects(root: Path, number: int, num_samples: Sequence[int] = NUM_SAMPLES) -> list[str]:
    """Returns the people who ask in a wave: drawn by seed, others in each wave.

    Args:
        root: of the workspace.
        number: of the wave, from 1.
        num_samples: about how many training samples each wave forgets.
    """
    sizes = read_sizes(root)
    subjects = _order_subjects(sizes)
    held = np.cumsum([sizes[subject] for subject in subjects])
    ends = np.searchsorted(held, np.cumsum([0, *num_samples]))
    return sorted(subjects[ends[number - 1] : ends[number]])


def type_command(root: Path, *arguments: str) -> None:
    """Runs one `amun` command in the workspace, showing it as typed.

    Raises:
        AmunError: it failed.
    """
    is_long = len(arguments) > 5
    shown = f"{shlex.join(arguments[:4])} ... ({len(arguments) - 2} people)" if is_long else shlex.join(arguments)
    print(f"\n$ amun {shown}", flush=True)
    finished = subprocess.run([str(Path(sys.executable).parent / "amun"), *arguments], cwd=root, check=False)
    if finished.returncode:
        raise AmunError(f"the demo stopped in `amun {shown}`; `make demo` goes on from there")


def show_result(root: Path) -> None:
    """Prints the table of all waves and where to look further."""
    type_command(root, "wave", "list")
    for line in tell_traces(list_complete_waves(root)):
        print(line)
    print(
        f"""
Memory left: how much of what the model before remembered of the wave's people is still there, by person, and its
bounds; 0 is what exact retraining leaves, 1 is all. The third night is too small to show anything: it is retrained.
FT AUC: a membership attack tells the forgotten images from images never seen; 0.5 is not at all.
Trace: what is left of the method for whoever holds the model from before as well; 0.5 is nothing, less tells as much.
Look further, with the installed tools on the path (source .venv/bin/activate):
  cd {FOLDER}
  amun status; amun request list; amun wave show 1
  amun wave reproduce 1        the wave's stages run anew at its tag: the same bytes
  dvc dag; dvc status; dvc metrics diff wave/0000
  git log --stat               what each wave has recorded
  mlflow ui --backend-store-uri {shlex.quote(os.environ["MLFLOW_TRACKING_URI"])}
  PREFECT_HOME="$PWD/.amun/prefect" prefect server start"""
    )


def tell_traces(waves: Sequence[Wave]) -> list[str]:
    """Returns a line for each wave of which it was seen what trace by person exact retraining leaves."""
    lines = []
    for wave in waves:
        test = None if wave.summary is None else wave.summary.test
        if test is not None and test.trace_by_person is not None and test.max_trace_by_person is not None:
            most = tell_bound(test.max_trace_by_person)
            lines.append(f"wave {wave.number}: trace by person {test.trace_by_person:.2f}; {most}")
    return lines


def tell_bound(most: float) -> str:
    """Returns in words what a trace by person is judged by."""
    if most >= 1:
        return f"nothing is refused by it: of so few people exact retraining may show anything (bound {most:.2f})"
    return f"exact retraining hardly ever leaves more than {most:.2f}"


if __name__ == "__main__":
    main()
