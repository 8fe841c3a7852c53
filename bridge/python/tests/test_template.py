"""Workers that become what others are forked from (bridge/BOOT.md)."""

import os
import signal
import time

import pytest
from standin import Template


@pytest.fixture
def warm(zygotes, gateway):
    """A worker, and the template that it may become."""
    zygote = zygotes()
    zygote.load("warming.Warming")
    template = Template()
    worker = gateway.fork(zygote, template=template)
    yield worker, template
    template.socket.close()
    worker.kill()


def become(warm):
    """What the worker says once it has let go of its stream."""
    worker, template = warm
    worker.stream.stop(refork=True)
    event = template.event()
    assert worker.stream.over.wait(10)
    return event


def test_a_warm_worker_becomes_a_template_and_its_forks_are_warm(warm, gateway):
    worker, template = warm
    before = worker.stream.value("look_up")
    event = become(warm)
    assert (event["event"], event["forkable"], event["reason"]) == ("loaded", True, "")
    forks = [gateway.fork(template, f"default-{number}") for number in (2, 3)]
    for fork in forks:
        seen = fork.stream.value("look_up")
        assert seen == {"pid": fork.pid, "cached_in": before["pid"], "forked_in": [fork.pid]}
        assert fork.stream.value("who_asks", request_id="abc") == "abc"
        assert fork.stream.value("look_up_later") == seen
        fork.stream.stop()
        assert fork.exit_status() == 0


def test_a_fork_of_a_template_becomes_the_next(warm, gateway):
    worker, template = warm
    worker.stream.value("look_up_later")  # with an event loop of its own
    assert become(warm)["forkable"]
    following = Template()
    second = gateway.fork(template, "default-2", template=following)
    assert second.stream.value("look_up_later")["forked_in"] == [second.pid]
    assert become((second, following))["forkable"]
    third = gateway.fork(following, "default-3")
    assert third.stream.value("look_up")["forked_in"] == [second.pid, third.pid]
    third.kill()
    following.socket.close()
    assert second.exit_status() == 0


def test_a_worker_whose_stream_is_over_before_it_has_closed_it_becomes_a_template_too(warm, gateway):
    """The gateway ends the stream as soon as it has read all; that can be there before the news that all has left."""
    worker, template = warm
    worker.stream.ping(1)
    worker.stream.state(1)
    os.kill(worker.pid, signal.SIGSTOP)
    worker.stream.stop(refork=True)
    worker.stream.end()
    time.sleep(0.1)  # for both to be in its socket
    os.kill(worker.pid, signal.SIGCONT)
    assert template.event()["forkable"]
    fork = gateway.fork(template, "default-2")
    assert fork.stream.value("look_up")["forked_in"] == [fork.pid]
    fork.kill()


def test_a_session_begins_anew_in_a_fork_of_the_worker_that_had_it(warm, gateway):
    worker, template = warm
    worker.stream.value("sessions_begun", session_id="one")
    assert worker.stream.value("sessions_begun", session_id="one") == [["one", worker.pid]]
    assert become(warm)["forkable"]
    fork = gateway.fork(template, "default-2")
    assert fork.stream.value("sessions_begun", session_id="one") == [["one", worker.pid], ["one", fork.pid]]
    fork.kill()


def test_a_template_ends_when_the_gateway_lets_go_of_it(warm):
    worker, template = warm
    become(warm)
    template.socket.close()
    assert worker.exit_status() == 0


def test_a_worker_with_a_thread_says_why_it_cannot_be_a_template(warm):
    worker, template = warm
    worker.stream.value("start_a_thread")
    event = become(warm)
    assert not event["forkable"]
    assert "'sleeper'" in event["reason"] and "'grpc" not in event["reason"], event
    assert worker.exit_status() == 0


def test_a_template_has_no_thread_and_no_socket_to_the_gateway_left(warm):
    worker, template = warm
    worker.stream.value("look_up")
    become(warm)
    assert os.listdir(f"/proc/{worker.pid}/task") == [str(worker.pid)]
    folder = f"/proc/{worker.pid}/fd"
    kinds = [os.readlink(f"{folder}/{name}").partition(":")[0] for name in os.listdir(folder)]
    assert kinds.count("socket") == 1


def tell_late(worker):
    """Telemetry waits, and nothing else is to be sent."""
    worker.stream.value("tell_soon")
    time.sleep(0.5)


def events(worker):
    return [event.name for frame in worker.stream.frames for event in frame.events]


@pytest.mark.parametrize("profile", ["process", "thread", "async"])
def test_telemetry_that_waits_when_a_worker_is_stopped_leaves_with_it(zygotes, gateway, profile):
    zygote = zygotes()
    zygote.load("warming.Warming")
    worker = gateway.fork(zygote, profile=profile, slots=1 if profile == "process" else 4)
    tell_late(worker)
    worker.stream.stop(grace_ms=60000)
    assert worker.stream.over.wait(10)
    assert worker.exit_status() == 0
    assert events(worker) == ["late"]


def test_what_a_fork_tells_before_its_first_call_arrives_too(warm, gateway):
    _, template = warm
    assert become(warm)["forkable"]
    fork = gateway.fork(template, "default-2")
    fork.stream.value("look_up")
    assert events(fork) == ["forked"]
    fork.kill()


def test_telemetry_that_waits_does_not_keep_a_worker_from_becoming_a_template(warm):
    worker, _ = warm
    tell_late(worker)
    assert become(warm)["forkable"]
