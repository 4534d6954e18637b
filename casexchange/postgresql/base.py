"""Whether a kept connection still works is asked of the operating system, and not of the server.

Django's own check sends `SELECT 1`: a round trip before each request and each drain.
"""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self) -> bool:
        """Between two requests a server says nothing, unless it ends the session: only then there is something to read,
        and the server is asked. A network that was cut is found by neither check, but by the limits of TCP.
        """
        connection: Any = self.connection
        if connection is None or connection.closed:
            return False
        waiting = select.poll()
        waiting.register(connection.fileno(), select.POLLIN)
        return not waiting.poll(0) or super().is_usable()
