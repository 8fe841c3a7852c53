#!/usr/bin/python3
"""Writes the Content-Security-Policy of a page that stands by itself: to_policy.py PAGE.html OUT.txt

Nothing is allowed but the page's own script and style, by their hashes, and requests to where it came from.
"""

import base64
import hashlib
import re
import sys


def hashes(page: bytes, element: bytes) -> str:
    """The source list for all elements of that name; ValueError when there is none."""
    found = re.findall(b"<" + element + b">(.*?)</" + element + b">", page, re.DOTALL)
    if not found:
        raise ValueError(f"the page has no {element.decode()}")
    digests = (base64.b64encode(hashlib.sha256(text).digest()).decode() for text in found)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def main() -> None:
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        page = file.read()
    policy = [
        "default-src 'none'",
        "script-src " + hashes(page, b"script"),
        "style-src " + hashes(page, b"style"),
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    with open(target, "w", encoding="ascii") as file:
        file.write("; ".join(policy))


if __name__ == "__main__":
    main()
