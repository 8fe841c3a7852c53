"""Who may know whom, and what a header says."""

import re
from collections.abc import Iterator

from source import ROOMS, Finding, Source, Tree

_INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)

# Libraries that a room leaves to another one.
FOREIGN_LIBRARIES = {
    "base": ("grpc/", "microhttpd", "nghttp2/", "uv.h", "protobuf-c/", "curl/"),
    "pool": ("grpc/", "microhttpd", "nghttp2/", "uv.h", "protobuf-c/", "curl/", "sys/socket.h"),
    "bridge": ("microhttpd", "nghttp2/", "curl/"),
    "server/http": ("grpc/", "protobuf-c/", "curl/"),
    "server/outbound": ("grpc/", "protobuf-c/", "microhttpd", "nghttp2/"),
    "server": ("grpc/", "protobuf-c/", "curl/", "microhttpd", "nghttp2/", "uv.h"),
}
# Where files stand on floors, too: no two of them know each other, be it through others. In base/
# the schema's files walk a tree, a file for each kind of node, and come back for what that holds.
FLOORED_ROOMS = tuple(room for room in ROOMS if room != "base")
# "code": after its name, the status before it, or in a call that has no other text before it.
_PROBLEM_CODE = re.compile(
    r"""(?:\bcode\s*=\s*(?:BYTES\()?|\b[45]\d\d,\s*|\bfailed\(\s*)"([a-z]+(?:_[a-z]+)+)\""""
)
_DEMO = ("demo.py",)  # its codes are its own
# Verbs whose meaning the style fixes once for all, and names; they may go without a comment.
_FIXED_VERBS = ("_init", "_deinit", "_free", "_ref", "_unref", "_name")


def includes(tree: Tree) -> Iterator[Finding]:
    """An include goes down (server, bridge, pool, base) or stays inside its room."""
    for source in tree.rooms:
        below = ROOMS[: ROOMS.index(source.room) + 1]
        foreign = FOREIGN_LIBRARIES.get(source.room) or FOREIGN_LIBRARIES[source.path.parts[0]]
        for line, match in source.search(_INCLUDE, source.code):
            room = (match[1] or "").rpartition("/")[0]
            if room in ROOMS and room not in below:
                yield Finding(source.path, line, f"{source.room}/ may not know {match[1]}")
            if (match[2] or "").startswith(foreign):
                yield Finding(source.path, line, f"<{match[2]}> is not for {source.room}/")


def _users(tree: Tree, room: str) -> dict[str, dict[str, tuple[Source, int]]]:
    """By noun the nouns that it includes or calls, and where: a noun is a .c with its .h."""
    sources = [source for source in tree.rooms if source.room == room]
    home = {
        function.name: source.path.stem
        for source in sources
        if source.path.suffix == ".c"
        for function in source.functions
        if not function.static
    }
    pattern = re.compile(rf'"{room}/(\w+)\.h"|\b(\w+)\b')
    users: dict[str, dict[str, tuple[Source, int]]] = {}
    for source in sources:
        known = users.setdefault(source.path.stem, {})
        for line, match in source.search(pattern, source.code):
            calls = source.path.suffix == ".c" and home.get(match[2] or "")
            noun = match[1] or calls
            if noun and noun != source.path.stem:
                known.setdefault(noun, (source, line))
    return users


def _reaches(users: dict[str, dict[str, tuple[Source, int]]], start: str, goal: str) -> bool:
    seen, left = {start}, [start]
    while left:
        for noun in users.get(left.pop(), ()):
            if noun == goal:
                return True
            if noun not in seen:
                seen.add(noun)
                left.append(noun)
    return False


def floors(tree: Tree) -> Iterator[Finding]:
    """In a floored room an include or a call goes down: no file knows one that knows it."""
    for room in FLOORED_ROOMS:
        users = _users(tree, room)
        for noun, known in users.items():
            for below, (source, line) in known.items():
                if _reaches(users, below, noun):
                    yield Finding(source.path, line, f"{noun} knows {below}, which knows {noun}")


