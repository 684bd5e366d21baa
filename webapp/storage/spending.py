"""What users have used, in the database: counters for the limits of users and addresses, figures for administrators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Connection,
    LargeBinary,
    Row,
    String,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    union_all,
)

from webapp import window
from webapp.chat import Final, Outcome
from webapp.storage import insert_into
from webapp.storage.schema import IS_RUNNING, conversations, messages
from webapp.storage.team_schema import accounts, counters, limits, usage
from webapp.team import MEMBER

MODEL_CHARS = 200
RUNNING = "running"  # the scope of the rows with numbers of running replies


@dataclass(frozen=True, slots=True)
class Amount:
    """What is added to the counters of one holder. `stored` is in bytes, and may be negative."""

    messages: int = 0
    tokens: int = 0
    imports: int = 0
    stored: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of a user by name, their own before those of their role; the running replies of each holder."""

    limits: Mapping[str, int]
    running: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was used: replies, those of them that failed, tokens, and the seconds to the first token of `begun` replies.

    `estimated_tokens` are those that the upstream gave no numbers of.
    """

    messages: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated_tokens: int = 0
    begun: int = 0
    first_token_seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def seconds(self) -> float | None:
        """The mean time to the first token; None where there was none."""
        return self.first_token_seconds / self.begun if self.begun else None

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))


FIGURES = [field.name for field in fields(Figures)]  # as the columns are named


def holders(user_id: str, address: str | None) -> list[str]:
    """The keys of the counters: the user's, and the address's where limits hold for addresses."""
    return [user_id, f"@{address}"] if address else [user_id]


def add(tx: Connection, amounts: Mapping[str, Amount], now: datetime) -> dict[str, Row[Any]]:
    """Add to counters of this minute, day and month; return the new rows. Locks them: others wait for this transaction.

    A counter of an earlier period begins anew.
    """
    rows = [
        {
            "holder": holder,
            "minute": int(now.timestamp()) // 60,
            "messages": amount.messages,
            "day": day_of(now),
            "day_tokens": amount.tokens,
            "imports": amount.imports,
            "month": day_of(now)[:7],
            "month_tokens": amount.tokens,
            "bytes": amount.stored,
        }
        for holder, amount in sorted(amounts.items())  # in one order: no two transactions wait for each other
    ]
    added: Sequence[Row[Any]] = tx.execute(_adding(tx.dialect.name), rows).all() if rows else []
    return {row.holder: row for row in added}


@cache
def _adding(dialect: str) -> Any:
    new = counters.alias("excluded").c  # the row that is already there gets this one's amounts

    def counted(period: str, name: str) -> ColumnElement[Any]:
        return case((counters.c[period] == new[period], counters.c[name] + new[name]), else_=new[name])

    changes = {name: new[name] for name in ("minute", "day", "month")} | {
        "messages": counted("minute", "messages"),
        "day_tokens": counted("day", "day_tokens"),
        "imports": counted("day", "imports"),
        "month_tokens": counted("month", "month_tokens"),
        "bytes": counters.c.bytes + new.bytes,
    }
    statement = insert_into(dialect, counters).on_conflict_do_update(index_elements=["holder"], set_=changes)
    return statement.returning(counters)


def rules(tx: Connection, user_id: str, address: str | None) -> Rules:
    """What limits this user now: one query. A user without an account is a member."""
    values = {"user_id": user_id, "address": address, "key": f"@{address}"}
    rows = [tuple(row) for row in tx.execute(_rules(with_address=bool(address)), values)]
    found = {name: value for scope, name, value in rows if scope not in (RUNNING, user_id)}
    found |= {name: value for scope, name, value in rows if scope == user_id}
    return Rules(found, {name: value for scope, name, value in rows if scope == RUNNING})


@cache
def _rules(*, with_address: bool) -> CompoundSelect[Any]:
    user_id: BindParameter[str] = bindparam("user_id", type_=String)
    role = select(accounts.c.role).where(accounts.c.user_id == user_id).scalar_subquery()
    set_ones = select(limits.c.scope, limits.c.name, limits.c.value).where(
        limits.c.scope.in_([user_id, func.coalesce(role, MEMBER)])
    )
    # A join would let SQLite begin with the user's conversations, and read all their messages.
    owner = select(conversations.c.user_id).where(conversations.c.id == messages.c.conversation_id).scalar_subquery()
    counts = [(user_id, select(func.count(messages.c.id)).where(IS_RUNNING, owner == user_id))]
    if with_address:
        is_from_it = messages.c.address == bindparam("address")
        counts += [(bindparam("key", type_=String), select(func.count(messages.c.id)).where(IS_RUNNING, is_from_it))]
    running = [select(literal(RUNNING), key, count.scalar_subquery()) for key, count in counts]
    return union_all(set_ones, *running)


def limit_for(tx: Connection, user_id: str, name: str) -> int | None:
    """One limit of a user: their own, or else that of their role. A user without an account is a member."""
    role = select(accounts.c.role).where(accounts.c.user_id == user_id).scalar_subquery()
    query = select(limits.c.scope, limits.c.value).where(
        limits.c.name == name, limits.c.scope.in_([literal(user_id), func.coalesce(role, MEMBER)])
    )
    found = {row.scope: row.value for row in tx.execute(query)}
    return found.get(user_id, next(iter(found.values()), None))


def limits_of(tx: Connection, scope: str) -> dict[str, int]:
    """The limits of a role or of a user's id, by name."""
    query = select(limits.c.name, limits.c.value).where(limits.c.scope == scope)
    return {row.name: row.value for row in tx.execute(query)}


