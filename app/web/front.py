"""The outermost ASGI application: deliveries to the webhook, everything else to FastAPI.

A string comparison, so that no middleware and no framework routing stands before a delivery. It also
leaves the webhook the server's own `send`, with which it can end a held connection without a byte.
"""

from collections.abc import Awaitable, Callable

from app.web.webhook import PREFIX, Receive, Scope, Send, Webhook


class Front:
    def __init__(
        self,
        webhook: Callable[[], Webhook],
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
    ) -> None:
        """`webhook` is asked per delivery: it exists only while the runtime is open."""
        self._webhook = webhook
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._webhook()(scope, receive, send)
        else:
            await self._app(scope, receive, send)
