"""Each gate sees what it is there for, and leaves good code alone."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sizes
import structure
import words
from source import ROOMS, Finding, Tree

Gate = Callable[[Tree], Iterator[Finding]]


def lines_of(gate: Gate, root: Path, **files: str) -> list[str]:
    """Writes room__noun_c="text" to room/noun.c, and returns what the gate says as path:line."""
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        path = root / f"{stem.replace('__', '/')}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [f"{found.path}:{found.line}" for found in gate(Tree(root)) if not found.warning]


def body(lines: int) -> str:
    """A function of that many lines."""
    return "\n".join(["void f(void)", "{", *["    g();"] * (lines - 3), "}", ""])


BAD: list[tuple[Gate, dict[str, str], list[str]]] = [
    (sizes.function_length, {"base__a_c": body(61)}, ["base/a.c:1"]),
    (sizes.function_length, {"base__a_c": body(60)}, []),
    (sizes.file_length, {"base__a_c": "\n" * 601}, ["base/a.c:601"]),
    (
        sizes.complexity,
        {"base__a_c": "int f(int x)\n{\n" + "if (x) x--;\n" * 20 + "return x;\n}\n"},
        ["base/a.c:1"],
    ),
    (
        structure.problem_codes,
        {"openapi__openapi_yaml": "`one_two`", "server__a_c": 'code = "one_two";\nrefuse(400, "three_four");\n'},
        ["server/a.c:2"],
    ),
    (words.banned_functions, {"base__a_c": "int f(char *s)\n{\n    gets(s);\n}\n"}, ["base/a.c:3"]),
    (words.banned_functions, {"base__a_c": '/* strcpy(s) */ char *s = "strcpy(";\n'}, []),
    (words.foreign_words, {"pool__a_c": "int http_status;\n"}, ["pool/a.c:1"]),
    (words.foreign_words, {"pool__a_c": "/* knows no HTTP */\n"}, []),
    (words.globals_, {"pool__a_c": "static int n;\nstatic const int m = 3;\n"}, ["pool/a.c:1"]),
    (words.later, {"pool__a_c": "int x; /* TO" + "DO: more */\n"}, ["pool/a.c:1"]),
    (words.dead_code, {"pool__a_c": "/* Waits;\n * then goes. */\n// x = f(y);\n"}, ["pool/a.c:3"]),
    (words.dead_code, {"pool__a_c": "#if 0\n#endif\n"}, ["pool/a.c:1"]),
    (
        structure.includes,
        {"pool__a_c": '#include "base/mem.h"\n#include "server/http/exchange.h"\n#include <uv.h>\n'},
        ["pool/a.c:2", "pool/a.c:3"],
    ),
    (
        structure.includes,
        {
            "server__http__a_c": '#include "server/calls/job.h"\n#include <nghttp2/nghttp2.h>\n',
            "server__calls__b_c": '#include "server/http/a.h"\n#include <nghttp2/nghttp2.h>\n',
        },
        ["server/calls/b.c:2", "server/http/a.c:1"],
    ),
    (
        structure.floors,
        {
            "pool__a_c": '#include "pool/b.h"\nvoid a(void)\n{\n}\n',
            "pool__b_h": "void b(void);\nstruct c;\n",
            "pool__b_c": "void b(void)\n{\n    c();\n}\n",
            "pool__c_c": "static void f(void)\n{\n}\nvoid c(void)\n{\n    a();\n    f();\n}\n",
            "pool__d_c": '#include "pool/a.h"\nstatic void f(void)\n{\n}\n',
        },
        ["pool/a.c:1", "pool/b.c:3", "pool/c.c:6"],
    ),
    (
        structure.floors,
        {"pool__a_h": '#include "pool/b.h"\n', "pool__b_c": '#include "pool/a.h"\n'},
        ["pool/a.h:1", "pool/b.c:1"],
    ),
    (
        structure.header_comments,
        {"base__a_h": "/* A. */\n\n/* Does. */\nvoid f(void);\nvoid g(void);\n\nvoid h(void);\n"},
        ["base/a.h:7"],
    ),
    (
        structure.checklist,
        {
            "tests__README_md": "`a_test` (a.c)\n`test_b` (b.py), `test_c` (b.py)\n",
            "tests__a_c": "START_TEST(a_test)\n",
            "tests__b_py": "def test_b():\n",
        },
        ["tests/README.md:2"],
    ),
    (
        structure.exported_unused,
        {
            "base__a_h": "void f(void);\nvoid g(void);\n",
            "base__a_c": "void f(void)\n{\n}\nvoid g(void)\n{\n}\n",
            "pool__b_c": "static void h(void)\n{\n    g();\n}\n",
        },
        ["base/a.c:1"],
    ),
]


@pytest.mark.parametrize(("gate", "files", "expected"), BAD)
def test_gate_finds(gate: Gate, files: dict[str, str], expected: list[str], tmp_path: Path) -> None:
    assert lines_of(gate, tmp_path, **files) == expected


def test_rooms_are_those_of_the_build() -> None:
    text = (Path(__file__).resolve().parents[2] / "CMakeLists.txt").read_text(encoding="utf-8")
    assert (*re.findall(r"^add_room\((\S+)", text, re.M), "server") == ROOMS
