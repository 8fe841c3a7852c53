"""What ready-made tools say of our Python and shell."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from source import Finding, Tree

_PLACE = re.compile(r"^(?P<path>[^:\n]+):(?P<line>\d+):(?:\d+:)? (?P<text>.*)$", re.M)


def _findings(tree: Tree, command: list[str], paths: list[Path]) -> Iterator[Finding]:
    if not paths:
        return
    names = [str(path.relative_to(tree.root)) for path in paths]
    result = subprocess.run(
        command + names, cwd=tree.root, capture_output=True, text=True, check=False
    )
    found = list(_PLACE.finditer(result.stdout))
    if result.returncode and not found:
        raise RuntimeError(f"{command[0]}: {result.stderr or result.stdout}")
    for match in found:
        yield Finding(Path(match["path"]), int(match["line"]), match["text"])


def python_style(tree: Tree) -> Iterator[Finding]:
    """flake8 at 120 columns is content."""
    paths = [
        path
        for top in ("bridge", "openapi", "docker", "tests", "k8s")
        for path in sorted(tree.root.glob(f"{top}/**/*.py"))
    ]
    # E203 and W503 contradict the formatters that everybody uses.
    command = ["flake8", "--isolated", "--max-line-length=120", "--extend-ignore=E203,W503"]
    yield from _findings(tree, command, paths)


def shell_style(tree: Tree) -> Iterator[Finding]:
    """shellcheck is content."""
    paths = [
        path
        for top in ("docker", "tests", ".ci", "k8s")
        for path in sorted(tree.root.glob(f"{top}/**/*"))
        if path.is_file() and re.match(rb"#!/bin/(ba)?sh", path.read_bytes()[:16])
    ]
    yield from _findings(tree, ["shellcheck", "--format=gcc", "--external-sources"], paths)
