"""Fingerprints of what is to be found nowhere any more, and the search for it in any bytes."""
