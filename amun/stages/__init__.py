"""One small program for each DVC stage: `python -m amun.stages.STAGE`."""

import signal
import sys

# Python calls a program so that it is still looking for: a Ctrl-C ends it without a word, also while it imports PyTorch
# (where whoever started it ignores Ctrl-C, as a shell does for what runs in the background, so does the stage)
if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
