"""What a docstring says: a summary, and a sentence per argument."""

from __future__ import annotations

import inspect
import re
from typing import Any

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Params):\s*$")
_OTHER_SECTION = re.compile(r"^[A-Z][A-Za-z ]*:\s*$")
_ARGUMENT = re.compile(r"^\s+\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


def summary(thing: Any) -> str:
    """The first paragraph of the docstring on one line, or an empty string."""
    text = inspect.getdoc(thing) or ""
    return " ".join(text.split("\n\n", 1)[0].split())


def argument_descriptions(thing: Any) -> dict[str, str]:
    """Argument names with what the "Args:" section (Google's style) says about them."""
    found: dict[str, str] = {}
    name, indent, inside = "", 0, False
    for line in (inspect.getdoc(thing) or "").splitlines():
        if _SECTION.match(line):
            inside = True
            continue
        if not inside or not line.strip():
            continue
        if _OTHER_SECTION.match(line) or not line[0].isspace():
            break
        match, depth = _ARGUMENT.match(line), len(line) - len(line.lstrip())
        if match and (not name or depth <= indent):
            name, indent = match[1], depth
            found[name] = match[2].strip()
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found
