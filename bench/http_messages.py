"""Just enough of HTTP/1.1 for both ends of a benchmark: what they cost is taken from the same two cores."""

from __future__ import annotations

_LENGTH = b"content-length:"


class Messages:
    """Cuts the bytes of one connection into messages that have a Content-Length."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The messages that are complete now, each as its head and its body. Raises ValueError for another kind."""
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
    """The value of a header, whose name is given in small letters."""
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
