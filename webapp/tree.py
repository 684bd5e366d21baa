"""The messages of a conversation as a tree: a retry or an edit makes a sibling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Placed(Protocol):
    """A node of a tree."""

    @property
    def id(self) -> str: ...
    @property
    def parent_id(self) -> str | None: ...


Place = TypeVar("Place", bound=Placed)


def in_order(nodes: Sequence[Place]) -> list[Place]:
    """The nodes, parents before children, siblings in the given order. Raises ValueError for a broken tree."""
    children: dict[str | None, list[Place]] = {}
    for node in nodes:
        children.setdefault(node.parent_id, []).append(node)
    if len({node.id for node in nodes}) < len(nodes):
        raise ValueError("two have the same id")
    ordered: list[Place] = []
    waiting = children.get(None, [])[::-1]
    while waiting:
        ordered.append(waiting.pop())
        waiting += children.get(ordered[-1].id, [])[::-1]
    if len(ordered) < len(nodes):
        raise ValueError("one has no parent")
    return ordered


def branch(nodes: Sequence[Placed], leaf_id: str | None) -> list[str]:
    """The ids from the first message to the leaf."""
    parents = {node.id: node.parent_id for node in nodes}
    ids: list[str] = []
    while leaf_id in parents:
        ids.append(leaf_id)
        leaf_id = parents[leaf_id]
    return ids[::-1]
