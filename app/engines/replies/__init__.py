"""Keyword rules, bindings and flows: what the shop answers to what."""
