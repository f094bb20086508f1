"""Parameters' forms, paths, errors, keys, progress: what every other package of the library stands on."""
