"""Tests, in the order of the code they test."""

import gc

# before anything is imported: it makes a million objects that stay, and Python would look for garbage among them
gc.set_threshold(50_000)
