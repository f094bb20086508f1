"""Sources of labelled images: one small file each, with one function."""
