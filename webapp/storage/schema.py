"""The tables. Every change here has a migration in `migrations/versions/`; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    literal_column,
    text,
)
from sqlalchemy.types import UserDefinedType

# Two columns have kept the name `thought` in the database; the code calls them `reasoning`.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime. SQLite stores no time zone, so this adds it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


class TsVector(UserDefinedType[str]):
    """PostgreSQL's words of a text. SQLAlchemy's own type would load all of its dialect, for SQLite too."""

    cache_ok = True

    def get_col_spec(self, **_options: object) -> str:
        return "TSVECTOR"


class TsQuery(UserDefinedType[str]):
    """PostgreSQL's query for words."""

    cache_ok = True

    def get_col_spec(self, **_options: object) -> str:
        return "TSQUERY"


users = Table(
    "users",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("created_at", Moment, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),  # the number of the last change
    Column("deleted_at", Moment, index=True),  # the purge deletes what is left of this user
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("title", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("temperature", Float),
    Column("system", Text, nullable=False),
    Column("options", JSON(none_as_null=True)),
    Column("leaf_id", String(36)),  # the last message of the branch that is shown
    Column("pinned", Boolean, nullable=False, server_default=false()),
    Column("deleted_at", Moment),  # deleted, but can still be restored
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),  # the user's number of its last change
    Index(None, "user_id", "updated_at"),
    Index("ix_conversations_listed", "user_id", "pinned", "updated_at", "id"),
    Index(None, "user_id", "revision"),
)
# The same rows on PostgreSQL: see the migrations. To name them here would load its dialect for SQLite too.
Index("ix_conversations_deleted", conversations.c.deleted_at, sqlite_where=text("deleted_at IS NOT NULL"))

NEXT_NUMBER = text("(SELECT coalesce(max(number), 0) + 1 FROM messages)")

messages = Table(
    "messages",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("parent_id", ForeignKey("messages.id", ondelete="CASCADE"), index=True),
    Column("role", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("thought", Text, key="reasoning", nullable=False, server_default=""),
    Column("html", Text),
    Column("renderer", Integer),
    Column("model", Text, nullable=False, server_default=""),
    Column("status", String(16), nullable=False),
    Column("finish_reason", Text),
    Column("failure_reason", Text),
    Column("failure_detail", Text),
    Column("failure_retry_after", Integer),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("window_tokens", Integer, key="window"),  # the context window of the model
    Column("least_tokens", Integer),  # that the request has at least
    Column("first_token_seconds", Float),
    Column("seconds", Float),
    Column("sources", JSON(none_as_null=True)),  # the web pages that the reply relies on: [[url, title], ...]
    Column("tool", Text),  # that the model asked for
    Column("dropped", Text),  # the user's settings that the model refused
    Column("pictures", JSON(none_as_null=True)),  # stored ones: [[id, kind, size, width, height], ...]
    Column("address", String(64)),  # the browser's, where limits hold for addresses too
    Column("is_imported", Boolean, nullable=False, server_default=false()),  # its text and figures are those of a file
    Column("worker_id", String(36)),
    Column("stop_requested", Boolean, nullable=False, server_default=false()),
    Column("created_at", Moment, nullable=False),
    # The order of siblings, because clocks may be set back. Unique within a conversation only.
    Column("number", Integer, nullable=False, server_default="0", default=NEXT_NUMBER, index=True),
)
# A literal, so that the index of running replies serves the query.
IS_RUNNING = messages.c.status == literal_column("'streaming'")
# On PostgreSQL as above.
Index("ix_messages_unrendered", messages.c.renderer, sqlite_where=text("role = 'assistant' AND status <> 'streaming'"))
Index("ix_messages_streaming", messages.c.worker_id, sqlite_where=text("status = 'streaming'"))

# The words of each finished message, for search: see `webapp.storage.message_words`.
# Migration 0003 makes the index over them, a different one for each kind of database.
message_words = Table(
    "message_words",
    metadata,
    Column("number", Integer, primary_key=True),  # in the order of insertion
    Column("message_id", ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("owner", String(8), nullable=False),  # the prefix of each of its words in the index
    Column("words", Text().with_variant(TsVector(), "postgresql"), nullable=False),
)

# Settings that a user saved, to begin conversations with.
presets = Table(
    "presets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("temperature", Float),
    Column("system", Text, nullable=False),
    Column("options", JSON(none_as_null=True)),
    Column("created_at", Moment, nullable=False),
)

# One level: a folder holds conversations only. A new conversation in it begins with its preset.
folders = Table(
    "folders",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("preset_id", ForeignKey("presets.id", ondelete="SET NULL"), index=True),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("user_id", "name"),
)
foldered = Table(
    "foldered",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("folder_id", ForeignKey("folders.id", ondelete="CASCADE"), nullable=False, index=True),
)

# The saved text of running replies: each tick appends rows, the end of a reply deletes them.
pieces = Table(
    "pieces",
    metadata,
    Column("message_id", ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("thought", Text, key="reasoning", nullable=False),
    Column("was_reasoning", Boolean, nullable=False, server_default=false()),  # all text before this piece
)

# The message that waits for the end of a reply, one a conversation. The background sends it: see `webapp.queue`.
queued = Table(
    "queued",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("reply_id", ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("key", String(64), nullable=False),  # of the send; an edit brings a new one
    Column("text", Text, nullable=False),
    Column("settings", JSON, nullable=False),  # as the form brought them
    Column("address", Text, nullable=False),  # the browser's, for the limits
    Column("is_held", Boolean, nullable=False, server_default=false()),  # it cannot be sent: its user has to look
)

# The pictures of replies. A message names those that are whole.
pictures = Table(
    "pictures",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("message_id", ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("size", Integer, nullable=False),
)

# Their bytes, in parts: a whole picture in one statement would hold up the other streams.
picture_parts = Table(
    "picture_parts",
    metadata,
    Column("picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

# The keys of sends, so that a repeated send makes no second message.
sends = Table(
    "sends",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("reply_id", ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, index=True),
)

# Workers with running replies count their heartbeats here. A worker whose count stays the same is dead.
workers = Table(
    "workers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("beats", Integer, nullable=False),
)
