"""Checks a kept connection by asking the operating system instead of the server.

Django's own check sends `SELECT 1`, which costs a round trip before each request and each drain.
"""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus


class DatabaseWrapper(base.DatabaseWrapper):
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
