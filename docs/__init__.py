"""The pages of the documentation; `parameters.md` is generated."""
