"""One small program for each DVC stage: `python -m amun.stages.STAGE`."""
