"""Bodies of multipart/form-data (RFC 7578): their parts, each a field by name."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

PARTS_MAX = 1000
HEAD_MAX = 8192  # bytes of one part's header
BOUNDARY_MAX = 70  # characters, RFC 2046, 5.1.1

_PARAMETER = re.compile(r';\s*([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)')


class Part(NamedTuple):
    """One field. ``filename`` is empty for what is no file, ``content_type`` where none was given."""

    name: str
    filename: str
    content_type: str
    content: bytes


def is_form(content_type: str) -> bool:
    """Whether that is the content type of such a body."""
    return content_type.split(";", 1)[0].strip().lower() == "multipart/form-data"


def parse(body: bytes, content_type: str) -> list[Part]:
    """The parts in order. Raises ValueError, which says what is wrong."""
    boundary = _parameters(content_type).get("boundary", "")
    if not 0 < len(boundary) <= BOUNDARY_MAX or not boundary.isascii():
        raise ValueError("the content type has no boundary of 1 to 70 characters")
    delimiter = b"\r\n--" + boundary.encode()
    at = 0 if body.startswith(delimiter[2:]) else body.find(delimiter) + 2  # there may be a preamble
    if at == 1:
        raise ValueError("the boundary is nowhere in the body")
    at += len(delimiter) - 2
    parts: list[Part] = []
    while not body.startswith(b"--", at):
        at = _end_of_line(body, at)
        end = body.find(delimiter, at - 2)  # an empty header and content end where the line does
        if end < 0:
            raise ValueError("the last part has no end")
        if len(parts) == PARTS_MAX:
            raise ValueError(f"there are more than {PARTS_MAX} parts")
        parts.append(_part(body[at:end]))
        at = end + len(delimiter)
    return parts


def by_name(parts: list[Part]) -> dict[str, list[Part]]:
    """The same, those of one name together."""
    named: dict[str, list[Part]] = {}
    for part in parts:
        named.setdefault(part.name, []).append(part)
    return named


def _end_of_line(body: bytes, at: int) -> int:
    """Behind the line break that ends a delimiter; there may be spaces before it."""
    while body.startswith((b" ", b"\t"), at):
        at += 1
    if not body.startswith(b"\r\n", at):
        raise ValueError("a boundary is not followed by a line break")
    return at + 2


def _part(text: bytes) -> Part:
    head, separator, content = text.partition(b"\r\n\r\n")
    if text.startswith(b"\r\n"):
        head, content = b"", text[2:]
    elif not separator:
        raise ValueError("a part has no content")
    if len(head) > HEAD_MAX:
        raise ValueError(f"a part's header has more than {HEAD_MAX} bytes")
    fields = {}
    for line in head.split(b"\r\n") if head else ():
        name, colon, value = line.partition(b":")
        if not colon:
            raise ValueError("a part's header has a line without a colon")
        fields[name.strip().lower()] = value.strip().decode("utf-8", "replace")
    disposition = _parameters(fields.get(b"content-disposition", ""))
    if "name" not in disposition:
        raise ValueError("a part has no name")
    filename = disposition.get("filename", "") or _extended(disposition.get("filename*", ""))
    return Part(disposition["name"], filename, fields.get(b"content-type", ""), content)


def _parameters(value: str) -> dict[str, str]:
    found = {}
    for name, text in _PARAMETER.findall(value):
        if text.startswith('"'):
            text = re.sub(r"\\(.)", r"\1", text[1:-1])
        found[name.lower()] = text
    return found


def _extended(value: str) -> str:
    """RFC 8187: charset'language'percent-encoded."""
    charset, _, rest = value.partition("'")
    return unquote(rest.partition("'")[2], errors="replace") if charset.lower() == "utf-8" else ""
