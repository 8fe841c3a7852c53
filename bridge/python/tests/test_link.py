"""The stream itself, by both of gRPC's interfaces."""

import threading

import pytest

from snakepit_bridge import link


@pytest.fixture(params=[link.CythonLink, link.PublicLink])
def connect(request, gateway, pb):
    hello = pb.WorkerFrame(hello=pb.Hello(worker_id="direct")).SerializeToString()
    return lambda address=gateway.address: request.param(address, hello)


def until(stream, wanted):
    stream.receive()
    while True:
        kind, content = stream.next()
        if kind == wanted:
            return content


def test_frames_go_both_ways(connect, gateway, pb):
    stream = connect()
    attached = gateway.attached()
    assert attached.hello.worker_id == "direct"
    stream.receive()
    happened = {}
    while not {link.SENT, link.RECEIVED} <= set(happened):  # Hello has left, in whatever order that is heard of
        happened.update([stream.next()])
    assert pb.GatewayFrame.FromString(happened[link.RECEIVED]).welcome.protocol_version == 1
    stream.send(pb.WorkerFrame(state=pb.State(sequence=7)).SerializeToString())
    attached.state(7)
    attached.end()


def test_good_end_has_no_reason(connect, gateway):
    stream = connect()
    gateway.attached().end()
    until(stream, link.RECEIVED)
    assert until(stream, link.ENDED) == ""


def test_unreachable_gateway_is_an_end_with_a_reason(connect):
    stream = connect("unix:/nowhere/at.all")
    assert until(stream, link.ENDED) != ""


def test_close_is_confirmed(connect, gateway, pb):
    stream = connect()
    gateway.attached()
    until(stream, link.RECEIVED)
    stream.close()
    until(stream, link.CLOSED)


def test_next_is_interrupted_from_another_thread(connect, gateway):
    stream = connect()
    gateway.attached()
    until(stream, link.RECEIVED)
    threading.Timer(0.1, stream.interrupt).start()
    while stream.next()[0] != link.NOTHING:  # SENT, of Hello
        pass


def test_an_interrupt_after_the_end_does_no_harm(connect, gateway):
    stream = connect()
    gateway.attached().end()
    until(stream, link.RECEIVED)
    until(stream, link.ENDED)
    stream.interrupt()
