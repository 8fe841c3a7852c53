"""Plain functions of a module are tools, too."""

import os  # noqa: F401  (an imported name is no tool)


def greet(name: str, greeting: str = "Hello") -> str:
    """Greet somebody."""
    return f"{greeting}, {name}!"


def _hidden() -> str:
    return "not a tool"
