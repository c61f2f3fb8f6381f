"""The simulator's parts, put together once, and how a route reaches them."""

import asyncio
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from app.core.errors import NotFound
from app.simulator.calls import Calls
from app.simulator.model import Account, Delivery, Follower
from app.simulator.pictures import Pictures
from app.simulator.product import Product
from app.simulator.sender import Sender
from app.simulator.world import World


@dataclass(slots=True)
class Box:
    world: World
    sender: Sender
    product: Product
    pictures: Pictures
    prefix: str
    tasks: asyncio.TaskGroup | None = None
    """Open while the simulator may send."""
    calls: Calls = field(default_factory=Calls)
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    def account(self, appid: str) -> Account:
        return self.world.account(appid)

    def follower(self, appid: str, openid: str) -> Follower:
        return self.world.follower(appid, openid)

    def delivery(self, delivery_id: str) -> Delivery:
        delivery = self.sender.find(delivery_id)
        if delivery is None:
            raise NotFound(what=f"推送 {delivery_id}")
        return delivery


def box_of(connection: HTTPConnection) -> Box:
    """The box of the application a request came to."""
    box: Box = connection.app.state.box
    return box


def base_url(connection: HTTPConnection) -> str:
    """Where the simulator is reached by this request, with a slash at the end."""
    url = connection.url
    return f"{url.scheme}://{url.netloc}{connection.scope.get('root_path', '')}/"
