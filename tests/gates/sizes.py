"""How long a file and a function may be, and how tangled."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from source import ROOMS, Finding, Tree

# For code, for tests. Complexity is McCabe's, a switch counting once, && and || each.
FUNCTION_LINES = {True: 60, False: 100}
FUNCTION_LINES_WARN = 50
FILE_LINES = {True: 600, False: 900}
COMPLEXITY = {True: 20, False: 25}


def function_length(tree: Tree) -> Iterator[Finding]:
    """A function is at most 60 lines long, better 50; a test 100."""
    for source in tree.sources:
        in_room = source.room in ROOMS
        for function in source.functions:
            lines = function.end - function.line + 1
            text = f"{function.name} has {lines} lines"
            if lines > FUNCTION_LINES[in_room]:
                yield Finding(source.path, function.line, text)
            elif in_room and lines > FUNCTION_LINES_WARN:
                yield Finding(source.path, function.line, text, warning=True)


def file_length(tree: Tree) -> Iterator[Finding]:
    """A file is at most 600 lines long; a file of tests 900."""
    for source in tree.sources:
        lines = source.text.count("\n")
        if lines > FILE_LINES[source.room in ROOMS]:
            yield Finding(source.path, lines, f"{lines} lines")


def complexity(tree: Tree) -> Iterator[Finding]:
    """A function has at most 20 ways through it, one more for each branch; a test 25."""
    for source in tree.sources:
        command = ["pmccabe", str(source.file)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for line in lines.splitlines():
            modified, _, _, start, _, where = line.split("\t")
            if int(modified) > COMPLEXITY[source.room in ROOMS]:
                name = Path(where).name.partition(": ")[2]
                yield Finding(source.path, int(start), f"{name} has a complexity of {modified}")
