"""What a worker says of its adapter as it starts."""

import pytest

from snakepit_bridge import BaseAdapter, startup, tool, tools


class Locking(BaseAdapter):
    async def initialize(self):
        pass

    @tool
    async def work(self):
        pass


class Apart(Locking):
    def initialize(self):
        pass


class Waiting(Locking):
    @tool
    def work(self):
        pass


def said(target, capsys):
    startup.warn_of_loops(target, tools.collect(target))
    return capsys.readouterr().err


def test_what_is_made_in_one_event_loop_for_others_is_warned_of(capsys):
    assert "Locking.initialize() is async" in said(Locking, capsys)


@pytest.mark.parametrize("target", [Apart, Waiting])
def test_where_tools_or_hooks_have_no_loop_nothing_is_said(target, capsys):
    assert said(target, capsys) == ""
