"""A form of a browser, multipart/form-data, taken apart as it arrives: short fields, then the file.

The one door to Werkzeug, whose decoder does no input or output itself. Source: RFC 7578.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from euca_box.model.s3_errors import (
    IncorrectNumberOfFilesInPostRequest,
    InvalidArgument,
    MalformedPOSTRequest,
    MaxPostPreDataLengthExceededError,
)

LARGEST_FIELDS_BYTES = 20 * 1024  # S3 API reference, POST Object
_MOST_PARTS = 200
_PIECE = 64 * 1024
_BOUNDARY = re.compile(r";\s*boundary=(?:\"([^\"\\]{1,70})\"|([^\s;\"]{1,70}))", re.IGNORECASE)


@dataclass(slots=True)
class Form:
    """`fields` by name in lower case. The file's bytes are read from `file`, once."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class FormReader:
    """`read_fields`, then `file`."""

    def __init__(self, content_type: str, pieces: AsyncIterator[bytes]) -> None:
        match = _BOUNDARY.search(content_type)
        if match is None:
            raise MalformedPOSTRequest()
        boundary = (match[1] or match[2]).encode("latin-1", "replace")
        self._decoder = MultipartDecoder(boundary, 16 * _PIECE, max_parts=_MOST_PARTS)
        self._pieces = pieces

    async def read_fields(self) -> Form:
        """All fields before the file. Raises InvalidArgument, MalformedPOSTRequest, ..."""
        form, size = Form(), 0
        name, value = "", bytearray()
        async for event in self._events():
            if isinstance(event, (Field, File)):
                name, value = (event.name or "").lower(), bytearray()
                if name == "file":
                    form.filename = event.filename if isinstance(event, File) else ""
                    form.headers = {n.lower(): v for n, v in event.headers.items()}
                    return form
                size += len(name)
            elif isinstance(event, Data):
                value += event.data
                size += len(event.data)
                if not event.more_data:
                    _keep(form.fields, name, value)
            if size > LARGEST_FIELDS_BYTES:
                raise MaxPostPreDataLengthExceededError()
        raise IncorrectNumberOfFilesInPostRequest()  # the form ended before a file

    async def file(self) -> AsyncIterator[bytes]:
        """The bytes of the file, and the rest of the form read away.

        Raises MalformedPOSTRequest when the form ends before its last boundary.
        """
        in_file = True
        async for event in self._events():
            if isinstance(event, File) or (isinstance(event, Field) and (event.name or "").lower() == "file"):
                raise IncorrectNumberOfFilesInPostRequest()
            if isinstance(event, Data) and in_file:
                if event.data:
                    yield bytes(event.data)
                in_file = event.more_data

    async def _events(self) -> AsyncIterator[Event]:
        while True:
            event = self._next()
            if not isinstance(event, NeedData):
                yield event
                if isinstance(event, Epilogue):
                    return
                continue
            piece = await anext(self._pieces, None)
            if piece is None:
                self._decoder.receive_data(None)
                continue
            for start in range(0, len(piece), _PIECE):
                self._feed(piece[start : start + _PIECE])

    def _next(self) -> Event:
        try:
            return self._decoder.next_event()
        except (ValueError, KeyError, RequestEntityTooLarge, UnicodeError):
            raise MalformedPOSTRequest() from None

    def _feed(self, data: bytes) -> None:
        try:
            self._decoder.receive_data(data)
        except RequestEntityTooLarge:
            raise MalformedPOSTRequest() from None


def _keep(fields: dict[str, str], name: str, value: bytearray) -> None:
    if name in fields:
        raise InvalidArgument("A field is given more than once.", ArgumentName=name)
    try:
        fields[name] = value.decode()
    except UnicodeDecodeError:
        raise InvalidArgument("A field is not UTF-8.", ArgumentName=name) from None
