"""What each function of the storage reads and changes: the rows that it names, and nothing of others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from tests.databases import new_database
from tests.rows import COUNTED, NEW, all_rows, changed, day, fill
from webapp import snippets
from webapp.chat import (
    Conversation,
    Delta,
    Failure,
    Final,
    Folder,
    Message,
    Node,
    Outcome,
    Picture,
    Preset,
    Queued,
    Reference,
    Usage,
)
from webapp.storage import (
    Storage,
    accounts,
    api_keys,
    audit,
    branches,
    changes,
    conversations,
    endings,
    folders,
    invites,
    message_words,
    messages,
    outlines,
    pictures,
    presets,
    queued,
    schema,
    shares,
    sign_ins,
    site,
    spending,
    throttles,
    workers,
)
from webapp.storage.message_words import Found, Hit, Wanted
from webapp.team import Account, Actor, ApiKey, Entry, Invite, Share, SignIn

GONE = Conversation("m1", None, "", "a3", "alice", "Same", "a3q", day(1), day(2))
FINAL = Final("a5r", "Whole", "Why", "<p>", 3, Outcome("done", seconds=1.5))
ADDED = Conversation(
    "m9", 0.3, "Be", "a9", "alice", "New", "a9q", day(8), day(9), pinned=True, folder="Work", options={"seed": 9}
)
ENDED = {
    "pieces a5r/1": None,
    "pieces a5r/2": None,
    "message_words": NEW,
    "counters alice": COUNTED,
    "counters @1.2.3.4": COUNTED,
    "usage": NEW,
}
"""What the end of the reply a5r changes beside it."""
NOTHING = spending.Amount()
NEXT = Queued("alice", "a5", "a5r", "other", "Another", {}, "")
FAILED = Outcome(
    "error",
    "length",
    Failure("network", "Detail", 5),
    Usage(1, 2, 3, 4),
    0.5,
    1.5,
    (Reference("https://example.com/", "Example"),),
    "search",
    ("top_p", "seed"),
)
ANSWER = Message(
    "a1n",
    "a1",
    "a1q",
    "assistant",
    "A quokka",
    "error",
    day(9),
    "Why",
    model="m3",
    outcome=FAILED,
    window=8000,
    least_tokens=7,
    is_imported=True,
)
RUNNING = replace(ANSWER, status="streaming", outcome=None)


def turn_around(connection, record) -> None:
    """Let SQLite read from the end wherever a query asks for no order, as another version of it may."""
    connection.execute("PRAGMA reverse_unordered_selects = ON")


@pytest.fixture(scope="module")
def filled(tmp_path_factory, model_database_url):
    """A database with rows of several users. Each test takes back what it changes."""
    with new_database(tmp_path_factory.mktemp("rows"), model_database_url) as url:
        storage = Storage(url)
        if storage.is_sqlite:
            event.listen(storage._durable, "connect", turn_around)
        with storage.begin() as tx:
            fill(tx)
        yield storage
        storage.close()


@pytest.fixture(scope="module")
def before(filled):
    with filled.read() as tx:
        return all_rows(tx)


@pytest.fixture
def tx(filled):
    with filled.begin() as tx:
        yield tx
        tx.rollback()


def found(tx, query: str, **more: object) -> list[str]:
    """The ids of the messages and conversations that alice finds, once the words of some messages are stored."""
    message_words.add(tx, ["a1q", "a1r", "a1s", "a2q", "a2r", "a3r", "b1r"])
    hits = message_words.find(tx, "alice", Wanted(snippets.terms_of(query), **more)).hits
    return [one.message_id or one.conversation_id for one in hits]


def counted(tx, *times) -> tuple[object, ...]:
    """A counter to which the same was added at these times."""
    for at in times:
        row = spending.add(tx, {"x": spending.Amount(1, 2, 3, 4)}, at)["x"]
    return tuple(row)[1:]


def revised(conversation_id: str, user_id: str, **values: object) -> dict[str, object]:
    """A change of a conversation, and its number."""
    return {f"conversations {conversation_id}": {**values, "revision": 1}, f"users {user_id}": {"revision": 1}}


CHANGES = {
    # Conversations
    "add": (
        lambda tx: conversations.add(tx, ADDED),
        None,
        {"conversations a9": NEW, "foldered a9": NEW, "users alice": {"revision": 1}},
    ),
    "add a hidden one": (
        lambda tx: conversations.add(tx, replace(ADDED, folder=""), deleted_at=day(9)),
        None,
        {"conversations a9": NEW},
    ),
    "change": (
        lambda tx: conversations.change(tx, "alice", "a1", title="New"),
        True,
        revised("a1", "alice", title="New"),
    ),
    "change a deleted one": (lambda tx: conversations.change(tx, "alice", "a3", title="New"), False, {}),
    "change another's": (lambda tx: conversations.change(tx, "bob", "a1", title="New"), False, {}),
    "hide": (
        lambda tx: conversations.hide(tx, "alice", GONE, day(8)),
        True,
        {"conversations a3": {"deleted_at": day(8), "leaf_id": "a3q"}},
    ),
    "hide one that is not deleted": (
        lambda tx: conversations.hide(tx, "alice", replace(GONE, id="a1"), day(8)),
        False,
        {},
    ),
    "hide another's": (lambda tx: conversations.hide(tx, "bob", GONE, day(8)), False, {}),
    "reveal": (lambda tx: conversations.reveal(tx, "alice", day(5)), None, revised("a3", "alice", deleted_at=None)),
    "restore": (lambda tx: conversations.restore(tx, "alice", "a3"), True, revised("a3", "alice", deleted_at=None)),
    "restore another's": (lambda tx: conversations.restore(tx, "bob", "a3"), False, {}),
    "expire": (
        lambda tx: conversations.expire_some(tx, ["alice", "carl"], day(4), day(9), with_pinned=False),
        2,
        {"conversations a1": {"deleted_at": day(9)}, "conversations c1": {"deleted_at": day(9)}},
    ),
    "expire pinned ones too": (
        lambda tx: conversations.expire_some(tx, ["alice"], day(4), day(9), with_pinned=True),
        2,
        {"conversations a1": {"deleted_at": day(9)}, "conversations a2": {"deleted_at": day(9)}},
    ),
    "expire older ones alone": (
        lambda tx: conversations.expire_some(tx, ["alice"], day(3), day(9), with_pinned=True),
        1,
        {"conversations a1": {"deleted_at": day(9)}},
    ),
    "delete those of users who left": (
        lambda tx: [conversations.delete_some_of_left(tx, day(7)) for _time in range(2)],
        [True, False],
        {"conversations c1": {"deleted_at": day(7)}, "conversations c3": {"deleted_at": day(7)}},
    ),
    "purge": (
        lambda tx: [conversations.purge_some(tx, day(4)) for _time in range(2)],
        [True, False],
        {"conversations d1": None, "messages d1q": None, "messages d1r": None, "counters dora": COUNTED},
    ),
    "purge what is not yet old enough": (lambda tx: conversations.purge_some(tx, day(2)), False, {}),
    "a better title": (
        lambda tx: conversations.better_title(tx, "a1", "First", "Better"),
        None,
        revised("a1", "alice", title="Better"),
    ),
    "a better title that comes late": (lambda tx: conversations.better_title(tx, "a1", "Same", "Better"), None, {}),
    "number a change": (lambda tx: changes.number(tx, "alice", "a2"), 1, revised("a2", "alice")),
    "number a change in another's": (lambda tx: changes.number(tx, "alice", "b1"), 1, {"users alice": {"revision": 1}}),
    # Messages
    "store HTML": (
        lambda tx: messages.set_html(tx, [("a1r", "<b>")], 2),
        None,
        {"messages a1r": {"html": "<b>", "renderer": 2}},
    ),
    "save pieces": (
        lambda tx: messages.append(tx, [("a5r", 2, Delta("x")), ("a5r", 3, Delta("c"))]),
        None,
        {"pieces a5r/3": NEW},
    ),
    "finish": (
        lambda tx: messages.finish(tx, [FINAL]),
        None,
        {
            "messages a5r": {
                "text": "Whole",
                "reasoning": "Why",
                "html": "<p>",
                "renderer": 3,
                "status": "done",
                "seconds": 1.5,
                "stop_requested": False,
            },
            **ENDED,
        },
    ),
    "finish once more": (
        lambda tx: messages.finish(tx, [replace(FINAL, reply_id="b1r", outcome=Outcome("done"))]),
        None,
        {
            "messages b1r": {"text": "Whole", "reasoning": "Why", "html": "<p>"},
            "message_words": NEW,
        },
    ),
    "interrupt": (
        lambda tx: messages.interrupt(tx, ["a5r", "b1r"]),
        None,
        {
            "messages a5r": {"text": "12", "status": "interrupted", "stop_requested": False},
            **ENDED,
        },
    ),
    "ask to stop": (lambda tx: messages.request_stop(tx, "b5r"), None, {"messages b5r": {"stop_requested": True}}),
    "ask to stop what has ended": (lambda tx: messages.request_stop(tx, "b1r"), None, {}),
    "ask to stop all of a conversation": (
        lambda tx: messages.request_stops(tx, "b5"),
        ["b5r"],
        {"messages b5r": {"stop_requested": True}},
    ),
    "ask to stop all of a user": (
        lambda tx: sorted(messages.request_stops_of(tx, "bob")),
        ["b4r", "b5r"],
        {"messages b4r": {"stop_requested": True}, "messages b5r": {"stop_requested": True}},
    ),
    "store words of what is not there or runs": (lambda tx: message_words.add(tx, ["x", "a5r"]), None, {}),
    "claim a key": (lambda tx: messages.claim_key(tx, "alice", "new", "a1r"), True, {"sends alice/new": NEW}),
    "claim a used key": (lambda tx: messages.claim_key(tx, "alice", "k", "a1s"), False, {}),
    # Waiting messages
    "let another one wait": (lambda tx: queued.add(tx, NEXT), False, {}),
    "change a waiting one": (
        lambda tx: queued.change(tx, "a5", "k", text="New"),
        True,
        {"queued a5": {"text": "New"}},
    ),
    "change a waiting one that is gone": (lambda tx: queued.change(tx, "a5", "other", text="New"), False, {}),
    "take back a waiting one": (lambda tx: queued.remove(tx, "a5", "k"), True, {"queued a5": None}),
    "take back a waiting one that is gone": (lambda tx: queued.remove(tx, "a5", "other"), False, {}),
    # Folders and presets
    "put into another folder": (
        lambda tx: folders.put(tx, "a1", "f3"),
        None,
        {"foldered a1": {"folder_id": "f3"}},
    ),
    "take out of a folder": (lambda tx: folders.put(tx, "a1", None), None, {"foldered a1": None}),
    "change a folder": (
        lambda tx: folders.change(tx, "alice", Folder("f1", "New", None)),
        True,
        {"folders f1": {"name": "New", "preset_id": None}},
    ),
    "change another's folder": (lambda tx: folders.change(tx, "bob", Folder("f1", "New", None)), False, {}),
    "remove a folder": (
        lambda tx: folders.remove(tx, "alice", "f1"),
        None,
        {"folders f1": None, "foldered a1": None},
    ),
    "remove another's folder": (lambda tx: folders.remove(tx, "bob", "f1"), None, {}),
    "a folder that is there": (lambda tx: folders.named(tx, "alice", "Work", day(9)), "f1", {}),
    "change a preset": (
        lambda tx: presets.change(tx, "alice", Preset("m9", 0.5, "Be", id="p1", name="New", options={"top_p": 1})),
        True,
        {"presets p1": {"name": "New", "model": "m9", "temperature": 0.5, "system": "Be", "options": {"top_p": 1}}},
    ),
    "change another's preset": (lambda tx: presets.change(tx, "bob", Preset("m", 1, "", id="p1", name="N")), False, {}),
    "remove a preset": (
        lambda tx: presets.remove(tx, "alice", "p1"),
        "p1",
        {"presets p1": None, "folders f1": {"preset_id": None}},
    ),
    "remove another's preset": (lambda tx: presets.remove(tx, "bob", "p1"), "", {}),
    # Accounts
    "change an account": (
        lambda tx: accounts.change(tx, "alice", name="New"),
        None,
        {"accounts alice": {"name": "New"}},
    ),
    "leave": (
        lambda tx: accounts.leave(tx, "alice", day(9)),
        None,
        {
            "accounts alice": None,
            **{f"sign_ins hash of t{number}": None for number in (1, 2)},
            **{f"api_keys hash of k{number}": None for number in (1, 2)},
            **{f"queued a{number}": None for number in (1, 2, 5)},
            "presets p1": None,
            "folders f1": {"preset_id": None},
            "users alice": {"deleted_at": day(9)},
        },
    ),
    "purge users who left": (
        lambda tx: accounts.purge_left(tx, day(6)),
        None,
        {"users erin": None, "accounts erin": None, "limits erin/x": None, "counters erin": None},
    ),
    "purge users who left just now": (lambda tx: accounts.purge_left(tx, day(3)), None, {}),
    "note a sign-in": (
        lambda tx: sign_ins.note_seen(tx, "hash of t1", day(9)),
        None,
        {"sign_ins hash of t1": {"seen_at": day(9)}},
    ),
    "end a sign-in": (lambda tx: sign_ins.remove(tx, "alice", "t1"), True, {"sign_ins hash of t1": None}),
    "end another's sign-in": (lambda tx: sign_ins.remove(tx, "bob", "t1"), False, {}),
    "sign out": (lambda tx: sign_ins.remove_token(tx, "hash of t2"), None, {"sign_ins hash of t2": None}),
    "end all other sign-ins": (
        lambda tx: sign_ins.remove_all(tx, "alice", but="hash of t2"),
        None,
        {"sign_ins hash of t1": None},
    ),
    "purge sign-ins": (
        lambda tx: sign_ins.purge(tx, begun_before=day(2), seen_before=day(2)),
        None,
        {"sign_ins hash of t1": None},
    ),
    "purge unused sign-ins": (
        lambda tx: sign_ins.purge(tx, begun_before=day(1), seen_before=day(3)),
        None,
        {"sign_ins hash of t2": None},
    ),
    "note the use of a key": (
        lambda tx: api_keys.note_used(tx, "hash of k1", day(9)),
        None,
        {"api_keys hash of k1": {"used_at": day(9)}},
    ),
    "remove a key": (lambda tx: api_keys.remove(tx, "alice", "k1"), "K1", {"api_keys hash of k1": None}),
    "remove another's key": (lambda tx: api_keys.remove(tx, "bob", "k1"), None, {}),
    "remove all keys": (
        lambda tx: api_keys.remove_all(tx, "alice"),
        2,
        {"api_keys hash of k1": None, "api_keys hash of k2": None},
    ),
    "purge keys": (lambda tx: api_keys.purge(tx, day(5)), None, {"api_keys hash of k1": None}),
    "use an invite": (
        lambda tx: invites.use(tx, "hash of i1", day(4)),
        Invite("i1", "member", day(5), "bob"),
        {"invites i1": {"used_at": day(4)}},
    ),
    "use a used invite": (lambda tx: invites.use(tx, "hash of i2", day(4)), None, {}),
    "use an expired invite": (lambda tx: invites.use(tx, "hash of i4", day(4)), None, {}),
    "remove an invite": (lambda tx: invites.remove(tx, "i1"), True, {"invites i1": None}),
    "remove a used invite": (lambda tx: invites.remove(tx, "i2"), False, {"invites i2": None}),
    "purge invites": (lambda tx: invites.purge(tx, day(3)), None, {"invites i3": None}),
    "purge parts of pictures": (
        lambda tx: [pictures.purge_some(tx, ["a1r", "a3r"]) for _time in range(2)],
        [True, False],
        {"picture_parts g1/0": None, "picture_parts g1/1": None},
    ),
    # Shares, limits and what administrators set
    "revoke a share": (lambda tx: shares.remove(tx, "alice", "s1"), True, {"shares s1": None}),
    "revoke another's share": (lambda tx: shares.remove(tx, "alice", "s2"), False, {}),
    "set a limit": (lambda tx: spending.set_limit(tx, "bob", "x", 7), None, {"limits bob/x": {"value": 7}}),
    "set a first limit": (lambda tx: spending.set_limit(tx, "bob", "y", 7), None, {"limits bob/y": NEW}),
    "remove a limit": (lambda tx: spending.set_limit(tx, "member", "x", None), None, {"limits member/x": None}),
    "allow other models": (
        lambda tx: site.allow(tx, "member", ["m3"]),
        None,
        {"allowed_models member/m1": None, "allowed_models member/m3": NEW},
    ),
    "set a text": (lambda tx: site.set_text(tx, "notice", "New"), None, {"site_texts notice": {"text": "New"}}),
    "remove a text": (lambda tx: site.set_text(tx, "notice", None), None, {"site_texts notice": None}),
    "store a level": (
        lambda tx: throttles.put(tx, {"x2": 0.5}, day(9)),
        None,
        {"throttles x2": {"level": 0.5, "at": day(9)}},
    ),
    "purge levels": (lambda tx: throttles.purge(tx, day(2)), None, {"throttles x1": None}),
    "count an answer that is not stored": (
        lambda tx: spending.book_unstored(tx, "bob", "m3", FAILED, (1, 2, 3), day(9)),
        None,
        {"counters bob": NEW, "usage": NEW},
    ),
    "note what nobody does": (lambda tx: audit.note(tx, None, "x"), None, {}),
    "add an account whose name is taken": (
        lambda tx: accounts.add(tx, Account("carl", "password", "bob", "Carl", "member", day(9))),
        False,
        {},
    ),
    "purge the audit log": (lambda tx: audit.purge(tx, day(2)), None, {"audit 1": None}),
    "count a heartbeat": (lambda tx: workers.count_heartbeat(tx, "w1"), None, {"workers w1": {"beats": 6}}),
    "count a first heartbeat": (lambda tx: workers.count_heartbeat(tx, "w2"), None, {"workers w2": NEW}),
    "forget a worker": (lambda tx: workers.discard(tx, "w1"), None, {"workers w1": None}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_function_changes_the_rows_that_it_names_and_no_others(tx, before, name):
    change, returned, expected = CHANGES[name]

    assert change(tx) == returned

    assert changed(before, all_rows(tx)) == expected


ADDS = {
    "a conversation": (
        lambda tx: conversations.add(tx, ADDED),
        "conversations a9",
        {
            "id": "a9",
            "user_id": "alice",
            "title": "New",
            "model": "m9",
            "temperature": 0.3,
            "system": "Be",
            "options": {"seed": 9},
            "leaf_id": "a9q",
            "pinned": True,
            "created_at": day(8),
            "updated_at": day(9),
            "revision": 1,
        },
    ),
    "the user of a first conversation": (
        lambda tx: conversations.add(tx, replace(ADDED, user_id="fred", folder="")),
        "users fred",
        {"id": "fred", "created_at": day(8), "revision": 1},
    ),
    "the user of a first conversation that is hidden": (
        lambda tx: conversations.add(tx, replace(ADDED, user_id="fred"), deleted_at=day(9)),
        "users fred",
        {"id": "fred", "created_at": day(8), "revision": 0},
    ),
    "the user of a first folder": (
        lambda tx: folders.named(tx, "fred", "New", day(9)),
        "users fred",
        {"id": "fred", "created_at": day(9), "revision": 0},
    ),
    "the user of a first preset": (
        lambda tx: presets.add(tx, "fred", Preset("m", None, "", id="p9", name="New"), day(9)),
        "users fred",
        {"id": "fred", "created_at": day(9), "revision": 0},
    ),
    "a preset": (
        lambda tx: presets.add(tx, "bob", Preset("m", 0.5, "Be", id="p9", name="New", options={"seed": 9}), day(9)),
        "presets p9",
        {
            "id": "p9",
            "user_id": "bob",
            "name": "New",
            "model": "m",
            "temperature": 0.5,
            "system": "Be",
            "options": {"seed": 9},
            "created_at": day(9),
        },
    ),
    "a running reply": (
        lambda tx: messages.add(tx, RUNNING, worker_id="w1", address="192.0.2.1"),
        "messages a1n",
        {
            "id": "a1n",
            "conversation_id": "a1",
            "parent_id": "a1q",
            "role": "assistant",
            "text": "A quokka",
            "reasoning": "Why",
            "model": "m3",
            "status": "streaming",
            "window": 8000,
            "least_tokens": 7,
            "address": "192.0.2.1",
            "is_imported": True,
            "worker_id": "w1",
            "stop_requested": False,
            "created_at": day(9),
            "number": 21,
        },
    ),
    "a piece": (
        lambda tx: messages.append(tx, [("a5r", 3, Delta("c", "r", was_reasoning=True))]),
        "pieces a5r/3",
        {"message_id": "a5r", "number": 3, "text": "c", "reasoning": "r", "was_reasoning": True},
    ),
    "the key of a send": (
        lambda tx: messages.claim_key(tx, "alice", "new", "a1s"),
        "sends alice/new",
        {"user_id": "alice", "key": "new", "reply_id": "a1s"},
    ),
    "a waiting message": (
        lambda tx: queued.add(tx, Queued("bob", "b1", "b1r", "k2", "Text", {"model": "m3"}, "192.0.2.1")),
        "queued b1",
        {
            "conversation_id": "b1",
            "reply_id": "b1r",
            "key": "k2",
            "text": "Text",
            "settings": {"model": "m3"},
            "address": "192.0.2.1",
            "is_held": False,
        },
    ),
    "an account": (
        lambda tx: accounts.add(tx, Account("fred", "oidc", "f", "Fred", "admin", day(9), day(8), 7, "hash")),
        "accounts fred",
        {
            "user_id": "fred",
            "way": "oidc",
            "login": "f",
            "name": "Fred",
            "role": "admin",
            "password": "hash",
            "created_at": day(9),
            "disabled_at": day(8),
            "retention_days": 7,
        },
    ),
    "the user of an account": (
        lambda tx: accounts.add(tx, Account("fred", "oidc", "f", "Fred", "admin", day(9))),
        "users fred",
        {"id": "fred", "created_at": day(9), "revision": 0},
    ),
    "a sign-in": (
        lambda tx: sign_ins.add(tx, SignIn("t9", "hash of t9", "bob", "192.0.2.9", "Opera", day(8), day(9), "token")),
        "sign_ins hash of t9",
        {
            "id": "t9",
            "token_hash": "hash of t9",
            "user_id": "bob",
            "address": "192.0.2.9",
            "browser": "Opera",
            "created_at": day(8),
            "seen_at": day(9),
            "id_token": "token",
        },
    ),
    "a key": (
        lambda tx: api_keys.add(tx, ApiKey("k9", "hash of k9", "bob", "K9", "efgh", day(7), day(9), day(8))),
        "api_keys hash of k9",
        {
            "id": "k9",
            "token_hash": "hash of k9",
            "user_id": "bob",
            "name": "K9",
            "ending": "efgh",
            "created_at": day(7),
            "expires_at": day(9),
            "used_at": day(8),
        },
    ),
    "an invite": (
        lambda tx: invites.add(tx, Invite("i9", "admin", day(9), "bob"), "hash of i9"),
        "invites i9",
        {"id": "i9", "token_hash": "hash of i9", "role": "admin", "user_id": "bob", "expires_at": day(9)},
    ),
    "a share": (
        lambda tx: shares.add(tx, "s9", conversation_id="a5", message_id="a5q", title="S", created_at=day(9)),
        "shares s9",
        {"id": "s9", "conversation_id": "a5", "message_id": "a5q", "title": "S", "created_at": day(9)},
    ),
    "a limit": (
        lambda tx: spending.set_limit(tx, "bob", "y", 7),
        "limits bob/y",
        {"scope": "bob", "name": "y", "value": 7},
    ),
    "a worker": (lambda tx: workers.count_heartbeat(tx, "w2"), "workers w2", {"id": "w2", "beats": 1}),
}


@pytest.mark.parametrize("name", ADDS)
def test_a_new_row_has_these_values_and_no_others(tx, name):
    add, row, expected = ADDS[name]

    add(tx)

    assert {column: value for column, value in all_rows(tx)[row].items() if value is not None} == expected


READS = {
    # Conversations
    "one that was added": (
        lambda tx: conversations.add(tx, ADDED) or conversations.get(tx, "alice", "a9"),
        ADDED,
    ),
    "ids": (lambda tx: conversations.ids(tx, "alice"), ["a2", "a1", "a5"]),
    "count": (lambda tx: conversations.count(tx, "alice"), 3),
    "whether there are more": (
        lambda tx: [conversations.are_more(tx, "alice", most) for most in (2, 3, 5)],
        [True, False, False],
    ),
    "models": (lambda tx: conversations.models(tx, "alice", 9), ["m2", "m1"]),
    "the last models": (lambda tx: conversations.models(tx, "alice", 1), ["m2"]),
    "when it was deleted": (lambda tx: conversations.deleted_at(tx, "alice", "a3"), day(5)),
    "when another's was deleted": (lambda tx: conversations.deleted_at(tx, "bob", "a3"), None),
    "one": (
        lambda tx: conversations.get(tx, "alice", "a1"),
        Conversation("m1", 0.5, "", "a1", "alice", "First", "a1s", day(1), day(1), folder="Work", options={"seed": 1}),
    ),
    "one with defaults": (
        lambda tx: conversations.get(tx, "alice", "a2"),
        Conversation("m2", None, "", "a2", "alice", "Same", "a2r", day(1), day(3), pinned=True),
    ),
    "a deleted one": (lambda tx: conversations.get(tx, "alice", "a3"), None),
    "another's": (lambda tx: conversations.get(tx, "bob", "a1"), None),
    "the list": (lambda tx: [one.id for one in conversations.listed(tx, "alice", None, 9)], ["a2", "a5", "a1"]),
    "the list of a folder": (lambda tx: [one.id for one in conversations.listed(tx, "alice", None, 9, "f1")], ["a1"]),
    "the list of another's folder": (lambda tx: conversations.listed(tx, "alice", None, 9, "f2"), []),
    "the rest of the list": (
        lambda tx: [one.id for one in conversations.listed(tx, "alice", (False, day(1), "a5"), 9)],
        ["a1"],
    ),
    "an opening": (
        lambda tx: conversations.opening(tx, "a1r"),
        conversations.Opening("a1", "First", "m1", "Text a1q", "Text a1r"),
    ),
    "the opening of a deleted one": (lambda tx: conversations.opening(tx, "a3r"), None),
    "the opening of one that runs": (lambda tx: conversations.opening(tx, "a5r"), None),
    "the opening by a later reply": (lambda tx: conversations.opening(tx, "a23"), None),
    "a new folder": (
        lambda tx: conversations.add(tx, replace(ADDED, folder="New")) or [one.name for one in folders.of(tx, "alice")],
        ["a", "New", "Work"],
    ),
    "a hidden one is no change": (
        lambda tx: conversations.add(tx, ADDED, deleted_at=day(9)) or changes.since(tx, "alice", 0),
        [],
    ),
    "the number of the last change": (lambda tx: changes.number(tx, "bob") and changes.revision(tx, "bob"), 1),
    "the number of nobody's last change": (lambda tx: changes.revision(tx, "nobody"), 0),
    "changes": (
        lambda tx: changes.since(tx, "bob", 1),
        [changes.Changed("b3", "Same", "", True), changes.Changed("b5", "Same", "b5r", False)],
    ),
    "states": (
        lambda tx: changes.states(tx, ["bob", "carl", "nobody"]),
        {"bob": changes.State(0, frozenset(["b5"])), "carl": changes.State()},
    ),
    # Messages
    "a tree": (
        lambda tx: messages.tree(tx, "alice", "a1"),
        [Node("a1q", None), Node("a1r", "a1q"), Node("a1s", "a1q")],
    ),
    "another's tree": (lambda tx: messages.tree(tx, "bob", "a1"), []),
    "a tree in the order of its messages": (
        lambda tx: [one.id for one in messages.tree(tx, "alice", "a2")],
        ["a2q", "a2r", "a22", "a23", "a20"],
    ),
    "a message that was added": (lambda tx: messages.add(tx, ANSWER) or messages.get(tx, "alice", "a1n"), ANSWER),
    "a running reply that was added": (
        lambda tx: messages.add(tx, RUNNING) or messages.get(tx, "alice", "a1n"),
        RUNNING,
    ),
    "words of a message that was added": (lambda tx: messages.add(tx, ANSWER) or found(tx, "quokk"), ["a1n"]),
    "words of a message of a known user": (
        lambda tx: messages.add(tx, ANSWER, user_id="alice") or found(tx, "quokk"),
        ["a1n"],
    ),
    "words of a message that runs": (
        lambda tx: messages.add(tx, replace(ANSWER, status="streaming"), user_id="alice") or found(tx, "quokk"),
        [],
    ),
    "words": (lambda tx: found(tx, "text"), ["a1q", "a1r", "a1s", "a2q", "a2r"]),
    "all words": (lambda tx: found(tx, "text a1s"), ["a1s"]),
    "words of two users are apart": (
        lambda tx: found(tx, "text") and len(set(tx.execute(select(schema.message_words.c.owner)).scalars())),
        2,
    ),
    "words begin with their owner as in every version": (
        lambda tx: message_words.add(tx, ["a1q"]) or tx.execute(select(schema.message_words.c.owner)).scalars().all(),
        ["97363a6f"],
    ),
    "words of a model": (lambda tx: found(tx, "text", model="m2"), ["a2q", "a2r"]),
    "words since a day": (lambda tx: found(tx, "text", since=day(3)), ["a2q", "a2r"]),
    "words until a day": (lambda tx: found(tx, "text", until=day(3)), ["a1q", "a1r", "a1s"]),
    "words of titles": (lambda tx: found(tx, "same"), ["a2", "a5"]),
    "words of titles, the last used first": (
        lambda tx: conversations.change(tx, "alice", "a5", updated_at=day(9)) and found(tx, "same"),
        ["a5", "a2"],
    ),
    "words of titles of the same moment": (
        lambda tx: conversations.add(tx, replace(ADDED, id="a9", title="Same", updated_at=day(1))) or found(tx, "same"),
        ["a2", "a5", "a9"],
    ),
    "words of messages, the newest first": (
        lambda tx: messages.add(tx, replace(ANSWER, id="z", text="Text")) or found(tx, "text"),
        ["z", "a1q", "a1r", "a1s", "a2q", "a2r"],
    ),
    "words of messages of the same moment": (
        lambda tx: messages.add(tx, *(replace(ANSWER, id=name) for name in ("z", "y"))) or found(tx, "quokka"),
        ["y", "z"],
    ),
    "a single letter": (lambda tx: found(tx, "t"), []),
    "words of titles alone": (lambda tx: found(tx, "text", place="titles"), []),
    "words of texts alone": (lambda tx: found(tx, "same", place="texts"), []),
    "a title that is found": (
        lambda tx: message_words.find(tx, "alice", Wanted(["first"])),
        Found([Hit("a1", "First", None, None, day(1), snippets.marked("First", snippets.pattern(["first"])))], 1),
    ),
    "a message that is found": (
        lambda tx: messages.add(tx, ANSWER) or message_words.find(tx, "alice", Wanted(["quokka"])),
        Found(
            [
                Hit(
                    "a1",
                    "First",
                    "a1n",
                    "assistant",
                    day(9),
                    snippets.snippet("A quokka", ["quokka"], snippets.pattern(["quokka"])),
                )
            ],
            1,
        ),
    ),
    "some": (
        lambda tx: [(one.id, one.html) for one in messages.some(tx, "alice", "a1", ["a1s", "b1r", "a2r", "a1q"])],
        [("a1s", "<p>new</p>"), ("a1q", None)],
    ),
    "some without HTML": (
        lambda tx: [one.html for one in messages.some(tx, "alice", "a1", ["a1s"], with_html=False)],
        [None],
    ),
    "some with their siblings": (
        lambda tx: [one.siblings for one in messages.some(tx, "alice", "a1", ["a1q", "a1s"], siblings={"a1q": ("x",)})],
        [(), ("x",)],
    ),
    "some of another's": (lambda tx: messages.some(tx, "bob", "a1", ["a1q"]), []),
    "lengths": (lambda tx: messages.lengths(tx, ["a1q", "a1r"]), {"a1q": 8, "a1r": 13}),
    "a message": (lambda tx: messages.get(tx, "alice", "a1r").text, "Text a1r"),
    "a message of a deleted one": (lambda tx: messages.get(tx, "alice", "a3r"), None),
    "another's message": (lambda tx: messages.get(tx, "bob", "a1r"), None),
    "those that are there": (lambda tx: messages.present(tx, "alice", ["a1q", "a3q", "b1q", "x"]), {"a1q", "a3q"}),
    "what a key made": (lambda tx: messages.sent_with(tx, "bob", "k"), "b1r"),
    "what an unknown key made": (lambda tx: messages.sent_with(tx, "bob", "x"), None),
    "pieces": (lambda tx: messages.pieces_after(tx, "a5r", 1), [(2, Delta("2"))]),
    "all pieces in order": (lambda tx: [row[0] for row in messages.pieces_after(tx, "a5r", 0)], [1, 2]),
    "a piece after which all was reasoning": (
        lambda tx: (
            messages.append(tx, [("a5r", 3, Delta("c", "r", was_reasoning=True))])
            or messages.pieces_after(tx, "a5r", 2)
        ),
        [(3, Delta("c", "r", was_reasoning=True))],
    ),
    "what runs": (lambda tx: messages.running(tx, "w1"), {"a5r": True}),
    "what lacks HTML": (lambda tx: messages.unrendered(tx, 2, 9), [("a1r", "Text a1r")]),
    "some that lack HTML": (lambda tx: len(messages.unrendered(tx, 3, 1)), 1),
    "a path": (lambda tx: branches.path(tx, "alice", "a1", "a1r"), ["a1q", "a1r"]),
    "a path of one": (lambda tx: branches.path(tx, "alice", "a1", "a1q"), ["a1q"]),
    "a path of four": (lambda tx: branches.path(tx, "alice", "a2", "a23"), ["a2q", "a2r", "a22", "a23"]),
    "a path in another's": (lambda tx: branches.path(tx, "bob", "a1", "a1r"), []),
    "a path in another conversation": (lambda tx: branches.path(tx, "alice", "a2", "a1r"), []),
    "what was said": (
        lambda tx: branches.said(tx, "alice", "a1", "a1r", 99),
        [
            branches.Said("a1r", "a1q", "assistant", "Text a1r", "done"),
            branches.Said("a1q", None, "user", "Text a1q", "done"),
        ],
    ),
    "what was said last": (lambda tx: [one.id for one in branches.said(tx, "alice", "a1", "a1r", 7)], ["a1r"]),
    "the newest branch": (lambda tx: branches.newest_below(tx, "alice", "a1", "a1q"), "a1s"),
    "the newest branch of another's": (lambda tx: branches.newest_below(tx, "bob", "a1", "a1q"), None),
    "the newest branch, whatever its id": (lambda tx: branches.newest_below(tx, "alice", "a2", "a2q"), "a20"),
    "the end of a long branch": (lambda tx: branches.newest_below(tx, "alice", "a2", "a2r"), "a23"),
    "siblings in the order of their messages": (
        lambda tx: branches.siblings(tx, "a2", ["a2q"]),
        {"a2q": ("a2r", "a20")},
    ),
    "siblings": (
        lambda tx: branches.siblings(tx, "a1", [None, "a1q", "a1s"]),
        {None: ("a1q",), "a1q": ("a1r", "a1s"), "a1s": ()},
    ),
    "how the newest ended": (
        lambda tx: endings.newest(tx, 8),
        [endings.Ending("d1r", "network", "m1", day(1), 0.5), endings.Ending("b1r", None, "m1", day(1), None)],
    ),
    "how all ended": (
        lambda tx: [one.reply_id for one in endings.newest(tx, 99, 2)],
        ["b1r", "a20", "a23", "a2r", "a1s", "a1r"],
    ),
    "outlines": (
        lambda tx: [
            (one.id, one.stamp[:3], one.kept)
            for one in outlines.of(tx, "alice", "a1", ["a1s", "x", "a1q"], {"a1q": ("s",)}, lambda stamp: stamp[-1])
        ],
        [("a1s", ("a1s", "a1q", "done"), ("s",)), ("a1q", ("a1q", None, "done"), ())],
    ),
    "kept messages that outlines ask for": (
        lambda tx: [
            asked := [],
            outlines.of(tx, "alice", "a1", ["a1s"], {}, lambda stamp: asked.append(stamp[0])),
            asked,
        ][2],
        ["a1s"],
    ),
    "an outline of what runs": (
        lambda tx: [(one.stamp, one.kept) for one in outlines.of(tx, "alice", "a5", ["a5r"], {}, lambda stamp: stamp)],
        [((), None)],
    ),
    "a picture": (lambda tx: pictures.get(tx, "alice", "g1"), Picture("image/png", 7, id="g1")),
    "another's picture": (lambda tx: pictures.get(tx, "bob", "g1"), None),
    "a picture of a deleted one": (lambda tx: pictures.get(tx, "alice", "g4"), None),
    "messages without pictures": (lambda tx: pictures.lacking(tx, ["d1r", "a1r"]), {"a1r"}),
    "the pictures of a message": (
        lambda tx: messages.find(tx, "d1r").pictures,
        (Picture("image/png", 7, 1, 2, "g3"),),
    ),
    # Waiting messages, folders and presets
    "the waiting one": (lambda tx: queued.get(tx, "alice", "a1").is_held, True),
    "another's waiting one": (lambda tx: queued.get(tx, "bob", "a1"), None),
    "those that are due": (lambda tx: [one.conversation_id for one in queued.due(tx)], ["a2"]),
    "folders": (lambda tx: folders.of(tx, "alice"), [Folder("f3", "a"), Folder("f1", "Work", "p1")]),
    "another's folder": (lambda tx: folders.get(tx, "bob", "f1"), None),
    "a folder": (lambda tx: folders.get(tx, "alice", "f1"), Folder("f1", "Work", "p1")),
    "the first folder of a new user": (
        lambda tx: folders.named(tx, "fred", "New", day(9)) == folders.of(tx, "fred")[0].id,
        True,
    ),
    "a preset": (
        lambda tx: presets.get(tx, "alice", "p3"),
        Preset("m1", 0.5, "", id="p3", name="p3", is_shared=True, options={"top_p": 1}),
    ),
    "presets": (
        lambda tx: presets.of(tx, "alice"),
        [
            Preset("m1", None, "", id="p1", name="p1"),
            Preset("m1", 0.5, "", id="p3", name="p3", is_shared=True, options={"top_p": 1}),
        ],
    ),
    "another's preset": (lambda tx: presets.get(tx, "bob", "p1"), None),
    "how many presets": (lambda tx: presets.count(tx, "bob"), 1),
    # Accounts
    "an account": (lambda tx: accounts.get(tx, "alice").name, "Alice"),
    "an account's values": (
        lambda tx: accounts.get(tx, "alice"),
        Account("alice", "password", "alice", "Alice", "admin", day(1), None, 9, "hash"),
    ),
    "a disabled account": (lambda tx: accounts.get(tx, "bob").disabled_at, day(4)),
    "an account by its name": (lambda tx: accounts.by_login(tx, "password", "bob").user_id, "bob"),
    "an account of another way": (lambda tx: accounts.by_login(tx, "proxy", "bob"), None),
    "all accounts": (lambda tx: [one.user_id for one in accounts.all_of(tx, "password")], ["alice", "bob", "dora"]),
    "administrators": (lambda tx: accounts.admins(tx, "password"), ["alice"]),
    "administrators in the order of their locks": (
        lambda tx: accounts.change(tx, "dora", disabled_at=None) or accounts.admins(tx, "password"),
        ["alice", "dora"],
    ),
    "days of retention": (lambda tx: accounts.retention_days(tx, "aa", 2), [("alice", 9), ("bob", None)]),
    "days of those after": (lambda tx: [row[0] for row in accounts.retention_days(tx, "carl", 9)], ["dora", "erin"]),
    "a sign-in": (lambda tx: [one.user_id for one in sign_ins.find(tx, "hash of t3")], ["bob", "bob"]),
    "sign-ins": (lambda tx: [one.id for one in sign_ins.of(tx, "alice")], ["t1", "t2"]),
    "sign-ins of the same moment": (
        lambda tx: (
            sign_ins.add(tx, SignIn("t0", "hash of t0", "alice", "", "", day(1), day(3), ""))
            or [one.id for one in sign_ins.of(tx, "alice")]
        ),
        ["t0", "t1", "t2"],
    ),
    "sign-ins, the last used first": (
        lambda tx: sign_ins.note_seen(tx, "hash of t2", day(9)) or [one.id for one in sign_ins.of(tx, "alice")],
        ["t2", "t1"],
    ),
    "a sign-in's values": (
        lambda tx: sign_ins.of(tx, "bob"),
        [SignIn("t3", "hash of t3", "bob", "192.0.2.1", "Firefox", day(3), day(4), "token of t3")],
    ),
    "when users were there": (lambda tx: sign_ins.last_seen(tx), {"alice": day(3), "bob": day(4)}),
    "tokens that are known": (
        lambda tx: sign_ins.known_tokens(tx, ["hash of t1", "hash of k3", "x"]),
        {"hash of t1", "hash of k3"},
    ),
    "users who may sign in": (lambda tx: sign_ins.enabled_users(tx, ["alice", "bob", "carl"]), {"alice"}),
    "a key": (lambda tx: [one.user_id for one in api_keys.find(tx, "hash of k3")], ["bob", "bob"]),
    "keys": (lambda tx: [one.id for one in api_keys.of(tx, "alice")], ["k2", "k1"]),
    "keys of the same moment": (
        lambda tx: (
            api_keys.add(tx, ApiKey("k0", "hash of k0", "alice", "", "", day(1), day(9)))
            or [one.id for one in api_keys.of(tx, "alice")]
        ),
        ["k2", "k0", "k1"],
    ),
    "a key's values": (
        lambda tx: api_keys.of(tx, "bob"),
        [ApiKey("k3", "hash of k3", "bob", "K3", "abcd", day(3), day(7))],
    ),
    "a key that was used": (
        lambda tx: api_keys.note_used(tx, "hash of k3", day(6)) or api_keys.of(tx, "bob")[0].used_at,
        day(6),
    ),
    "an invite": (lambda tx: invites.get(tx, "hash of i1", day(4)).id, "i1"),
    "a used invite": (lambda tx: invites.get(tx, "hash of i2", day(4)), None),
    "an expired invite": (lambda tx: invites.get(tx, "hash of i4", day(4)), None),
    "invites": (lambda tx: [one.id for one in invites.pending(tx, day(3))], ["i4", "i0", "i1"]),
    # Shares, limits and what administrators set
    "a share": (lambda tx: shares.get(tx, "s1").owner, "Alice"),
    "a share of a disabled user": (lambda tx: shares.get(tx, "s2"), None),
    "a share of a deleted one": (lambda tx: shares.get(tx, "s4"), None),
    "shares": (
        lambda tx: shares.of(tx, "alice"),
        [Share(f"s{n}", "alice", "Alice", place, f"{place}r", "T", day(n)) for n, place in [(3, "a2"), (1, "a1")]],
    ),
    "shares of the same moment": (
        lambda tx: (
            shares.add(tx, "s0", conversation_id="a1", message_id="a1q", title="T", created_at=day(1))
            or [one.id for one in shares.of(tx, "alice")]
        ),
        ["s3", "s0", "s1"],
    ),
    "a shared picture": (
        lambda tx: shares.picture(tx, shares.get(tx, "s1"), "g1"),
        (Picture("image/png", 7, id="g1"), "a1r"),
    ),
    "a picture that is not shared": (lambda tx: shares.picture(tx, shares.get(tx, "s1"), "g2"), None),
    "how many shares": (lambda tx: shares.count(tx, "alice"), 3),
    "whether it runs": (lambda tx: [shares.is_running(tx, one) for one in ("a1", "a5")], [False, True]),
    "a limit of one's own": (lambda tx: spending.limit_for(tx, "bob", "x"), 3),
    "a limit of the role": (lambda tx: spending.limit_for(tx, "bob", "y"), 2),
    "a limit of nobody": (lambda tx: spending.limit_for(tx, "alice", "x"), None),
    "a limit of one's own, whatever the id": (lambda tx: spending.limit_for(tx, "zoe", "x"), 5),
    "a limit of one without an account": (lambda tx: spending.limit_for(tx, "carl", "x"), 1),
    "limits of a role": (lambda tx: spending.limits_of(tx, "member"), {"x": 1, "y": 2}),
    "who has limits": (lambda tx: spending.limited(tx), {"member", "bob", "erin", "zoe"}),
    "all rules": (
        lambda tx: spending.rules(tx, "bob", "1.2.3.4"),
        spending.Rules({"x": 3, "y": 2}, {"bob": 2, "@1.2.3.4": 1}),
    ),
    "all rules of one without an account": (
        lambda tx: spending.rules(tx, "carl", None),
        spending.Rules({"x": 1, "y": 2}, {"carl": 0}),
    ),
    "a counter of one minute": (
        lambda tx: counted(tx, day(9), day(9) + timedelta(seconds=59)),
        (29_465_280, 2, "2026-01-09", 4, 6, "2026-01", 4, 8),
    ),
    "a counter of two minutes": (
        lambda tx: counted(tx, day(9), day(9) + timedelta(seconds=60)),
        (29_465_281, 1, "2026-01-09", 4, 6, "2026-01", 4, 8),
    ),
    "a counter of two days": (
        lambda tx: counted(tx, day(9), day(10)),
        (29_466_720, 1, "2026-01-10", 2, 3, "2026-01", 4, 8),
    ),
    "a counter of two months": (
        lambda tx: counted(tx, day(9), day(9) + timedelta(days=31)),
        (29_509_920, 1, "2026-02-09", 2, 3, "2026-02", 2, 8),
    ),
    "replies to count": (lambda tx: list(spending.running_rows(tx, ["b5r", "a5r", "a1r"])), ["a5r", "b5r"]),
    "allowed models": (
        lambda tx: [site.allowed_for(tx, one) for one in ("alice", "bob", "x")],
        [{"m2"}, {"m1"}, {"m1"}],
    ),
    "models of a role": (lambda tx: site.allowed_of(tx, "admin"), ["m2"]),
    "texts": (lambda tx: site.texts(tx), {"notice": "Hello", "welcome": "Hi"}),
    "levels in the order of their locks": (
        lambda tx: list(throttles.levels(tx, ["x3", "x1", "x2"], day(9))),
        ["x1", "x2", "x3"],
    ),
    "levels": (lambda tx: throttles.levels(tx, ["x2", "x9"], day(9)), {"x2": (1.0, day(2)), "x9": (0.0, day(9))}),
    "a long target in the audit log": (
        lambda tx: audit.note(tx, Actor("bob", "Bob", ""), "x", "t" * 201) or audit.newest(tx, 1)[0].target,
        "t" * 199 + "…",
    ),
    "bytes of a reply that ends": (
        lambda tx: messages.finish(tx, [FINAL]) or spending.add(tx, {"alice": NOTHING}, day(9))["alice"].bytes,
        500 + len("Whole") + len("Why") + 7,
    ),
    "bytes of an address whose reply ends": (
        lambda tx: messages.finish(tx, [FINAL]) or spending.add(tx, {"@1.2.3.4": NOTHING}, day(9))["@1.2.3.4"].bytes,
        500 + len("Whole") + len("Why") + 7,
    ),
    "bytes that an address gets back": (
        lambda tx: (
            spending.give_back(tx, ["a1r"], day(9)) or spending.add(tx, {"@1.2.3.4": NOTHING}, day(9))["@1.2.3.4"].bytes
        ),
        500 - len("Text a1r") - len("Why"),
    ),
    "tokens of two replies that end": (
        lambda tx: (
            spending.book(
                tx,
                [
                    (row, Final("", "four", "more", "", 0, FAILED))
                    for row in spending.running_rows(tx, ["b4r", "b5r"]).values()
                ],
                day(9),
            )
            or spending.add(tx, {"bob": NOTHING}, day(9))["bob"][3:5]
        ),
        ("2026-01-09", 6),
    ),
    "figures of an answer that is not stored": (
        lambda tx: (
            spending.book_unstored(tx, "bob", "m" * 201, FAILED, (1, 2, 3), day(9))
            or spending.figures(tx, "model", "2026-01-09")
        ),
        {"m" * 200: spending.Figures(1, 1, 1, 2, 3, 1, 0.5)},
    ),
    "figures of an answer without a token": (
        lambda tx: (
            spending.book_unstored(tx, "bob", "m3", Outcome("done"), (1, 2, 3), day(9))
            or spending.figures(tx, "day", "")
        ),
        {"2026-01-09": spending.Figures(1, 0, 1, 2, 3, 0, 0.0)},
    ),
    "figures of later days": (
        lambda tx: (
            spending.book_unstored(tx, "bob", "m3", FAILED, (1, 2, 3), day(9))
            or spending.figures(tx, "model", "2026-01-10")
        ),
        {},
    ),
    "tokens of an answer that is not stored": (
        lambda tx: (
            spending.book_unstored(tx, "bob", "m3", FAILED, (1, 2, 3), day(9))
            or spending.add(tx, {"bob": NOTHING}, day(9))["bob"].day_tokens
        ),
        3,
    ),
    "figures of replies that were interrupted": (
        lambda tx: messages.interrupt(tx, ["b4r", "b5r"]) or spending.figures(tx, "user_id", ""),
        {"bob": spending.Figures(2, 2, 0, 1, 1)},
    ),
    "figures of two users": (
        lambda tx: (
            messages.interrupt(tx, ["b5r", "a5r"])
            or {name: one.messages for name, one in spending.figures(tx, "user_id", "").items()}
        ),
        {"alice": 1, "bob": 1},
    ),
    "figures of two replies that end": (
        lambda tx: messages.interrupt(tx, ["b4r", "b5r"]) or spending.figures(tx, "model", "")["m1"].messages,
        2,
    ),
    "bytes that are given back": (
        lambda tx: spending.give_back(tx, ["d1r"], day(9)) or spending.add(tx, {"dora": NOTHING}, day(9))["dora"].bytes,
        500 - len("Text d1r") - len("\\é".encode()) - 7,
    ),
    "the audit log": (lambda tx: [one.target for one in audit.newest(tx, 2)], ["3", "2"]),
    "the audit log before": (lambda tx: [one.target for one in audit.newest(tx, 2, before=3)], ["2", "1"]),
    "an entry of the audit log": (lambda tx: audit.newest(tx, 1), [Entry(3, day(3), "Alice", "x", "3", "")]),
    "an entry of the audit log about nobody else": (
        lambda tx: audit.note(tx, Actor("bob", "Bob", ""), "y") or audit.newest(tx, 1)[0].target,
        "",
    ),
    "a new entry of the audit log": (
        lambda tx: (
            audit.note(tx, Actor("bob", "Bob", "192.0.2.1"), "y", "t" * 200)
            or [(one.actor, one.action, one.target, one.address) for one in audit.newest(tx, 1)]
        ),
        [("Bob", "y", "t" * 200, "192.0.2.1")],
    ),
    "heartbeats": (lambda tx: workers.heartbeats(tx), {"w1": 5, "w2": 0}),
}


@pytest.mark.parametrize("name", READS)
def test_a_function_reads_the_rows_that_it_names_and_no_others(tx, name):
    read, expected = READS[name]

    assert read(tx) == expected


LIMITS = {
    "changes": (changes, "MOST_CHANGES", 1, lambda tx: [one.id for one in changes.since(tx, "bob", 0)], ["b5"]),
    "expired ones": (
        conversations,
        "EXPIRED_AT_ONCE",
        1,
        lambda tx: [conversations.expire_some(tx, ["alice"], day(4), day(9), with_pinned=True) for _time in range(3)],
        [1, 1, 0],
    ),
    "those of users who left": (
        conversations,
        "EXPIRED_AT_ONCE",
        1,
        lambda tx: [conversations.delete_some_of_left(tx, day(7)) for _time in range(3)],
        [True, True, False],
    ),
    "purged messages": (
        conversations,
        "MESSAGES_AT_ONCE",
        1,
        lambda tx: conversations.purge_some(tx, day(4)) and len(messages.lengths(tx, ["d1q", "d1r"])),
        1,
    ),
    "parts of pictures": (
        pictures,
        "PARTS_AT_ONCE",
        1,
        lambda tx: [pictures.purge_some(tx, ["a1r"]) for _time in range(3)],
        [True, True, False],
    ),
    "titles that are searched": (message_words, "TITLES", 1, lambda tx: found(tx, "same"), ["a2"]),
    "the letters of a text that a snippet is made of": (
        message_words,
        "SEARCHED_CHARS",
        8,
        lambda tx: (
            messages.add(tx, replace(ANSWER, text="A quokka eats"), user_id="alice")
            or message_words.find(tx, "alice", Wanted(["quokka"])).hits[0].parts
        ),
        snippets.snippet("A quokka", ["quokka"], snippets.pattern(["quokka"])),
    ),
    "texts that are found": (message_words, "HITS", 1, lambda tx: found(tx, "text"), ["a2r"]),
    "folders": (folders, "FOLDERS", 2, lambda tx: folders.named(tx, "alice", "New", day(9)), None),
    "folders of another": (folders, "FOLDERS", 2, lambda tx: bool(folders.named(tx, "bob", "New", day(9))), True),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_function_takes_no_more_at_once_than_its_limit(tx, monkeypatch, name):
    module, limit, number, work, expected = LIMITS[name]
    monkeypatch.setattr(module, limit, number)

    assert work(tx) == expected


ASKED = ["a1q", "x", "a1r", "y", "a1s"]


@pytest.mark.parametrize(
    ("module", "read", "found"),
    [
        (messages, lambda tx: [one.id for one in messages.some(tx, "alice", "a1", ASKED)], ["a1q", "a1r", "a1s"]),
        (
            outlines,
            lambda tx: [one.id for one in outlines.of(tx, "alice", "a1", ASKED, {}, lambda stamp: None)],
            ["a1q", "a1r", "a1s"],
        ),
        (branches, lambda tx: sorted(map(len, branches.siblings(tx, "a1", ASKED).values())), [0, 0, 0, 0, 2]),
        (message_words, lambda tx: message_words.add(tx, ASKED), None),
        (changes, lambda tx: list(changes.states(tx, ["x", "alice", "bob", "y", "carl"])), ["alice", "bob", "carl"]),
    ],
    ids=["some", "outlines", "siblings", "words", "states"],
)
def test_many_ids_are_looked_up_some_at_a_time(tx, monkeypatch, module, read, found):
    monkeypatch.setattr(module, "IDS_PER_QUERY", 2)
    queries: list[str] = []
    event.listen(tx, "before_cursor_execute", lambda *given: queries.append(given[2]))

    assert read(tx) == found

    assert sum(query.startswith("SELECT") for query in queries) == 3


@pytest.mark.parametrize(
    ("walk", "found", "steps"),
    [
        (lambda tx: branches.path(tx, "alice", "a2", "a23"), ["a2q", "a2r", "a22", "a23"], 4),
        (lambda tx: branches.newest_below(tx, "alice", "a2", "a2r"), "a23", 3),
    ],
    ids=["up", "down"],
)
def test_a_long_branch_is_walked_in_short_steps(tx, monkeypatch, walk, found, steps):
    monkeypatch.setattr(branches, "STEPS", 1)
    monkeypatch.setattr(branches, "_up", branches._up.__wrapped__)  # the kept query has the number of steps in it
    queries: list[str] = []
    event.listen(tx, "before_cursor_execute", lambda *given: queries.append(given[2]))

    assert walk(tx) == found

    assert len(queries) == steps
