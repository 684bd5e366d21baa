"""The use cases of what was kept: search in it, take it out, put it in again. Each opens its own transaction."""

from __future__ import annotations

import logging
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from sqlalchemy import Connection

from webapp import language, snippets
from webapp.chat import Conversation, Message
from webapp.config import Config
from webapp.conversations import TURN_CHARS, too_many_conversations
from webapp.errors import NotFound, TooLarge
from webapp.generation import merge
from webapp.imports import Batch, Head
from webapp.language import gettext as _
from webapp.limits import FILES, HOUR_SECONDS, IMPORTS, Allowance, Gate, Holder
from webapp.loop import give_way
from webapp.storage import Storage, conversations, messages, search
from webapp.storage.search import Hit
from webapp.text import clean
from webapp.transfer import Record
from webapp.tree import branch, in_order
from webapp.typesetter import Typesetter
from webapp.upstream.models import Models

ROOT = Path(__file__).parent.parent
READER = "import sys; from webapp.imports import main; main(*sys.argv[1:])"
TYPESET_SECONDS = 2.0  # how long an import waits for the HTML of its replies
READ_SECONDS = 60.0  # for a file that is read; an honest one takes a few
READ_MESSAGES = 8  # at a time: each may be as large as an answer can be
FILES_PER_USER = 2  # are made or read at a time
FILES_PER_ADDRESS = 4
FILES_TOTAL = 8

log = logging.getLogger(__name__)


class Archive:
    """The kept conversations of all users; every method is told whose."""

    def __init__(
        self, config: Config, storage: Storage, models: Models, stored_chars: Allowance, typesetter: Typesetter
    ) -> None:
        self._config = config
        self._typesetter = typesetter
        self._storage = storage
        self._models = models
        self._stored_chars = stored_chars
        self._imports = Allowance(IMPORTS, config.imports_per_hour, HOUR_SECONDS)
        self.gate = Gate(FILES, per_user=FILES_PER_USER, per_address=FILES_PER_ADDRESS, total=FILES_TOTAL)

    def find(self, user_id: str, query: str) -> list[Hit]:
        """The titles and messages in which all words of the query stand; nothing for an empty one."""
        with self._storage.read() as tx:
            return search.find(tx, user_id, snippets.terms_of(clean(query)))

    def get(self, user_id: str, conversation_id: str) -> Record:
        """A conversation whole, running replies with the text that is saved. Raises NotFound."""
        with self._storage.read() as tx:
            conversation = conversations.get(tx, user_id, conversation_id)
            if conversation is None:
                raise NotFound(_("This conversation does not exist."))
            nodes = messages.tree(tx, user_id, conversation_id)
        give_way()
        ids = [node.id for node in in_order(nodes)]
        return Record(conversation, ids, branch(nodes, conversation.leaf_id), partial(self._read, conversation))

    def all(self, user_id: str) -> Iterator[Record]:
        """Yield the user's conversations, the last used first."""
        with self._storage.read() as tx:
            conversation_ids = conversations.ids(tx, user_id)
        for conversation_id in conversation_ids:
            try:
                record = self.get(user_id, conversation_id)
            except NotFound:  # deleted meanwhile
                continue
            yield record

    def add(self, holder: Holder, file: IO[bytes]) -> list[Conversation]:
        """Store the conversations of a file as new ones, all or none. Raises Invalid, TooLarge, Busy."""
        self._imports.spend(holder, 1)
        with self._read_file(file) as (head, batches):
            self._check(holder, head)
            added = self._add(holder.user_id, batches)
        self._typesetter.catch_up(TYPESET_SECONDS)
        return added

    def _read(self, conversation: Conversation, message_ids: Sequence[str]) -> Iterator[Message]:
        for start in range(0, len(message_ids), READ_MESSAGES):
            ids = message_ids[start : start + READ_MESSAGES]
            with self._storage.read() as tx:
                found = messages.some(tx, conversation.user_id, conversation.id, ids, with_html=False)
                found = [_with_text(tx, message) for message in found]
            yield from found
            give_way()  # the other streams of this worker have their turn

    @contextmanager
    def _read_file(self, file: IO[bytes]) -> Iterator[tuple[Head, Iterator[Batch]]]:
        """What a file holds, as another process reads it: that one may take its time."""
        limits = (self._config.max_question_chars, self._config.max_answer_bytes)
        with TemporaryDirectory(prefix="lockchat-") as directory:
            source, target = Path(directory) / "source", Path(directory) / "target"
            with source.open("wb") as copy:
                shutil.copyfileobj(file, copy)
            arguments = map(str, (source, target, language.current(), *limits))
            try:
                subprocess.run([sys.executable, "-c", READER, *arguments], cwd=ROOT, check=True, timeout=READ_SECONDS)
            except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
                log.warning("a file could not be read: %s", error)
                raise TooLarge(_("This file takes too long to read. Import it in parts.")) from None
            with target.open("rb") as result:
                head: Head = pickle.load(result)
                if head.refusal:
                    raise head.refusal
                yield head, _batches(result)

    def _check(self, holder: Holder, head: Head) -> None:
        with self._storage.read() as tx:
            if conversations.count(tx, holder.user_id) + head.conversations > self._config.conversations_per_user:
                raise too_many_conversations(self._config.conversations_per_user)
        self._stored_chars.spend(holder, head.chars + head.messages * TURN_CHARS // 2)

    def _add(self, user_id: str, batches: Iterator[Batch]) -> list[Conversation]:
        """Store the batches, each in a short transaction: other writers have their turn in between.

        Until all are there they count as deleted. So does what a worker leaves that dies meanwhile.
        """
        added: list[Conversation] = []
        hidden_at = datetime.now(UTC)
        names = self._models.names()
        for batch in batches:
            started = time.monotonic()
            new = [
                replace(one, user_id=user_id, model=one.model if one.model in names else names[0])
                for one in batch.conversations
            ]
            with self._storage.begin(durable=False) as tx:
                for conversation in new:
                    conversations.add(tx, conversation, deleted_at=hidden_at)
                messages.add(tx, *batch.messages)
            added += new
            time.sleep(time.monotonic() - started)  # half of the time is the others'
        with self._storage.begin() as tx:  # durable, and with it all that was written before
            conversations.reveal(tx, user_id, hidden_at)
        return added


def _batches(file: IO[bytes]) -> Iterator[Batch]:
    while True:
        try:
            yield pickle.load(file)
        except EOFError:
            return


def _with_text(tx: Connection, message: Message) -> Message:
    if message.status != "streaming":
        return message
    so_far = merge([delta for _number, delta in messages.pieces_after(tx, message.id, 0)])
    return replace(message, text=so_far.text, thought=so_far.reasoning)
