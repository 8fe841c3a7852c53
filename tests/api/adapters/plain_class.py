"""A class that knows nothing of Snakepit."""


class Calculator:
    def __init__(self):
        self.total = 0

    def accumulate(self, amount: int) -> int:
        """Add to the total of this worker."""
        self.total += amount
        return self.total

    def _hidden(self) -> str:
        return "not a tool"
