"""The tree as the gates see it: files, their code without comments and strings, their functions."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

# From the bottom up: a room may include itself and what stands before it.
ROOMS = (
    "base",
    "pool",
    "bridge",
    "server/http",
    "server/outbound",
    "server/telemetry",
    "server/requests",
    "server/tools",
    "server/calls",
    "server/tool_calls",
    "server/resources",
    "server/config",
    "server",
)

_TOKENS = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<string>"(?:\\.|[^"\\\n])*")|'(?:\\.|[^'\\\n])*'""", re.S
)


@dataclass(frozen=True)
class Finding:
    """One breach of a rule; a warning is printed and does not fail."""

    path: Path
    line: int
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Function:
    """A definition or a prototype; `static` also when it is declared so in a header."""

    name: str
    line: int
    end: int
    static: bool


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


class Source:
    """A C file. `code` and `comments` have its lines and columns, with the rest blanked."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path.relative_to(root)
        self.file = path
        self.text = path.read_text(encoding="utf-8")

    @property
    def room(self) -> str:
        """The folder, if it is a room, else the top folder: "tests"."""
        folder = self.path.parent.as_posix()
        return folder if folder in ROOMS else self.path.parts[0]

    @cached_property
    def code(self) -> str:
        """Without comments and the insides of strings, but with the names of included files."""

        def keep(match: re.Match[str]) -> str:
            line = self.text[self.text.rfind("\n", 0, match.start()) + 1 : match.start()]
            if match["string"] and line.strip() == "#include":
                return match[0]
            return _blank(match[0])

        return _TOKENS.sub(keep, self.text)

    @cached_property
    def comments(self) -> str:
        """Only the comments."""
        spans = [match.span() for match in _TOKENS.finditer(self.text) if match["comment"]]
        parts, last = [], 0
        for start, end in spans:
            parts += [_blank(self.text[last:start]), self.text[start:end]]
            last = end
        return "".join(parts) + _blank(self.text[last:])

    def search(self, pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, re.Match[str]]]:
        """Matches in `text`, one of this file's views, each with its line."""
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, match

    def _tags(self, kind: str) -> list[Function]:
        command = ["ctags", "--language-force=C", f"--kinds-c={kind}", "--fields=+neK"]
        command += ["--output-format=json", "-f", "-", str(self.file)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        tags = [json.loads(line) for line in lines.splitlines()]
        return [
            Function(
                tag["name"],
                tag["line"],
                tag.get("end", tag["line"]),
                bool(tag.get("file")) or "static " in tag.get("pattern", ""),
            )
            for tag in tags
        ]

    @cached_property
    def functions(self) -> list[Function]:
        """The functions that are defined here."""
        return self._tags("f")

    @cached_property
    def prototypes(self) -> list[Function]:
        """The functions that are declared here."""
        return self._tags("p")


class Tree:
    """All our C files below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        found = [path for room in ROOMS for path in root.glob(f"{room}/*.[ch]")]
        found += root.glob("tests/**/*.[ch]")
        self.sources = [Source(path, root) for path in sorted(found)]

    @property
    def rooms(self) -> list[Source]:
        """Without the tests."""
        return [source for source in self.sources if source.room in ROOMS]
