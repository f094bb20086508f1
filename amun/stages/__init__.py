"""One small program for each DVC stage: `python -m amun.stages.STAGE`."""

import signal
import sys

# Python calls a program so that it is still looking for: a Ctrl-C ends it without a word, also while it imports PyTorch
if sys.argv[0] == "-m":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
