"""The study's figures, a file each; each returns its picture with the numbers in it, or None without its records."""
