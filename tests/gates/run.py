#!/usr/bin/python3
"""run.py [GATE...] runs the gates over the tree; prints path:line and the rule, may fail."""

import sys
from pathlib import Path

import sizes
import structure
import tools
import words
from source import Tree

GATES = (
    sizes.function_length,
    sizes.file_length,
    sizes.complexity,
    words.banned_functions,
    words.foreign_words,
    words.globals_,
    words.later,
    words.dead_code,
    structure.includes,
    structure.floors,
    structure.header_comments,
    structure.exported_unused,
    structure.module_names,
    structure.checklist,
    structure.problem_codes,
    tools.python_style,
    tools.shell_style,
)


def main(names: list[str]) -> int:
    """Returns the exit code."""
    tree = Tree(Path(__file__).resolve().parents[2])
    gates = [gate for gate in GATES if not names or gate.__name__ in names]
    failed = 0
    for gate in gates:
        bad = False
        for finding in gate(tree):
            bad = bad or not finding.warning
            kind = "warning" if finding.warning else "error"
            print(f"{finding.path}:{finding.line}: {kind}: {finding.text}  [{gate.__name__}]")
        if bad:
            failed += 1
            print(f"  {gate.__name__}: {gate.__doc__}")
    print(f"gates: {len(gates) - failed} passed, {failed} failed")
    return 1 if failed or not gates else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
