"""Sources, the sample store, splits."""
