"""The use cases of the audit log: read it, page by page or whole."""

from __future__ import annotations

from collections.abc import Iterator

from webapp.storage import Storage, audit
from webapp.team import Actor, Entry

PAGE_ENTRIES = 100
READ_AT_ONCE = 500


class Audit:
    """The audit log of one instance. The use cases that it records write it, in their own transactions."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def page(self, before: int | None = None) -> tuple[list[Entry], bool]:
        """The newest entries, or those before the entry with this number; and whether there are older ones."""
        with self._storage.read() as tx:
            found = audit.newest(tx, PAGE_ENTRIES + 1, before=before)
        return found[:PAGE_ENTRIES], len(found) > PAGE_ENTRIES

    def export(self, actor: Actor) -> Iterator[Entry]:
        """All entries, the newest first; the export is the first of them."""
        with self._storage.begin() as tx:
            audit.note(tx, actor, "audit_exported")
        return self._all()

    def _all(self) -> Iterator[Entry]:
        before = None
        while True:
            with self._storage.read() as tx:
                found = audit.newest(tx, READ_AT_ONCE, before=before)
            yield from found
            if len(found) < READ_AT_ONCE:
                return
            before = found[-1].id
