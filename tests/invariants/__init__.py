"""Promises kept under fire: real processes, real databases, SIGKILL at random moments."""
