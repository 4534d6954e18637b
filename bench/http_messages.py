"""A minimal HTTP/1.1 parser for client and sink: cheap, since they share two cores with the measured processes."""

from __future__ import annotations

_LENGTH = b"content-length:"


class Messages:
    """Splits the bytes of one connection into messages. Each message needs a Content-Length."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Adds bytes. Returns the messages that are complete now, each as head and body.

        Raises ValueError for a message without a Content-Length.
        """
        self._buffer += data
        messages = []
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end])
            begin, length = end + 4, _content_length(head)
            if len(self._buffer) < begin + length:
                break
            messages.append((head, bytes(self._buffer[begin : begin + length])))
            del self._buffer[: begin + length]
        return messages


def header(head: bytes, name: bytes) -> bytes | None:
    """The value of a header. `name` must be in lower case."""
    place = head.lower().find(b"\r\n" + name + b":")
    if place < 0:
        return None
    begin = place + len(name) + 3
    end = head.find(b"\r\n", begin)
    return head[begin : end if end >= 0 else None].strip()


def _content_length(head: bytes) -> int:
    place = head.lower().find(_LENGTH)
    if place < 0:
        if head.startswith((b"GET ", b"HTTP/1.1 204")):
            return 0
        raise ValueError(f"no Content-Length: {head!r}")
    begin = place + len(_LENGTH)
    end = head.find(b"\r\n", begin)
    return int(head[begin : end if end >= 0 else None])
