"""A user deletes their own account, and with it all that is theirs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection

from webapp.accounts import Accounts, actor_of, shown_name
from webapp.errors import Invalid
from webapp.generation import Hub
from webapp.language import gettext as _
from webapp.storage import Storage, accounts, audit, messages
from webapp.team import PASSWORD, Account, Client
from webapp.users import keep_an_admin


class Leaving:
    """Deletes accounts at once; `wake` lets the upkeep purge the conversations in small steps."""

    def __init__(self, storage: Storage, hub: Hub, known: Accounts, wake: Callable[[], None]) -> None:
        self._storage = storage
        self._hub = hub
        self._accounts = known
        self._wake = wake

    def leave(self, account: Account, client: Client, proof: str) -> None:
        """Delete the account of who asks. `proof` is the password, or the typed name of who signs in elsewhere.

        Ends their sign-ins, open answers and running replies. The audit log keeps the name.
        Raises Throttled, Busy, Forbidden, Invalid, and Conflict for the last administrator.
        """
        if account.way == PASSWORD:
            self._accounts.prove(account, client, proof)
        elif shown_name(proof) != shown_name(account.name):
            raise Invalid(_("Type your name to delete your account: %(name)s") % {"name": account.name})

        def leave(tx: Connection) -> list[str]:
            keep_an_admin(tx, account)
            running = messages.request_stops_of(tx, account.user_id)
            accounts.leave(tx, account.user_id, datetime.now(UTC))
            audit.note(tx, actor_of(account, client), "account_deleted", account.name)
            return running

        for reply_id in self._storage.run(leave):
            self._hub.stop(reply_id)
        self._wake()
