"""The steps of a wave: Prefect tasks, none of which imports another."""
