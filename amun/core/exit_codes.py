"""Exit codes that no error of ours carries."""

INTERRUPTED = 130  # what a shell gives to a program that Ctrl-C has ended
