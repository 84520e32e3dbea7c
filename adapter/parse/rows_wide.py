"""UTF-16 files, as spreadsheets write their Unicode text: read as UTF-8, so that records keep ASCII bytes."""

from __future__ import annotations

import codecs
from typing import BinaryIO

from adapter.errors import Rejected


class Narrowed:
    """A stream of another charset as UTF-8. Reading raises Rejected (charset) at bytes that are none of that charset."""

    def __init__(self, stream: BinaryIO, charset: str) -> None:
        self._stream = stream
        self._charset = charset
        self._decoder = codecs.getincrementaldecoder(charset)()

    def read(self, size: int, /) -> bytes:
        """About so many bytes of UTF-8; none at the end alone."""
        while piece := self._stream.read(max(size, 2)):
            if text := self._decoded(piece, final=False):
                return text
        return self._decoded(b"", final=True)

    def _decoded(self, piece: bytes, *, final: bool) -> bytes:
        try:
            return self._decoder.decode(piece, final).encode()
        except UnicodeError as error:
            raise Rejected("charset", "", f"the file is not {self._charset}") from error
