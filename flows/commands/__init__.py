"""The commands of `amun`, one file for each noun; `flows/cli.py` puts them together."""
