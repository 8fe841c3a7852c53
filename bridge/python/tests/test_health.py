"""What an adapter says about itself."""

import time

import pytest

from snakepit_bridge import loading
from snakepit_bridge.health import FRESH_SECONDS, LABELS_MAX, Health


class Says:
    def __init__(self, answer):
        self.answer = answer
        self.asked = 0

    def health(self):
        self.asked += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


CASES = [
    (None, {"status": "ok", "loaded": []}),
    (True, {"status": "ok", "loaded": []}),
    (False, {"status": "unhealthy", "loaded": []}),
    (["a", "b"], {"status": "ok", "loaded": ["a", "b"]}),
    ({"loaded": "a"}, {"status": "ok", "loaded": ["a"]}),
    ({"healthy": False}, {"healthy": False, "status": "unhealthy", "loaded": []}),
    ({"status": "degraded"}, {"status": "unhealthy", "loaded": []}),
    (OSError("x"), {"status": "unhealthy", "loaded": [], "error": "OSError: x"}),
    (SystemExit(3), {"status": "unhealthy", "loaded": [], "error": "SystemExit: 3"}),
]


@pytest.mark.parametrize("answer, report", CASES, ids=str)
def test_answer_becomes_a_report(answer, report):
    assert Health(Says(answer)).report() == report


def test_adapter_that_says_nothing_is_healthy():
    assert Health(object()).report()["status"] == "ok"


def test_adapter_is_not_asked_too_often():
    time = [0.0]
    says = Says(None)
    health = Health(says, lambda: time[0])
    health.report()
    health.report()
    assert says.asked == 1
    time[0] = 1.5
    health.report()
    assert says.asked == 2


def test_labels_are_limited():
    loaded = Health(Says(["x" * 500] * 200)).report()["loaded"]
    assert (len(loaded), len(loaded[0])) == (LABELS_MAX, 128)


def test_adapter_reports_for_its_object(monkeypatch):
    class Adapter:
        def health(self):
            return ["model"]

        def run(self):
            pass

    class Loop:
        def call(self, hook):
            return hook()

    monkeypatch.setattr(loading, "_find", lambda name: Adapter)
    adapter = loading.Adapter("a")
    assert adapter.health() == {"status": "ok", "loaded": []}
    adapter.start(Loop())
    assert adapter.health() == {"status": "ok", "loaded": ["model"]}


@pytest.mark.parametrize("tool", ["ask", "aask"])
def test_an_adapter_is_asked_between_its_calls_alone(_shared, gateway, tool):
    worker = gateway.fork(_shared("asked.Asked"))
    stream = worker.stream
    call = stream.invocation(tool)
    stream.invoke(call)
    request = stream.tool_call()
    time.sleep(FRESH_SECONDS + 0.05)
    stream.ping(1)
    assert list(stream.state(1).loaded) == ["nothing"]
    stream.reply(request, 1)
    assert isinstance(stream.answer(call.call_id), stream.pb.Result)
    worker.kill()
