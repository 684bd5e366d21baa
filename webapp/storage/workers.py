"""Workers in the database: their heartbeats."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from webapp.storage.schema import messages, workers


def count_heartbeat(tx: Connection, worker_id: str) -> None:
    """Count one more heartbeat of this worker."""
    counted = tx.execute(update(workers).where(workers.c.id == worker_id).values(beats=workers.c.beats + 1))
    if not counted.rowcount:
        tx.execute(insert(workers).values(id=worker_id, beats=1))


def heartbeats(tx: Connection) -> dict[str, int]:
    """The number of heartbeats of each worker with running replies; 0 for one that has counted none."""
    running = select(messages.c.worker_id.label("id")).where(messages.c.status == "streaming").distinct().subquery()
    query = select(running.c.id, workers.c.beats).outerjoin(workers, workers.c.id == running.c.id)
    return {row.id: row.beats or 0 for row in tx.execute(query)}


def discard(tx: Connection, worker_id: str) -> None:
    """Delete a dead worker."""
    tx.execute(delete(workers).where(workers.c.id == worker_id))
