"""Measurements of whole waves, over seeds, with the machine named."""
