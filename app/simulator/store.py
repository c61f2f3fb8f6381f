"""The simulator's own store: one SQLite file, or memory.

Entities are kept as JSON documents with the columns they are looked up by. All calls come from the
event loop's thread and take microseconds.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from app.simulator.model import Account, Delivery, Follower, Item

_SCHEMA = """
CREATE TABLE IF NOT EXISTS account(appid TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS follower(
  seq INTEGER PRIMARY KEY, appid TEXT NOT NULL, openid TEXT NOT NULL, doc TEXT NOT NULL,
  UNIQUE(appid, openid));
CREATE TABLE IF NOT EXISTS item(
  id INTEGER PRIMARY KEY AUTOINCREMENT, appid TEXT NOT NULL, openid TEXT NOT NULL, doc TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS follower_order ON follower(appid, seq);
CREATE INDEX IF NOT EXISTS item_screen ON item(appid, openid, id);
CREATE TABLE IF NOT EXISTS delivery(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, appid TEXT NOT NULL,
  openid TEXT NOT NULL, doc TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS delivery_of ON delivery(appid, openid, seq);
CREATE TABLE IF NOT EXISTS media(
  media_id TEXT PRIMARY KEY, appid TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
  mime TEXT NOT NULL, body BLOB NOT NULL, made_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS token(
  token TEXT PRIMARY KEY, appid TEXT NOT NULL, kind TEXT NOT NULL, made_at REAL NOT NULL,
  ends_at REAL NOT NULL, killed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS used(
  appid TEXT NOT NULL, name TEXT NOT NULL, period TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY(appid, name, period));
CREATE TABLE IF NOT EXISTS code(
  ticket TEXT PRIMARY KEY, seq INTEGER NOT NULL, appid TEXT NOT NULL, scene TEXT NOT NULL,
  doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS state(name TEXT PRIMARY KEY, doc TEXT NOT NULL);
"""
_OF_AN_ACCOUNT = ("account", "follower", "item", "delivery", "media", "token", "used", "code")
_KEEP_DELIVERIES = 20_000
_KEEP_ITEMS = 100_000


class Media(NamedTuple):
    media_id: str
    appid: str
    kind: str
    name: str
    mime: str
    body: bytes
    made_at: float


class Store:
    """What survives a restart. With `path` None everything is gone at the end."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            str(path) if path else ":memory:", isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, values).fetchall()

    # accounts

    def save_account(self, account: Account) -> None:
        self.query(
            "INSERT INTO account VALUES (?, ?) ON CONFLICT(appid) DO UPDATE SET doc = excluded.doc",
            account.appid,
            account.model_dump_json(),
        )

    def find_account(self, appid: str) -> Account | None:
        rows = self.query("SELECT doc FROM account WHERE appid = ?", appid)
        return Account.model_validate_json(rows[0][0]) if rows else None

    def list_accounts(self) -> list[Account]:
        rows = self.query("SELECT doc FROM account ORDER BY rowid")
        return [Account.model_validate_json(doc) for (doc,) in rows]

    def delete_account(self, appid: str) -> None:
        """With everything that is the account's."""
        for table in _OF_AN_ACCOUNT:
            self.query(f"DELETE FROM {table} WHERE appid = ?", appid)  # noqa: S608 - our own names

    # followers

    def save_follower(self, follower: Follower) -> None:
        self.query(
            "INSERT INTO follower(appid, openid, doc) VALUES (?, ?, ?)"
            " ON CONFLICT(appid, openid) DO UPDATE SET doc = excluded.doc",
            follower.appid,
            follower.openid,
            follower.model_dump_json(),
        )

    def find_follower(self, appid: str, openid: str) -> Follower | None:
        rows = self.query("SELECT doc FROM follower WHERE appid = ? AND openid = ?", appid, openid)
        return Follower.model_validate_json(rows[0][0]) if rows else None

    def list_followers(self, appid: str, limit: int = -1) -> list[Follower]:
        """In the order they were made; with a limit, the newest of them."""
        rows = self.query(
            "SELECT doc FROM follower WHERE appid = ? ORDER BY seq DESC LIMIT ?", appid, limit
        )
        return [Follower.model_validate_json(doc) for (doc,) in reversed(rows)]

    def count_followers(self, appid: str) -> int:
        count: int = self.query("SELECT count(*) FROM follower WHERE appid = ?", appid)[0][0]
        return count

    def delete_follower(self, appid: str, openid: str) -> None:
        for table in ("follower", "item", "delivery"):
            self.query(f"DELETE FROM {table} WHERE appid = ? AND openid = ?", appid, openid)  # noqa: S608 - as above

    # screens

    def add_item(self, appid: str, openid: str, item: Item) -> Item:
        """The item with its place on the screen."""
        doc = orjson.dumps(item.shown()).decode()
        cursor = self._db.execute(
            "INSERT INTO item(appid, openid, doc) VALUES (?, ?, ?)", (appid, openid, doc)
        )
        item.id = cursor.lastrowid or 0
        if item.id % 1000 == 0:
            self.query("DELETE FROM item WHERE id <= ?", item.id - _KEEP_ITEMS)
        return item

    def list_items(self, appid: str, openid: str, limit: int) -> list[Item]:
        """The newest `limit` items, oldest first."""
        rows = self.query(
            "SELECT id, doc FROM item WHERE appid = ? AND openid = ? ORDER BY id DESC LIMIT ?",
            appid,
            openid,
            limit,
        )
        return [_item(number, doc) for number, doc in reversed(rows)]

    def find_item(self, number: int) -> Item | None:
        rows = self.query("SELECT id, doc FROM item WHERE id = ?", number)
        return _item(*rows[0]) if rows else None

    # deliveries

    def save_delivery(self, delivery: Delivery) -> None:
        cursor = self._db.execute(
            "INSERT INTO delivery(id, appid, openid, doc) VALUES (?, ?, ?, ?)"
            " ON CONFLICT(id) DO UPDATE SET doc = excluded.doc",
            (delivery.id, delivery.appid, delivery.openid, delivery.model_dump_json()),
        )
        if (cursor.lastrowid or 0) % 1000 == 0:
            self.query(
                "DELETE FROM delivery WHERE seq <= ?", (cursor.lastrowid or 0) - _KEEP_DELIVERIES
            )

    def find_delivery(self, delivery_id: str) -> Delivery | None:
        rows = self.query("SELECT doc FROM delivery WHERE id = ?", delivery_id)
        return Delivery.model_validate_json(rows[0][0]) if rows else None

    def list_deliveries(self, appid: str, openid: str, limit: int) -> list[Delivery]:
        """The newest first; empty strings stand for all."""
        where, values = ["1"], []
        for column, value in (("appid", appid), ("openid", openid)):
            if value:
                where.append(f"{column} = ?")
                values.append(value)
        sql = f"SELECT doc FROM delivery WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - as above
        return [Delivery.model_validate_json(doc) for (doc,) in self.query(sql, *values, limit)]

    def unsettled(self) -> Iterator[Delivery]:
        """Deliveries that a stop of the simulator cut short."""
        for (doc,) in self.query('SELECT doc FROM delivery WHERE doc LIKE \'%"state":"sending"%\''):
            delivery = Delivery.model_validate_json(doc)
            if delivery.state == "sending":
                yield delivery

    # media

    def save_media(self, media: Media) -> None:
        self.query("INSERT OR REPLACE INTO media VALUES (?, ?, ?, ?, ?, ?, ?)", *media)

    def find_media(self, media_id: str) -> Media | None:
        rows = self.query("SELECT * FROM media WHERE media_id = ?", media_id)
        return Media(*rows[0]) if rows else None

    # the rest

    def get_state(self, name: str) -> Any:
        rows = self.query("SELECT doc FROM state WHERE name = ?", name)
        return orjson.loads(rows[0][0]) if rows else None

    def put_state(self, name: str, value: Mapping[str, Any] | list[Any] | float | None) -> None:
        self.query(
            "INSERT INTO state VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET doc = excluded.doc",
            name,
            orjson.dumps(value).decode(),
        )


def _item(number: int, doc: str) -> Item:
    item = Item.model_validate_json(doc)
    item.id = number
    return item
