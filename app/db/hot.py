"""Statements of the hot path, and the few constructs that differ between databases.

A `Hot` statement is compiled once per dialect; afterwards its text and values go straight to the
driver. Measured on batches of 50 deliveries, that is worth about a fifth of the batch's time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias

import orjson
from sqlalchemy import ARRAY, ColumnElement, String, Table, any_, bindparam, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.types import TypeDecorator, TypeEngine

from app.db.rowset import Place, Rowset, rowset

Row: TypeAlias = Sequence[Any]
Convert: TypeAlias = Callable[[Any], Any]

DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.psycopg.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    convert: Convert | None
    constant: Any = None
    """The value of a parameter the statement itself brings, already converted."""
    given: bool = True


class Prepared:
    """A compiled statement, and the quickest way to its values and from its rows."""

    def __init__(
        self,
        text: str,
        parameters: Sequence[Parameter],
        results: Sequence[Convert | None],
        rowset: Rowset | None = None,
    ) -> None:
        self.text = text
        self.parameters = tuple(parameters)
        self.rowset = rowset
        """For many rows at once, on PostgreSQL."""
        self._take = _taker([p.name for p in parameters if p.given])
        self._converts = [(n, p.convert) for n, p in enumerate(parameters) if p.convert]
        self._constants = [(n, p.constant) for n, p in enumerate(parameters) if not p.given]
        self._results = [(n, convert) for n, convert in enumerate(results) if convert]

    def values(self, params: Mapping[str, Any]) -> Sequence[Any]:
        """The parameters in the order of their places. Raises `KeyError` for one that is missing."""
        taken = self._take(params)
        if not (self._converts or self._constants):
            return taken
        values = list(taken)
        for place, constant in self._constants:
            values.insert(place, constant)
        for place, convert in self._converts:
            values[place] = convert(values[place])
        return values

    def rows(self, raw: Sequence[Row]) -> list[Row]:
        if not self._results:
            return list(raw)
        rows: list[Row] = []
        for one in raw:
            row = list(one)
            for place, convert in self._results:
                row[place] = convert(row[place])
            rows.append(tuple(row))
        return rows


def _taker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """All the named values of a mapping at once; `itemgetter` alone gives one bare for one name."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda params: tuple(params[name] for name in names)


class Hot:
    """A statement whose parameters are all `bindparam`s; made once, at import.

    Give a function of the dialect's name where the statement itself differs.

    `distinct`: in no `Tx.many` two rows meet the same row of the table, so that PostgreSQL may take
    all of them in one statement (`app.db.rowset`), which sees each row as it was before.
    """

    def __init__(self, build: Executable | Callable[[str], Any], *, distinct: bool = False) -> None:
        self._build = build
        self._distinct = distinct
        self._prepared: dict[str, Prepared] = {}

    def prepared(self, dialect: str) -> Prepared:
        found = self._prepared.get(dialect)
        if found is None:
            found = self._prepared[dialect] = self._compile(dialect)
        return found

    def _compile(self, name: str) -> Prepared:
        dialect = DIALECTS[name]
        build = self._build
        statement: Any = build if isinstance(build, Executable) else build(name)
        compiled = statement.compile(dialect=dialect)
        binds: Mapping[str, Any] = compiled.binds
        parameters = tuple(
            _parameter(name, binds[name], dialect) for name in compiled.positiontup or ()
        )
        columns = getattr(statement, "exported_columns", None)
        if columns is None:
            columns = getattr(statement, "_returning", ())
        kinds: list[TypeEngine[Any]] = [column.type for column in columns or ()]
        many: Rowset | None = None
        if self._distinct and name == "postgresql":
            places = [Place(p.name, binds[p.name].type, p.given, p.constant) for p in parameters]
            many = rowset(compiled.string, places, dialect)
        results = tuple(_result_of(kind, dialect) for kind in kinds)
        return Prepared(compiled.string, parameters, results, many)


def _parameter(name: str, bind: BindParameter[Any], dialect: Dialect) -> Parameter:
    convert = _direct(bind.type, dialect, "direct_bind") or bind.type.dialect_impl(
        dialect
    ).bind_processor(dialect)
    if bind.required:
        return Parameter(name, convert)
    constant = bind.effective_value if convert is None else convert(bind.effective_value)
    return Parameter(name, None, constant, given=False)


def _result_of(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    direct = _direct(kind, dialect, "direct_result")
    return direct or kind.dialect_impl(dialect).result_processor(dialect, None)


def _direct(kind: TypeEngine[Any], dialect: Dialect, name: str) -> Convert | None:
    """A type's own quick converter: SQLAlchemy wraps those of a `TypeDecorator` twice."""
    give: Callable[[Dialect], Convert | None] | None = getattr(kind, name, None)
    return None if give is None else give(dialect)


def hot_insert(table: Any, *columns: str) -> Hot:
    """INSERT of the named columns; every row must give each."""
    target: Table = table.__table__
    values = {c: bindparam(c, type_=target.c[c].type) for c in columns}
    return Hot(
        insert(target).inline().values(values), distinct=True
    )  # inline: no key is asked back


def upsert(dialect: str, table: Any) -> Any:
    """The dialect's INSERT that knows ON CONFLICT."""
    return (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)


class _List(TypeDecorator[Sequence[Any]]):
    """A list as one parameter: an array on PostgreSQL, JSON text on SQLite."""

    impl = String
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(String() if dialect.name == "sqlite" else ARRAY(self.item))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return _json_list(value) if dialect.name == "sqlite" else value

    def direct_bind(self, dialect: Dialect) -> Convert:
        return _json_list if dialect.name == "sqlite" else _array_literal


def _json_list(values: Sequence[Any]) -> str:
    return orjson.dumps(values).decode()


def _array_literal(values: Sequence[Any]) -> str:
    """An array as PostgreSQL reads it from text; numbers or strings, no nulls.

    The driver finds a dumper for each element anew, which costs fifteen times as much.
    """
    if not values or isinstance(values[0], str):
        quoted = (v.replace("\\", "\\\\").replace('"', '\\"') for v in values)
        return '{"' + '","'.join(quoted) + '"}' if values else "{}"
    return "{" + ",".join(map(str, values)) + "}"


class InList(ColumnElement[bool]):
    """`column` is among the parameter `name`, a list of any length: one text for every length.

    Expanding IN lists make a new statement text for each length, which is prepared again each time.
    """

    inherit_cache = False

    def __init__(self, column: Any, name: str) -> None:
        self.column = (
            column.__clause_element__() if hasattr(column, "__clause_element__") else column
        )
        self.parameter: BindParameter[Any] = bindparam(name, type_=_List(self.column.type))


@compiles(InList, "sqlite")
def _in_json(element: InList, compiler: Any, **kw: Any) -> str:
    column = compiler.process(element.column, **kw)
    parameter = compiler.process(element.parameter, **kw)
    return f"{column} IN (SELECT value FROM json_each({parameter}))"  # noqa: S608  # both compiled


@compiles(InList, "postgresql")
def _in_array(element: InList, compiler: Any, **kw: Any) -> str:
    return str(compiler.process(element.column == any_(element.parameter), **kw))