def module_names(tree: Tree) -> Iterator[Finding]:
    """No two test modules of Python have one name: one run of pytest imports them all."""
    seen: dict[str, str] = {}
    found = [*tree.root.glob("tests/**/test_*.py"), *tree.root.glob("bridge/python/tests/test_*.py")]
    for path in sorted(found):
        place = str(path.relative_to(tree.root))
        if path.name in seen:
            yield Finding(place, 1, f"has the name of {seen[path.name]}")
        seen[path.name] = place


# `a_test` (unit/pool/a_test.c)
_NAMED_TEST = re.compile(r"`(\w+)` \(([\w/]+\.(?:c|py))\)")


def checklist(tree: Tree) -> Iterator[Finding]:
    """Each test that the table in tests/README.md names stands in the file that it names."""
    table = tree.root / "tests/README.md"
    if not table.exists():
        return
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
        for name, place in _NAMED_TEST.findall(line):
            folder = "bridge/python/tests" if place.startswith("P/") else "tests"
            path = tree.root / folder / place.removeprefix("P/")
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            if not re.search(rf"START_TEST\({name}\)|WITH_CLIENT\({name}\)|^def {name}\(", text, re.M):
                yield Finding(table.relative_to(tree.root), number, f"{place} has no {name}")


def problem_codes(tree: Tree) -> Iterator[Finding]:
    """Each code that a problem document of the gateway or the SDK may have is named in the description of the API."""
    description = tree.root / "openapi/openapi.yaml"
    if not description.exists():
        return
    named = set(re.findall(r"`([a-z_]+)`", description.read_text(encoding="utf-8")))
    sources = [*tree.root.glob("server/**/*.c"), *tree.root.glob("bridge/python/snakepit_bridge/*.py")]
    for path in sorted(sources):
        text = path.read_text(encoding="utf-8")
        for match in _PROBLEM_CODE.finditer(text):
            if match[1] not in named and path.name not in _DEMO:
                line = text.count("\n", 0, match.start(1)) + 1
                yield Finding(path.relative_to(tree.root), line, f"openapi.yaml does not name `{match[1]}`")


def _explained(lines: list[str], line: int) -> bool:
    """Whether a comment stands above the paragraph of `line` (from 1), or in it."""
    for above in reversed(lines[: line - 1]):
        if not above.strip():
            return False
        if above.rstrip().endswith("*/") or above.lstrip().startswith("//"):
            return True
    return False


def header_comments(tree: Tree) -> Iterator[Finding]:
    """Headers are the manual: a comment above each prototype, or above its paragraph."""
    for source in tree.rooms:
        if source.path.suffix != ".h":
            continue
        lines = source.text.splitlines()
        if not lines or not lines[0].startswith("/*"):
            yield Finding(source.path, 1, "does not begin with what the noun is")
        for function in source.prototypes:
            if not function.name.endswith(_FIXED_VERBS) and not _explained(lines, function.line):
                yield Finding(source.path, function.line, f"{function.name} has no comment")


def _uses(source: Source, name: str) -> int:
    """How often `name` stands in the code, its prototypes not counted."""
    declared = sum(prototype.name == name for prototype in source.prototypes)
    return len(re.findall(rf"\b{name}\b", source.code)) - declared


def exported_unused(tree: Tree) -> Iterator[Finding]:
    """A function that only its own file uses is static; one that nobody uses is not there."""
    for source in tree.rooms:
        if source.path.suffix != ".c":
            continue
        others = [other for other in tree.sources if other is not source]
        for function in source.functions:
            if function.static or function.name == "main":
                continue
            if not any(_uses(other, function.name) for other in others):
                here = _uses(source, function.name) > 1
                text = "is used in this file only: static" if here else "is used nowhere"
                yield Finding(source.path, function.line, f"{function.name} {text}")
