"""Plain functions, and a plain class."""

from os.path import join  # noqa: F401  (an imported function is no tool)


def double(x: int) -> int:
    return 2 * x


def _hidden():
    return None


class Greeter:
    def hello(self, name: str) -> str:
        return f"Hello, {name}!"

    def _hidden(self):
        return None
