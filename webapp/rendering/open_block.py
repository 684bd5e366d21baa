"""The last block of a growing text: what is shown of it, and what may be done with the next piece of text."""

from __future__ import annotations

from dataclasses import dataclass, field

from webapp.rendering.fence import OpenFence
from webapp.rendering.items import StandIn
from webapp.rendering.notes import REFERENCED

STEP_CHARS = 300  # each time an open block has grown by these, its finished part is looked for


@dataclass(slots=True)
class OpenBlock:
    """The source and the HTML of a block that grows; of its finished part only what is needed to take it back."""

    rest: str = ""  # the source, from the stand-in on
    stand_in: StandIn = field(default_factory=StandIn)
    replaced: list[str] = field(default_factory=list)  # the source that the stand-in replaces
    front: list[str] = field(default_factory=list)  # the HTML that it replaces
    referenced: set[str] = field(default_factory=set)  # the notes that this HTML refers to
    before: str = ""  # the HTML up to the caret
    after: str = ""
    has_caret: bool = False  # words can be appended between `before` and `after`
    unshown: str = ""  # the source behind the caret
    code: OpenFence | None = None
    coloured: dict[tuple[str, str], str] = field(default_factory=dict)  # the HTML of finished code and its language
    waits_for: frozenset[str] = frozenset()  # nothing changes before one of these comes
    waits_until: int = 0  # or `rest` is as long as this
    seen: str = ""  # what of `rest` was parsed last
    seen_chars: int = 0  # how long `rest` was then
    step_at: int = STEP_CHARS

    @property
    def html(self) -> str:
        """The HTML of the whole block."""
        return "".join([*self.front, self.before, self.after])

    def leave_out(self, cut: int, front: str, stand_in: StandIn) -> None:
        """Replace so many characters of the source, which are shown as `front`, by a stand-in."""
        self.stand_in = stand_in
        self.front.append(front)
        self.referenced.update(REFERENCED.findall(front))
        self.before = self.before[len(front) :]
        self.replaced.append(self.rest[:cut])
        self.rest, self.seen = self.rest[cut:], self.seen[cut:]
        self.seen_chars = len(self.rest)
        self.step_at = len(self.seen) + STEP_CHARS
        self.waits_until -= cut

    def without_stand_in(self) -> str:
        """Take the stand-in away; return the source that it replaced."""
        source = "".join(self.replaced)
        self.rest = source + self.rest
        self.before, self.after = self.html, ""
        self.stand_in, self.replaced, self.front, self.referenced = StandIn(), [], [], set()
        return source
