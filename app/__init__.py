"""Guanxi 关系: a self-hosted server for WeChat official accounts.

Floors import only downwards; `pyproject.toml` holds the contracts, `docs/contributing.md` the map.
"""
