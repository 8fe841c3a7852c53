"""What a tool asks of its session's variables, with a gateway that answers at once."""

import pytest

from snakepit_bridge import requests, values, variables
from snakepit_bridge.errors import VariableError
from striking import Ground


class Answering:
    """An outbox, and the gateway behind it."""

    def __init__(self, pb):
        self.pb = pb
        self.asked = []
        self.registry = requests.Requests(self)

    def put(self, request):
        self.asked.append(request)
        named = [write.name.decode() for write in request.writes] or ["x"]
        found = [self.pb.Variable(name=name, value=b"1234", version=1) for name in named]
        self.registry.take_variables(self.pb.SessionReply(id=request.id, variables=found, revision=len(self.asked)))

    def flush(self):
        pass


def asking(pb, strike_at=0):
    """The variables of a call that is cancelled at that moment, what runs it, and whom it asks."""
    gateway = Answering(pb)
    ground = Ground(strike_at)
    ground.shares_loop, ground.block, ground.requests = False, lambda gate, ready: None, gateway.registry
    return variables.Variables(pb.Invoke(session_id="s", call_id=7, session_number=7), ground), ground, gateway


def size_kept(cache):
    return sum(len(kept.value) for session in cache._sessions.values() for _, kept in session.kept.values())


@pytest.mark.parametrize("step", ["set", "all", "clear_cache", "set_cache_ttl"])
def test_what_is_remembered_is_right_whenever_a_call_is_cancelled(pb, step):
    arguments = {"set": ["x", 2], "set_cache_ttl": [1]}.get(step, [])
    strike_at, is_struck = 0, True
    while is_struck:
        strike_at += 1
        mine, ground, gateway = asking(pb, strike_at)
        cache = gateway.registry.cache
        cache.put(7, [pb.Variable(name="x", value=b"1")], 0)
        ground.run(getattr(mine, step), *arguments)
        is_struck = ground.has_struck
        assert cache._size == size_kept(cache), strike_at
        assert step != "set" or not gateway.asked or cache.get(7, "x") is None, strike_at
    assert strike_at >= 5


@pytest.mark.parametrize("name", ["\N{SNOWMAN}" * 40, ""], ids=["written", "deleted"])
def test_many_short_values_are_too_large_together(pb, monkeypatch, name):
    """Each of them has a name, and costs some bytes beside it."""
    monkeypatch.setattr(values, "MAX_BODY", 1000)
    mine, _, gateway = asking(pb)
    with pytest.raises(VariableError) as error:
        if name:
            mine.update({name + str(n): 1 for n in range(15)})
        else:
            mine.update(delete=[name] * 1000)
    assert (error.value.code, gateway.asked) == ("variable_too_large", [])
    mine.update({"x": 1})
