"""Kombu's filesystem broker with atomic writes.

Kombu opens a file under its final name and then writes to it. A worker that reads the file in between gets an empty
message and ends with an error. Here the message is written to a draft, which is then renamed.
"""

import uuid
from pathlib import Path
from time import monotonic_ns

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


def _write(file: Path, content: str) -> None:
    # The suffix .draft keeps a worker from reading the draft as a message.
    draft = file.with_name(f"{file.name}.{uuid.uuid4().hex}.draft")
    try:
        draft.write_text(content, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise ChannelError(f"{file} cannot be written: {error.strerror}") from error


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: object, **kwargs: object) -> None:  # type: ignore[override]
        # The name begins with the time because messages are read in the order of their names.
        name = f"{monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        _write(Path(self.data_folder_out, name), dumps(payload))

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        file = self._exchange_file(exchange)
        with Path(self.control_folder, "bind.lock").open("a") as guard:
            filesystem.lock(guard, filesystem.LOCK_EX)
            bound = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
            table = self.get_table(exchange)
            if bound not in table:
                _write(file, dumps([bound, *table]))


class Transport(filesystem.Transport):
    Channel = Channel
