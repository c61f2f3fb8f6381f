"""The business, one folder per engine; see each package for what it owns."""
