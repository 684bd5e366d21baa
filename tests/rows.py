"""A database in which several users have rows of every kind, and what a function changes in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from webapp.storage import schema, team_schema  # noqa: F401  # the tables of the team too
from webapp.storage.presets import EVERYBODY
from webapp.storage.schema import metadata

NEW = "new"  # a row that was not there before
COUNTED = "counted"  # a counter of today, whose values tests/test_quotas.py has
NAMELESS = ("message_words", "usage")  # the keys of their rows differ from run to run


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def _conversation(name: str, user: str, used: int, **more: object) -> dict[str, object]:
    values = {"title": "Same", "model": "m1", "system": "", "created_at": day(1), "updated_at": day(used)}
    return {"pinned": False, "deleted_at": None, **values, "id": name, "user_id": user} | more


def _message(name: str, parent: str | None, role: str = "assistant", **more: object) -> dict[str, object]:
    values = {"id": name, "conversation_id": name[:2], "parent_id": parent, "role": role, "text": f"Text {name}"}
    rest = {"html": None, "renderer": None, "worker_id": None, "stop_requested": False, "address": None}
    return {"status": "done", "model": "m1", "created_at": day(1), "reasoning": "", **rest, **values} | more


def _turn(conversation: str, **more: object) -> list[dict[str, object]]:
    question = f"{conversation}q"
    return [_message(question, None, "user"), _message(f"{conversation}r", question, **more)]


def _account(user: str, **more: object) -> dict[str, object]:
    values = {"user_id": user, "way": "password", "login": user, "name": user.title(), "role": "member"}
    return {**values, "created_at": day(1), "disabled_at": None, "retention_days": None} | more


def _sign_in(name: str, user: str, begun: int, seen: int) -> dict[str, object]:
    values = {"address": "192.0.2.1", "browser": "Firefox", "created_at": day(begun), "seen_at": day(seen)}
    return {"token_hash": f"hash of {name}", "id": name, "user_id": user, "id_token": f"token of {name}"} | values


def _key(name: str, user: str, expires: int) -> dict[str, object]:
    values = {"name": name.upper(), "ending": "abcd", "created_at": day(expires - 4), "expires_at": day(expires)}
    return {"token_hash": f"hash of {name}", "id": name, "user_id": user} | values


def _invite(name: str, expires: int, used: int | None = None, **more: object) -> dict[str, object]:
    times = {"expires_at": day(expires), "used_at": used and day(used)} | more
    return {"id": name, "token_hash": f"hash of {name}", "role": "member"} | times


def _preset(name: str, user: str, **more: object) -> dict[str, object]:
    return {"id": name, "user_id": user, "name": name, "model": "m1", "system": "", "created_at": day(1)} | more


def _queued(conversation: str, reply: str, *, is_held: bool = False) -> dict[str, object]:
    values = {"key": "k", "text": "Next", "settings": {}, "address": "", "is_held": is_held}
    return {"conversation_id": conversation, "reply_id": reply} | values


def _counter(holder: str) -> dict[str, object]:
    counts = {"messages": 1, "day_tokens": 2, "imports": 3, "month_tokens": 4, "bytes": 500}
    return {"holder": holder, "minute": 0, "day": "2026-01-01", "month": "2026-01"} | counts


_DRAWN = {"pictures": [["g5", "image/png", 7, 1, 2]]}
_FAILED = {"failure_reason": "network", "first_token_seconds": 0.5}

ROWS: dict[str, list[dict[str, object]]] = {
    "users": [
        {"id": name, "created_at": day(1), "deleted_at": left and day(left)}
        for name, left in {EVERYBODY: None, "alice": None, "bob": None, "carl": 5, "dora": 7, "erin": 3}.items()
    ],
    "conversations": [
        _conversation("a1", "alice", 1, leaf_id="a1s", title="First", temperature=0.5, options={"seed": 1}),
        _conversation("a2", "alice", 3, leaf_id="a2r", model="m2", pinned=True),
        _conversation("a3", "alice", 2, deleted_at=day(5)),
        _conversation("a4", "alice", 2, deleted_at=day(6)),
        _conversation("a5", "alice", 1, leaf_id="a5r"),
        _conversation("b1", "bob", 1, leaf_id="b1r", title="First", revision=1),
        _conversation("b3", "bob", 2, deleted_at=day(5), revision=2),
        _conversation("b4", "bob", 2, deleted_at=day(6)),
        _conversation("b5", "bob", 1, leaf_id="b5r", revision=3),
        _conversation("c1", "carl", 1),
        _conversation("c3", "carl", 1, deleted_at=day(9)),
        _conversation("d1", "dora", 1, deleted_at=day(2)),
    ],
    "messages": [
        *_turn("a1", html="<p>old</p>", renderer=1, reasoning="Why", address="1.2.3.4"),
        _message("a1s", "a1q", html="<p>new</p>", renderer=2),
        *_turn("a2", model="m2", html="", renderer=3),
        _message("a22", "a2r", "user"),
        _message("a23", "a22", html="", renderer=3),
        _message("a20", "a2q", html="", renderer=3),  # the newest, by its number and not by its id
        *_turn("a3", html="", renderer=3, is_imported=True),
        *_turn("a5", status="streaming", text="", worker_id="w1", stop_requested=True, address="1.2.3.4", **_DRAWN),
        *_turn("b1", html="", renderer=3),
        *_turn("b4", status="streaming", text="", worker_id="w2"),
        *_turn("b5", status="streaming", text="", worker_id="w2"),
        *_turn("d1", html="", renderer=3, reasoning="\\é", pictures=[["g3", "image/png", 7, 1, 2]], **_FAILED),
    ],
    "pieces": [
        {"message_id": reply, "number": number, "text": f"{number}", "reasoning": ""}
        for reply, number in [("a5r", 1), ("a5r", 2), ("b5r", 1)]
    ],
    "sends": [{"user_id": user, "key": "k", "reply_id": f"{user[0]}1r"} for user in ("alice", "bob")],
    "queued": [_queued("a1", "a1r", is_held=True), _queued("a2", "a2r"), _queued("a5", "a5r"), _queued("b5", "b5r")],
    "presets": [
        _preset("p1", "alice"),
        _preset("p2", "bob"),
        _preset("p3", EVERYBODY, temperature=0.5, options={"top_p": 1}),
    ],
    "folders": [
        {"id": f"f{number}", "user_id": user, "name": name, "created_at": day(1), "preset_id": preset}
        for number, user, name, preset in [
            (1, "alice", "Work", "p1"),
            (2, "bob", "Work", None),
            (3, "alice", "a", None),
        ]
    ],
    "foldered": [{"conversation_id": "a1", "folder_id": "f1"}, {"conversation_id": "b1", "folder_id": "f2"}],
    "workers": [{"id": "w1", "beats": 5}, {"id": "w3", "beats": 7}],
    "accounts": [
        _account("alice", role="admin", retention_days=9, password="hash"),
        _account("bob", disabled_at=day(4)),
        _account("dora", role="admin", disabled_at=day(4)),
        _account("erin", way="proxy", role="admin"),
    ],
    "sign_ins": [_sign_in("t1", "alice", 1, 3), _sign_in("t2", "alice", 2, 2), _sign_in("t3", "bob", 3, 4)],
    "api_keys": [_key("k1", "alice", 5), _key("k2", "alice", 6), _key("k3", "bob", 7)],
    "pictures": [
        {"id": name, "message_id": message, "kind": "image/png", "size": 7}
        for name, message in [("g1", "a1r"), ("g2", "b1r"), ("g4", "a3r")]
    ],
    "picture_parts": [
        {"picture_id": name, "number": number, "data": b"x"} for name in ("g1", "g2") for number in (0, 1)
    ],
    "invites": [
        _invite("i1", 5, user_id="bob"),
        _invite("i0", 5),
        _invite("i2", 5, used=2),
        _invite("i3", 3),
        _invite("i4", 4),
    ],
    "shares": [
        {"id": f"s{n}", "conversation_id": place, "message_id": f"{place}r", "title": "T", "created_at": day(n)}
        for n, place in enumerate(["a1", "b1", "a2", "a3"], start=1)
    ],
    "throttles": [{"key": f"x{number}", "level": 1.0, "at": day(number)} for number in (1, 2, 3)],
    "audit": [
        {"at": day(n), "actor_id": "alice", "actor": "Alice", "action": "x", "target": str(n), "address": ""}
        for n in (1, 2, 3)
    ],
    "limits": [
        {"scope": scope, "name": name, "value": value}
        for scope, name, value in [
            ("member", "x", 1),
            ("member", "y", 2),
            ("bob", "x", 3),
            ("erin", "x", 4),
            ("zoe", "x", 5),
        ]
    ],
    "allowed_models": [{"role": "member", "model": "m1"}, {"role": "admin", "model": "m2"}],
    "site_texts": [{"name": "notice", "text": "Hello"}, {"name": "welcome", "text": "Hi"}],
    "counters": [_counter(holder) for holder in ("alice", "dora", "erin", "@1.2.3.4")],
}


def fill(tx: Connection) -> None:
    """Store all ROWS in an empty database."""
    for table in metadata.sorted_tables:
        for row in ROWS.get(table.name, ()):
            tx.execute(insert(table).values(row))


def all_rows(tx: Connection) -> dict[str, dict[str, Any]]:
    """The values of every row, by its table and key, as in `pieces a5r/1`."""
    found = {}
    for table in metadata.sorted_tables:
        for row in tx.execute(select(table)):
            values = {column.key: value for column, value in zip(table.c, row, strict=True)}
            key = "/".join(str(values[one.key]) for one in table.primary_key)
            found[table.name if table.name in NAMELESS else f"{table.name} {key}"] = values
    return found


def changed(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The new values of changed rows, None for deleted ones, NEW for those that were not there."""
    differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    return {key: _difference(key, before.get(key), after.get(key)) for key in differing}


def _difference(key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> Any:
    if old is None or new is None:
        return new and NEW
    if key.startswith("counters"):
        return COUNTED
    return {name: value for name, value in new.items() if value != old[name]}
