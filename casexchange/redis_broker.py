"""Kombu's Redis transport without its bookkeeping of what was taken and is not acknowledged yet.

Messages carry no data here: one that is lost with the worker that took it costs the seconds until the next sweep. The
bookkeeping would be four more commands for each message. And when Redis goes away, Kombu tries to give back what a
worker has in hand through the very connection that is closed, which ends the worker.
"""

from typing import Any

from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(redis.Channel):
    ack_emulation = False
    do_restore = False

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection.client is None:
            # Kombu fails here in a way that its callers take for no connection error.
            raise RedisConnectionError("The connection to the broker is closed.")
        return super()._connparams(asynchronous)


class Transport(redis.Transport):
    Channel = Channel
