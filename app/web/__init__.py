"""The outer door: webhook, API, pages."""
