"""The answer to one request as a stream of deltas, for the pages: text, reasoning, pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from webapp import references
from webapp.chat import Activity, Delta, Reference
from webapp.config import UpstreamConfig
from webapp.errors import UpstreamError
from webapp.loop import give_way
from webapp.text import first_bytes
from webapp.upstream import answers, pictures
from webapp.upstream.alike import Alike
from webapp.upstream.asking import Asking, Progress
from webapp.upstream.exchange import Exchange
from webapp.upstream.payloads import load
from webapp.upstream.refusals import Body, Refusals
from webapp.upstream.thinking import Thinking

MODEL_CHARS = 200
PART_CHARS = 65_536  # of a larger text; others have their turn between the parts


@dataclass(slots=True)
class _Progress(Progress):
    """The state of one try."""

    has_text: bool = False
    has_reasoning: bool = False
    sources: tuple[Reference, ...] = ()
    tool: str = ""
    pictures: pictures.Gathered = field(default_factory=pictures.Gathered)
    activity: Activity | None = None
    model: str = ""
    answer_bytes: int = 0
    alike: Alike = field(default_factory=Alike)
    repeats: answers.Repeats = field(default_factory=answers.Repeats)
    thinking: Thinking = field(default_factory=Thinking)


class Stream(Asking[Delta]):
    """The deltas of one answer; what it tells of the whole comes on the last one."""

    _progress: _Progress

    def __init__(self, exchange: Exchange, limits: UpstreamConfig, body: Body, known: Refusals) -> None:
        super().__init__(exchange, limits, body, known)
        self.listen(lambda activity: None, lambda: None)
        self._joins_texts = False

    @property
    def model(self) -> str:
        """The model that the upstream says answers; empty where it does not say."""
        return self._progress.model

    def listen(self, on_activity: Callable[[Activity], None], on_wait: Callable[[], None]) -> None:
        """Call these while iterating: when the upstream works but brings no text; when all that arrived is yielded.

        From now on, tokens that arrived together may come as one delta; without a listener each has its own.
        """
        self._on_activity, self._on_wait, self._joins_texts = on_activity, on_wait, True

    def _new_progress(self) -> _Progress:
        return _Progress()

    def _take(self, data: str) -> Iterator[Delta]:
        return self._give(self._delta_of(data))

    def _take_objects(self, objects: list[bytes]) -> Iterator[Delta]:
        """The deltas of several events: for a listener, after the first ones, one of all that are nothing but text."""
        if not (self._joins_texts and self._progress.began):
            yield from super()._take_objects(objects)
            return
        texts = self._progress.alike.texts_of(objects)
        text = "".join(texts or ())
        if texts is None or pictures.has_pictures(text):
            yield from self._take_different(objects)
        else:
            yield from self._give(Delta(text))

    def _take_different(self, objects: list[bytes]) -> Iterator[Delta]:
        texts: list[str] = []
        for data in objects:
            text = answers.text_of(load(data))
            if text is not None:
                texts.append(text)
                self._progress.alike.learn(data, text)
                continue
            yield from self._give(Delta("".join(texts)))
            texts.clear()
            yield from self._take(data.decode("utf-8", "replace"))
        yield from self._give(Delta("".join(texts)))

    def _take_whole(self, payload: Any) -> Iterator[Delta]:
        self._note_model(payload)
        return self._give(pictures.taken_out(answers.delta_of(payload)))

    def _take_comment(self) -> None:
        self._tell("working")

    def _wait(self) -> None:
        self._on_wait()

    def _delta_of(self, data: str) -> Delta:
        """The delta of one event; a message that repeats what came before it adds nothing."""
        progress = self._progress
        pictures.pause_for(data)
        payload = load(data)
        if not (progress.model and progress.began):  # oMLX names "keepalive" before the first text
            self._note_model(payload)
        delta = pictures.taken_out(answers.delta_of(data if payload is None else payload))
        self._note_told(payload)
        if progress.began and '"message"' in data and answers.is_whole(payload):
            text = progress.repeats.rest_of(delta.text, is_last=bool(delta.finish_reason))
            return replace(delta, text=text, reasoning="" if progress.has_reasoning else delta.reasoning)
        return delta

    def _note_model(self, payload: Any) -> None:
        name = payload.get("model") if isinstance(payload, dict) else None
        if isinstance(name, str) and name:
            self._progress.model = name[:MODEL_CHARS]

    def _give(self, delta: Delta) -> Iterator[Delta]:
        """Yield the delta's text and reasoning. Keep its usage and finish reason for the last delta."""
        progress = self._progress
        self._note_usage(delta)
        if delta.sources and delta.sources != progress.sources:
            known = (*progress.sources, *delta.sources)
            progress.sources = references.of((source.url, source.title) for source in known)
        if delta.text or delta.reasoning:
            if not progress.began:  # Open WebUI says "stop" in the first chunk of an answer of Ollama
                progress.finish_reason = None
            progress.thinking.has_reasoning |= bool(delta.reasoning)
            progress.repeats.note(delta.text)
            beside = delta.reasoning
            for start in range(0, len(delta.text) or 1, PART_CHARS):
                if start:
                    give_way()
                text, reasoning, was_reasoning = progress.thinking.feed(delta.text[start : start + PART_CHARS])
                yield from self._give_text(text, beside + reasoning, was_reasoning)
                beside = ""
        if delta.images and (new := progress.pictures.take(delta.images)):
            self._begin()
            yield from self._passed(Delta(images=new))
        if delta.tool:
            progress.tool = progress.tool.strip("?") or delta.tool
            self._tell("calling")
        self._note_finish(delta)

    def _tell(self, activity: Activity) -> None:
        """Tell once what the upstream does while no text comes. Comments within a text tell nothing."""
        progress = self._progress
        if progress.activity != activity and not (activity == "working" and progress.began):
            progress.activity = activity
            self._on_activity(activity)

    def _give_rest(self) -> Iterator[Delta]:
        """Yield the text that was kept back because it could begin a tag."""
        yield from self._give_text(*self._progress.thinking.end())

    def _give_text(self, all_text: str, all_reasoning: str, was_reasoning: bool) -> Iterator[Delta]:
        progress = self._progress
        if not all_text and not all_reasoning and not was_reasoning:
            return
        self._begin()
        room = self._limits.max_answer_bytes - progress.answer_bytes
        reasoning = first_bytes(all_reasoning, room)
        text = first_bytes(all_text, room - len(reasoning.encode()))
        progress.answer_bytes += len(text.encode()) + len(reasoning.encode())
        progress.has_text = (progress.has_text and not was_reasoning) or (bool(text) and not text.isspace())
        progress.has_reasoning |= bool(reasoning) or was_reasoning
        progress.activity = None
        if text or reasoning or was_reasoning:
            yield from self._passed(Delta(text, reasoning, was_reasoning=was_reasoning))
        if text != all_text or reasoning != all_reasoning:
            raise UpstreamError("answer_too_large")

    def _conclude(self) -> Iterator[Delta]:
        """Yield the last delta. Raises UpstreamError for an answer that is incomplete or empty."""
        yield from self._give_rest()
        progress = self._progress
        if not progress.has_text and not progress.pictures:
            self._raise_for_no_text()
        if not (progress.done or progress.finish_reason):
            raise UpstreamError("cut_off")
        last = Delta(
            finish_reason=progress.finish_reason,
            usage=progress.usage,
            sources=progress.sources,
            tool=progress.tool.strip("?"),
            dropped=(*self._dropped, *(["picture"] if progress.pictures.is_short else [])),
        )
        if last != Delta():
            yield from self._passed(last)

    def _raise_for_no_text(self) -> None:
        """Say what came instead of an answer. Returns for a model that used up its length while it thought."""
        progress = self._progress
        if progress.finish_reason == "content_filter":
            raise UpstreamError("filtered")
        self._raise_for_no_answer()
        if progress.began and not (progress.done or progress.finish_reason):
            raise UpstreamError("cut_off")
        if progress.tool:
            raise UpstreamError("tool", progress.tool.strip("?"))
        if pictures.NAMED.search(self._head):
            raise UpstreamError("picture")
        if progress.finish_reason != "length":
            raise UpstreamError("no_answer" if progress.has_reasoning else "empty")
