"""Your own architecture and trainer: every stage that builds a model depends on all files of this folder."""
