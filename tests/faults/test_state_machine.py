"""Send, retry, edit, stop, reload, second tab, crash, in any order: the database is what a simple model says."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.vitals import ENDED, Database
from tests.upstream import Request, Wait, chunk, head, token
from tests.visitor import Visitor, text_of
from tests.wait import wait_until
from webapp.generation import Hub
from webapp.storage import Storage
from webapp.watch import Watch

pytestmark = pytest.mark.faults

TEXTS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
SECONDS = 30


@dataclass
class Reply:
    """A reply as the model knows it; `status` is None while it runs."""

    id: str
    question_id: str
    whole: str
    may_end: threading.Event = field(default_factory=threading.Event)
    status: str | None = None


class World:
    """The real server, which may crash, and an upstream that ends an answer when it is told to."""

    def __init__(self, start_server, upstream, database_url):
        self.upstream = upstream
        self.database = Database(database_url)
        self._database_url = database_url
        self._start_server = start_server
        self._gates: dict[int, threading.Event] = {}
        upstream.always(self._answer)
        self.start()

    def start(self):
        self.server = self._start_server(STREAMS_PER_USER=1000, STREAMS_TOTAL=10_000, RETRIES=0)

    def crash(self):
        """Kill everything at once; then bury the dead as the next worker would after some seconds."""
        self.server.kill()
        storage = Storage(self._database_url)
        undertaker = Watch(storage, Hub(lambda text: None), "undertaker", lease_seconds=0, grace_seconds=0)
        wait_until(lambda: undertaker.look() or set(self.database.statuses().values()) <= ENDED, SECONDS)
        storage.close()
        self.start()

    def gate(self, number: int) -> threading.Event:
        """Set it, and the answer to this request, counted from 0, comes to its end."""
        return self._gates.setdefault(number, threading.Event())

    def _answer(self, request: Request):
        return self._script(request, self.gate(len(self.upstream.requests)))

    def _script(self, request: Request, gate: threading.Event):
        first, second = answer_to(request.json["messages"][-1]["content"])
        yield head(content_type="text/event-stream", transfer_encoding="chunked")
        yield chunk(token(first))
        while not gate.is_set():
            yield Wait(0.01)
        yield chunk(token(second)) + chunk(b"data: [DONE]\n\n") + chunk(b"")


def answer_to(question: str) -> tuple[str, str]:
    """Both halves of the answer."""
    return f"Ты спросил: {question} ", "👩‍🚀 and that is *all*."


class Chat(RuleBasedStateMachine):
    """One user in one conversation."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.alice = Visitor(world.server.url)
        self.questions: dict[str, tuple[str | None, str]] = {}  # id -> parent, text
        self.replies: dict[str, Reply] = {}
        self.sends = 0
        self.last = ("", {}, "")

    @initialize(text=TEXTS)
    def begin(self, text):
        self.alice.get("/")
        self.ask("/conversations", None, text)
        self.alice.conversation_id = self.last[2].partition("#")[0].removeprefix("/c/")

    @rule(text=TEXTS)
    def send(self, text):
        self.ask(f"/c/{self.alice.conversation_id}/messages", list(self.replies)[-1], text)

    @rule(data=st.data(), text=TEXTS)
    def edit(self, data, text):
        question = data.draw(st.sampled_from(list(self.questions)))
        self.ask(f"/m/{question}/edit", self.questions[question][0], text)

    @rule(data=st.data())
    def retry(self, data):
        reply = self.replies[data.draw(st.sampled_from(list(self.replies)))]
        made = self.post(f"/m/{reply.id}/retry", {})
        self.expect(made, reply.question_id)

    @rule()
    def send_again(self):
        path, form, place = self.last
        assert self.alice.post_form(path, **form).headers["Location"] == place

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def stop(self, data):
        reply = data.draw(st.sampled_from(self.running()))
        self.alice.stop(reply.id)
        reply.status = "stopped"
        self.world.database.wait_for(reply.id, "stopped", SECONDS)

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def let_end(self, data):
        reply = data.draw(st.sampled_from(self.running()))
        reply.may_end.set()
        reply.status = "done"
        self.world.database.wait_for(reply.id, "done", SECONDS)

    @rule()
    def reload(self):
        shown = self.alice.page()
        assert f'id="m-{list(self.replies)[-1]}"' in shown

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def second_tab(self, data):
        reply = data.draw(st.sampled_from(self.running()))
        events = [self.alice.events(reply.id), self.alice.events(reply.id)]
        assert [next(tab).event for tab in events] == ["reset", "reset"]
        for tab in events:
            tab.close()

    @rule()
    def crash(self):
        self.world.crash()
        self.alice.close()
        self.alice.base_url = self.world.server.url
        for reply in self.running():
            reply.status = "interrupted"

    @invariant()
    def nothing_vanishes_and_nothing_is_invented(self):
        if not self.replies:
            return
        stored = self.world.database.conversation(self.alice.conversation_id)
        assert stored.keys() == self.questions.keys() | self.replies.keys()
        for question, (parent, text) in self.questions.items():
            row = stored[question]
            assert (row.role, row.parent_id, row.text, row.status) == ("user", parent, text, "done")
        for reply in self.replies.values():
            row = stored[reply.id]
            assert (row.role, row.parent_id, row.status) == (
                "assistant",
                reply.question_id,
                reply.status or "streaming",
            )
            assert reply.whole == row.text if reply.status == "done" else reply.whole.startswith(row.text)
            assert reply.whole.startswith(self.alice.raw(reply.id))

    def teardown(self):
        for reply in self.running():
            reply.may_end.set()
        for reply in self.running():
            self.world.database.wait_for(reply.id, "done", SECONDS)
        self.alice.close()

    def running(self) -> list[Reply]:
        return [reply for reply in self.replies.values() if reply.status is None]

    def ask(self, path: str, parent: str | None, text: str) -> None:
        """Send a new question, and expect it with its reply."""
        made = self.post(path, {"text": text})
        question = self.world.database.message(made).parent_id
        assert question not in self.questions
        self.questions[question] = (parent, text)
        self.expect(made, question)

    def post(self, path: str, form: dict[str, str]) -> str:
        """Send a form with a key of its own; the id of the reply that it made."""
        self.sends += 1
        form = {**form, "key": f"key {self.sends}"}
        answer = self.alice.post_form(path, **form)
        assert answer.status_code == 303, text_of(answer.text)
        place = answer.headers["Location"]
        self.last = (path, form, place)
        return place.partition("#m-")[2]

    def expect(self, reply_id: str, question_id: str) -> None:
        """Note a new reply, once the upstream was asked for it and its first half is there."""
        assert reply_id not in self.replies
        # Neighbours of one role are joined on the wire, so the upstream's view decides what the answer is.
        reply = Reply(reply_id, question_id, "")
        wait_until(lambda: self.alice.raw(reply_id), SECONDS, "the first half")
        request = self.world.upstream.requests[-1]
        reply.whole = "".join(answer_to(request.json["messages"][-1]["content"]))
        reply.may_end = self.world.gate(len(self.world.upstream.requests) - 1)
        self.replies[reply_id] = reply


def test_the_chat_is_as_the_model_says(start_server, upstream, database_url):
    world = World(start_server, upstream, database_url)
    chosen = settings(
        max_examples=12,
        stateful_step_count=16,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes
    )

    run_state_machine_as_test(lambda: Chat(world), settings=chosen)

    world.database.close()
