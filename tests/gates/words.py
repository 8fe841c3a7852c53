"""What may not be written."""

import re
from collections.abc import Iterator

from source import Finding, Tree

# Each has a replacement that checks a length, reports an error or is safe between threads.
BANNED = {
    "strcpy": "bytes and buffers",
    "strcat": "bytes and buffers",
    "strncpy": "bytes and buffers",
    "strncat": "bytes and buffers",
    "stpcpy": "bytes and buffers",
    "sprintf": "snprintf or arena_printf",
    "vsprintf": "vsnprintf",
    "gets": "read with a limit",
    "alloca": "an arena",
    "atoi": "strtol with its errors",
    "atol": "strtol with its errors",
    "atoll": "strtoll with its errors",
    "atof": "strtod with its errors",
    "strtok": "strtok_r or bytes",
    "rand": "getrandom",
    "srand": "getrandom",
    "random": "getrandom",
    "tmpnam": "mkstemp",
    "mktemp": "mkstemp",
    "system": "posix_spawn or uv_spawn",
    "popen": "posix_spawn or uv_spawn",
    "localtime": "localtime_r",
    "gmtime": "gmtime_r",
    "setjmp": "error returns",
    "longjmp": "error returns",
    "usleep": "a timer",
}
# A test stops at the first surprise anyway.
TESTS_MAY = {"atoi", "atol", "rand", "srand", "system", "popen", "usleep"}
_BANNED_CALL = re.compile(rf"(?<![\w.>])({'|'.join(BANNED)})\s*\(")

# Words of the rooms above, which a room does not know. Strings are not looked at.
FOREIGN = {
    "base": re.compile(r"\w*(http|grpc|python|worker|session)\w*", re.I),
    "pool": re.compile(r"\w*(http|grpc|mhd_|nghttp|uv_|url|cookie|socket)\w*", re.I),
    "bridge": re.compile(r"\w*(mhd_|nghttp|curl_|http_|status_code)\w*", re.I),
}
_LATER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# A line of a comment that reads as a statement: it ends with a semicolon and is a call, an
# assignment or a return; or it is a lone brace or an if with one. Indented lines are examples.
_DEAD = re.compile(
    r"^[ \t]*(?://|/\*|\*) ?(?:"
    r"(?:return\b[^;\n]*|[\w.>\[\]-]+\([^;\n]*\)|[\w *.>\[\]-]+[-+|&]?= ?[^=;\n]+);"
    r"|(?:if|for|while|switch) \(.*\) ?\{|\} ?(?:else.*)?"
    r")[ \t]*(?:\*/)?$",
    re.M,
)


def banned_functions(tree: Tree) -> Iterator[Finding]:
    """Functions that cannot be used safely."""
    for source in tree.sources:
        for line, match in source.search(_BANNED_CALL, source.code):
            if source.room == "tests" and match[1] in TESTS_MAY:
                continue
            yield Finding(source.path, line, f"{match[1]}: use {BANNED[match[1]]}")


def foreign_words(tree: Tree) -> Iterator[Finding]:
    """No room speaks of what the rooms above it do."""
    for source in tree.rooms:
        pattern = FOREIGN.get(source.room)
        if pattern:
            for line, match in source.search(pattern, source.code):
                yield Finding(source.path, line, f"{match[0]}: not a word of {source.room}/")


def later(tree: Tree) -> Iterator[Finding]:
    """No notes about work that is not done."""
    for source in tree.sources:
        for line, match in source.search(_LATER, source.text):
            yield Finding(source.path, line, match[0])
    for path in sorted(tree.root.glob("bridge/python/**/*.py")):
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if note := _LATER.search(text):
                yield Finding(path.relative_to(tree.root), number, note[0])


def dead_code(tree: Tree) -> Iterator[Finding]:
    """No commented-out code, no #if 0."""
    for source in tree.sources:
        for line, match in source.search(_DEAD, source.comments):
            yield Finding(source.path, line, match[0].strip())
        for line, match in source.search(re.compile(r"^#\s*if\s+0\b", re.M), source.code):
            yield Finding(source.path, line, match[0])


_VARIABLE = re.compile(
    r"^(?!(?:struct|union|enum) \w+;)"
    r"(?!.*\b(?:const|_Thread_local|__thread|typedef|extern|return)\b)"
    r"(?:static )?(?:struct |enum |union |unsigned |_Atomic )*\w+[ *]+\w+(?:\[[^\]]*\])?(?: =.*)?;",
    re.M,
)
# The log level, and nothing else.
_MAY_VARY = {"base/log.c"}


def globals_(tree: Tree) -> Iterator[Finding]:
    """No variables outside functions, but constants and what belongs to one thread."""
    for source in tree.rooms:
        if str(source.path) not in _MAY_VARY:
            for line, match in source.search(_VARIABLE, source.code):
                yield Finding(source.path, line, match[0])
