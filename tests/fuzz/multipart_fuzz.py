#!/usr/bin/python3
"""Forms: what was put in comes out, and whatever else comes is refused and nothing worse."""

import random
import sys
from typing import List, Optional

from rounds import main

from snakepit_bridge import multipart
from snakepit_bridge.errors import Refused
from snakepit_bridge.parameters import Parameters

BOUNDARIES = ["b", "----WebKitFormBoundaryAaB03x", "=_'()+,-./:?", "x" * 70]
LETTERS = ["a", "é", '"', "\\", ";", "=", " ", "name", ":", "'", "\t", "%41"]
CONTENTS = [b"", b"\r\n", b"--", b"\r", b"\n--", b"\x00\xff", b"Content-Disposition: form-data; name=z\r\n\r\n", b"1"]
JUNK = [b"", b"\r\n", b"--", b";", b'"', b"\\", b":", b" ", b"\xff", b"=", b"; name=q", b"; filename*=utf-8''%ff"]


def text(dice: random.Random) -> str:
    return "".join(dice.choice(LETTERS) for _ in range(dice.randrange(5)))


def part(dice: random.Random) -> multipart.Part:
    content = b"".join(dice.choice(CONTENTS) for _ in range(dice.randrange(6)))
    kind = dice.choice(["", "text/plain", "application/json; charset=utf-8"])
    return multipart.Part(text(dice), text(dice), kind, content)


def quoted(given: str) -> str:
    return '"' + given.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(given: multipart.Part) -> bytes:
    head = f"Content-Disposition: form-data; name={quoted(given.name)}"
    if given.filename:
        head += f"; filename={quoted(given.filename)}"
    if given.content_type:
        head += f"\r\nContent-Type: {given.content_type}"
    return head.encode() + b"\r\n\r\n" + given.content


def form(parts: List[multipart.Part], boundary: str, dice: random.Random) -> bytes:
    body = dice.choice([b"", b"preamble\r\n"])
    for each in parts:
        body += b"--" + boundary.encode() + dice.choice([b"", b" \t"]) + b"\r\n" + written(each) + b"\r\n"
    return body + b"--" + boundary.encode() + b"--" + dice.choice([b"", b"\r\n", b"\r\nepilogue"])


def damaged(body: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.randrange(1, 5)):
        at, end = sorted(dice.randrange(len(body) + 1) for _ in range(2))
        parts = [body[:at], body[at:], body[:at] + body[end:], body[:end] + body[at:]]
        body = dice.choice([*parts, body[:at] + dice.choice(JUNK) + body[at:]])
    return body


def tool(a: bytes = b"", é: int = 0, name: str = "", z: Optional[List[float]] = None) -> None:
    """Everything may be missing."""


def is_refused(body: bytes, content_type: str) -> bool:
    try:
        multipart.parse(body, content_type)
    except ValueError:
        return True
    return False


def check(dice: random.Random) -> None:
    parts = [part(dice) for _ in range(dice.randrange(5))]
    boundary = dice.choice(BOUNDARIES)
    content_type = f"multipart/form-data; boundary={quoted(boundary)}"
    body = form(parts, boundary, dice)
    if not any(b"--" + boundary.encode() in written(each) for each in parts):
        assert multipart.parse(body, content_type) == parts, body
        assert is_refused(body[: body.rindex(b"--" + boundary.encode())], content_type), body
    assert is_refused(body, "multipart/form-data; boundary=" + dice.choice(["", "x" * 71, '""', '"é"']))
    body = damaged(body, dice)
    if dice.random() < 0.1:
        content_type = damaged(content_type.encode(), dice).decode("latin-1")
    if not is_refused(body, content_type):
        assert all(each.content in body for each in multipart.parse(body, content_type)), body
    try:
        Parameters("tool", tool, False).bind(body, content_type)
    except Refused:
        pass


if __name__ == "__main__":
    sys.exit(main("multipart", check))
