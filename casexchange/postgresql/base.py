"""Checks a kept connection by asking the operating system instead of the server.

Django's own check sends `SELECT 1`, which costs a round trip before each request and each drain.

`ANSWER_TIMEOUT` of a database limits the seconds that a statement waits for its answer, also if the server hangs. Then
the connection must be closed: the answer may still come.
"""

from __future__ import annotations

import select
from functools import partial
from typing import Any

from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection: Any = super().get_new_connection(conn_params)
        if seconds := self.settings_dict.get("ANSWER_TIMEOUT"):
            connection.wait = partial(connection.wait, timeout=seconds)
        return connection

    def is_usable(self) -> bool:
        """Whether the connection still works. Asks the server only if there is something to read from it.

        Between two requests a server sends nothing unless it ends the session. Neither check notices a network that was
        cut; the TCP limits do.
        """
        connection: Any = self.connection
        if connection is None or connection.closed:
            return False
        if connection.info.transaction_status != TransactionStatus.IDLE:
            return super().is_usable()
        waiting = select.poll()
        waiting.register(connection.fileno(), select.POLLIN)
        return not waiting.poll(0) or super().is_usable()
