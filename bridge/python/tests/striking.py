"""Cancels a call at a moment of one's choice."""

import sys

from snakepit_bridge.errors import Cancelled


class Ground:
    """Runs a call that is cancelled as the interpreter does it: between calls of functions, outside of the SDK."""

    def __init__(self, strike_at=0):
        """At the n-th of such moments; 0: never."""
        self._entered = 7
        self._left = strike_at
        self.has_struck = False

    def step_out(self):
        entered, self._entered = self._entered, 0
        return entered

    step_aside = step_out

    def step_in(self, entered):
        self._entered = entered

    def run(self, function, *arguments):
        """Run the call, to its end or until it is cancelled."""
        sys.setprofile(self._strike)
        try:
            value = function(*arguments)
            if hasattr(value, "__next__"):
                list(value)
            self._entered = 0
        except Cancelled:
            pass
        finally:
            sys.setprofile(None)

    def _strike(self, frame, event, argument):
        if self._entered and event in ("call", "c_return"):
            self._left -= 1
            if not self._left:
                self._entered = 0
                self.has_struck = True
                raise Cancelled("now")
