"""HTTP clients for going out: no proxies or credentials from the environment, one TLS set-up for all."""

import ssl
from functools import cache
from typing import Any

import httpx


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificate store takes tens of milliseconds, so it is done once."""
    return ssl.create_default_context()


def http_client(**options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, verify=_tls(), **options)
