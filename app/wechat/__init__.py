"""The platform's wire: parse, render, crypto, API client, tokens, limits."""
