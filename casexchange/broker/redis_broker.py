"""Kombu's Redis transport without its record of unacknowledged messages.

Messages carry no data here: if one is lost with its worker, the work waits a few seconds for the next sweep. Keeping
the record would take four more Redis commands per message. Also, when Redis goes away, Kombu would try to give back
unacknowledged messages through the closed connection, which ends the worker.
"""

from typing import Any

from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(redis.Channel):
    ack_emulation = False
    do_restore = False

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection.client is None:
            # Kombu would raise an error here that its callers do not treat as a connection error.
            raise RedisConnectionError("The connection to the broker is closed.")
        return super()._connparams(asynchronous)


class Transport(redis.Transport):
    Channel = Channel
