"""Followers: who follows whom, since when, through which code, and what became of it."""
