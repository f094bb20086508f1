"""What it saves to train references side by side: the demo's, by one process and by as many as the machine has.

    python -m bench.references      scikit-learn's digits, 16 + 4 references; three minutes on two cores

Wall clock, in one run. The exit code is 1 unless the bytes are the same, and the time is at most .55 of that of one
process (where there are two processors or more).
"""

import argparse
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

from amun.core.params import Params
from amun.core.paths import (
    AUDIT_INCLUSION,
    AUDIT_LOGITS,
    EXCLUSIONS,
    FORGOTTEN,
    PARAMS,
    TARGET_INCLUSION,
    TARGET_LOGITS,
    TARGET_WEIGHTS,
)
from amun.evidence.wave import write_json
from amun.model.training import configure_torch, count_workers
from amun.params import load_params
from amun.stages.prepare import prepare
from amun.stages.references import train_references
from amun.study.machine import describe_machine
from amun.vault.seal import digest_files
from bench.secrets import make_secrets
from bench.wave import ROOT

MAX_RATIO = 0.55
OUTPUTS = (AUDIT_LOGITS, AUDIT_INCLUSION, TARGET_LOGITS, TARGET_INCLUSION, TARGET_WEIGHTS)


def main() -> None:
    """Prints seconds and ratio; exits with 1 where a bound is not kept."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    params = load_params(ROOT / PARAMS)
    device = configure_torch(params.runtime)
    num_workers = count_workers(params.runtime)
    print(describe_machine(device))
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        make_secrets(Path())
        for path in (EXCLUSIONS, FORGOTTEN):
            write_json(path, [])
        prepare(params, device)
        alone, digests = _measure(params, 1)
        shared, digests_shared = _measure(params, num_workers)
    is_same = digests == digests_shared
    ratio = shared / alone
    print(f"1 process {alone:.1f} s, {num_workers} {shared:.1f} s: {ratio:.2f}; {'same' if is_same else 'OTHER'} bytes")
    sys.exit(0 if is_same and (ratio <= MAX_RATIO or num_workers == 1) else 1)


def _measure(params: Params, num_processes: int) -> tuple[float, list[str]]:
    """Returns the seconds that the stage took, and the digests of what it wrote."""
    with patch("amun.stages.references.count_workers", lambda _: num_processes):
        started_at = time.monotonic()
        train_references(params, configure_torch(params.runtime), may_fork=True)
    return time.monotonic() - started_at, digest_files(OUTPUTS)


if __name__ == "__main__":
    main()
