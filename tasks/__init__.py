"""One Prefect task per step of a wave, and the tools the steps talk to."""
