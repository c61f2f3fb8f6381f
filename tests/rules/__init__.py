"""Which rule answers, held against a slow and obvious matcher."""
