"""The tables of users who sign in: accounts, keys, shares, limits, the audit log."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from webapp.storage.schema import Moment, metadata

# With open login a user has no account.
accounts = Table(
    "accounts",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("way", String(16), nullable=False),
    Column("login", String(200), nullable=False),  # the name in the form that is compared
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password", Text),  # its argon2id hash
    Column("created_at", Moment, nullable=False),
    Column("disabled_at", Moment),
    Column("retention_days", Integer),  # an exception for this user; 0: for ever
    Index(None, "way", "login", unique=True),
)

# The browsers in which users are signed in. The cookie holds the token, the database its SHA-256.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("user_id", ForeignKey("accounts.user_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("address", String(64), nullable=False),
    Column("browser", String(200), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("id_token", Text, nullable=False, server_default=""),  # the identity provider wants it at the sign-out
)

# The keys with which programs use the API in their owner's name. The database holds the SHA-256 of each.
api_keys = Table(
    "api_keys",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("user_id", ForeignKey("accounts.user_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(60), nullable=False),
    Column("ending", String(4), nullable=False),  # of the key, to tell keys apart
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
)

# Links that make an account, or set the password of one.
invites = Table(
    "invites",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("user_id", ForeignKey("accounts.user_id", ondelete="CASCADE")),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
)

# Conversations that the team may read: the branch up to a message, which does not change any more.
shares = Table(
    "shares",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("message_id", ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("title", Text, nullable=False),  # as it was then
    Column("created_at", Moment, nullable=False),
)

# How full the allowances of attempts to sign in are. The keys are hashes of names and addresses.
throttles = Table(
    "throttles",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("level", Float, nullable=False),
    Column("at", Moment, nullable=False),
)

# The audit log. It names people and does not refer to their rows: entries outlive accounts.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Moment, nullable=False, index=True),
    Column("actor_id", String(36), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(32), nullable=False),
    Column("target", String(200), nullable=False),
    Column("address", String(64), nullable=False),
)

# Limits that administrators have set, for a role or for a user's id. Without a row there is no limit.
limits = Table(
    "limits",
    metadata,
    Column("scope", String(36), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# The models that administrators allow a role. A role without rows may use all that are offered.
allowed_models = Table(
    "allowed_models",
    metadata,
    Column("role", String(16), primary_key=True),
    Column("model", String(300), primary_key=True),
)

# The texts that administrators have written. Without a row the setting of that name holds.
site_texts = Table(
    "site_texts",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("text", Text, nullable=False),
)

# What a user or an address has used, for the limits. A counter counts for the period in the column before it.
counters = Table(
    "counters",
    metadata,
    Column("holder", String(80), primary_key=True),  # a user's id, or @ and an address
    Column("minute", BigInteger, nullable=False),  # since 1970
    Column("messages", Integer, nullable=False),
    Column("day", String(10), nullable=False),
    Column("day_tokens", BigInteger, nullable=False),
    Column("imports", Integer, nullable=False),
    Column("month", String(7), nullable=False),
    Column("month_tokens", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),  # stored now
)

# The figures of the usage page. They outlive conversations and accounts.
usage = Table(
    "usage",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("user_id", String(36), primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("messages", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("estimated_tokens", BigInteger, nullable=False),  # of these two, where the upstream gave no numbers
    Column("begun", Integer, nullable=False),  # answers of which something came
    Column("first_token_seconds", Float, nullable=False),  # of these, their sum
)
