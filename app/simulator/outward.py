"""HTTP clients for going out: no proxies or credentials from the environment, one TLS set-up for all."""

import ssl
from functools import cache
from typing import Any

import httpx


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificate store takes tens of milliseconds, so it is done once."""
    return ssl.create_default_context()


def http_client(
    transport: httpx.AsyncBaseTransport | None = None, **options: Any
) -> httpx.AsyncClient:
    """`transport` is another way than the network, such as straight into an application."""
    if transport is not None:
        return httpx.AsyncClient(trust_env=False, transport=transport, **options)
    return httpx.AsyncClient(trust_env=False, verify=_tls(), **options)
