"""Commands: `python -m app …`, one file each."""