def limited(tx: Connection) -> set[str]:
    """The roles and the ids of users that have limits."""
    return set(tx.execute(select(limits.c.scope).distinct()).scalars())


def set_limit(tx: Connection, scope: str, name: str, value: int | None) -> None:
    """Set one limit of a role or of a user's id; None removes it."""
    tx.execute(delete(limits).where(limits.c.scope == scope, limits.c.name == name))
    if value is not None:
        tx.execute(insert(limits).values(scope=scope, name=name, value=value))


def running_rows(tx: Connection, reply_ids: Collection[str]) -> dict[str, Row[Any]]:
    """Those of these replies that still run, by id, with what `book` needs. Locks them."""
    columns = (messages.c.id, messages.c.model, messages.c.address, messages.c.least_tokens, messages.c.pictures)
    query = (
        select(*columns, conversations.c.user_id)
        .join_from(messages, conversations)
        .where(messages.c.id.in_(reply_ids), messages.c.status == "streaming")
        .order_by(messages.c.id)
        .with_for_update(of=messages, key_share=True)
    )
    rows: Iterable[Any] = tx.execute(query)
    return {row.id: row for row in rows}


def book(tx: Connection, ended: Iterable[tuple[Row[Any], Final]], now: datetime) -> None:
    """Count replies that end, each with its row of `running_rows`, for limits and for the usage page."""
    amounts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    figures: dict[tuple[str, str], Figures] = defaultdict(Figures)
    for row, one in ended:
        written = len(one.text.encode()) + len(one.reasoning.encode())
        # English has 1.3 tokens a word, where `least_tokens` counts 0.75.
        tokens = window.counted(one.outcome, (row.least_tokens or 0) * 7 // 4, written)
        size = written + sum(picture[2] for picture in row.pictures or [])
        for holder in holders(row.user_id, row.address):
            amounts[holder] = [amounts[holder][0] + tokens[0] + tokens[1], amounts[holder][1] + size]
        figures[row.user_id, row.model[:MODEL_CHARS]] += _figures_of(one.outcome, tokens)
    add(tx, {holder: Amount(tokens=used, stored=size) for holder, (used, size) in amounts.items()}, now)
    _add_figures(tx, figures, now)


def book_unstored(
    tx: Connection, user_id: str, model: str, outcome: Outcome, tokens: tuple[int, int, int], now: datetime
) -> None:
    """Count an answer that ends and is not stored. `tokens` are as `webapp.window.counted` returns them."""
    add(tx, {user_id: Amount(tokens=tokens[0] + tokens[1])}, now)
    _add_figures(tx, {(user_id, model[:MODEL_CHARS]): _figures_of(outcome, tokens)}, now)


def give_back(tx: Connection, message_ids: Sequence[str], now: datetime) -> None:
    """Take messages that are deleted now off the stored bytes."""
    size = _bytes_of(tx, messages.c.text) + _bytes_of(tx, messages.c.reasoning)
    columns = (conversations.c.user_id, messages.c.address, size.label("size"), messages.c.pictures)
    query = select(*columns).join_from(messages, conversations).where(messages.c.id.in_(message_ids))
    amounts: dict[str, int] = defaultdict(int)
    for row in tx.execute(query):
        for holder in holders(row.user_id, row.address):
            amounts[holder] -= row.size + sum(picture[2] for picture in row.pictures or [])
    add(tx, {holder: Amount(stored=stored) for holder, stored in amounts.items()}, now)


def day_of(now: datetime) -> str:
    """The day in UTC, as in 2026-03-31."""
    return now.astimezone(UTC).date().isoformat()


def figures(tx: Connection, by: str, since: str) -> dict[str, Figures]:
    """The figures from the day `since` on, summed by one of the columns day, user_id and model."""
    sums = [func.sum(usage.c[name]) for name in FIGURES]
    query = select(usage.c[by], *sums).where(usage.c.day >= since).group_by(usage.c[by])
    found = {}
    for key, *counts, seconds in tx.execute(query):
        values: list[Any] = [*map(int, counts), float(seconds)]  # PostgreSQL sums whole numbers up to decimals
        found[key] = Figures(*values)
    return found


def _figures_of(outcome: Outcome, tokens: tuple[int, int, int]) -> Figures:
    first, has_failed = outcome.first_token_seconds, outcome.status in ("error", "interrupted")
    return Figures(1, int(has_failed), *tokens, int(first is not None), first or 0.0)


def _add_figures(tx: Connection, figures: Mapping[tuple[str, str], Figures], now: datetime) -> None:
    rows = [
        {"day": day_of(now), "user_id": user_id, "model": model, **asdict(one)}
        for (user_id, model), one in sorted(figures.items())
    ]
    if rows:
        tx.execute(_adding_figures(tx.dialect.name), rows)


@cache
def _adding_figures(dialect: str) -> Any:
    new = usage.alias("excluded").c
    changes = {name: usage.c[name] + new[name] for name in FIGURES}
    return insert_into(dialect, usage).on_conflict_do_update(index_elements=["day", "user_id", "model"], set_=changes)


def _bytes_of(tx: Connection, column: ColumnElement[str]) -> ColumnElement[int]:
    return func.length(cast(column, LargeBinary)) if tx.dialect.name == "sqlite" else func.octet_length(column)
