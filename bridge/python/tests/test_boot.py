"""How processes come to life, and end (bridge/BOOT.md)."""

import gc
import os
import signal
import subprocess
import time

from standin import PATIENCE, PYTHON, Page


def gone(pid):
    """Whether a process ends, zombies counted as ended."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_load_is_answered(zygotes):
    event = zygotes().load("snakepit_bridge.demo.Demo", ["json"])
    assert event["event"] == "loaded"
    assert event["forkable"] is True and event["reason"] == ""
    assert event["import_ms"] >= 0 and event["python"].startswith("3.")


def test_failing_import_is_reported_and_ends_the_process(zygotes):
    zygote = zygotes()
    event = zygote.load("broken_import")
    assert (event["event"], event["kind"]) == ("failed", "import")
    assert "a_module_that_is_not_there" in event["message"]
    assert "broken_import.py" in event["traceback"]
    assert zygote.process.wait(PATIENCE) == 1


def test_module_that_exits_is_a_failed_import(zygotes):
    assert zygotes().load("exits_on_import")["kind"] == "import"


def test_failing_preload_is_reported(zygotes):
    assert zygotes().load("plain", ["no_such_preload"])["kind"] == "import"


def test_bad_tool_name_is_reported(zygotes):
    assert "'not allowed'" in zygotes().load("badly_named")["message"]


def test_interpreter_without_grpc_is_reported_as_missing(zygotes):
    zygote = zygotes("missing")
    event = zygote.load("plain")
    assert (event["event"], event["kind"]) == ("failed", "missing")
    assert zygote.process.wait(PATIENCE) == 1


def test_thread_started_at_import_forbids_forking(zygotes):
    event = zygotes().load("threaded")
    assert event["forkable"] is False
    assert "'poller' of module threaded" in event["reason"]


def test_unforkable_process_becomes_a_worker(zygotes, gateway):
    zygote = zygotes()
    zygote.load("threaded")
    page = Page()
    zygote.order(gateway.order("become"), page.descriptor)
    stream = gateway.attached()
    assert stream.hello.pid == zygote.process.pid
    assert stream.value("ping") == "pong"
    assert zygote.socket.recv(100) == b""
    stream.stop()
    assert zygote.process.wait(PATIENCE) == 0


def test_zygote_leaves_with_its_socket(zygotes):
    zygote = zygotes()
    zygote.load("plain")
    zygote.socket.close()
    assert zygote.process.wait(PATIENCE) == 0


def test_hello_introduces_the_worker(worker):
    hello = worker.stream.hello
    assert (hello.protocol_version, hello.worker_id, hello.token) == (1, "default-1", b"\x00\xff")
    assert (hello.pool, hello.pid, hello.slots) == ("default", worker.pid, 1)
    assert "me" in [item.name for item in hello.tools]


def test_worker_is_the_gateways_child(worker):
    with open(f"/proc/{worker.pid}/stat") as file:
        assert int(file.read().rpartition(")")[2].split()[1]) == os.getpid()


def test_adapter_is_made_and_initialized_once_in_the_worker(worker):
    me = worker.stream.value("me")
    assert me == {"pid": worker.pid, "made_in": worker.pid, "initialized": 1}
    assert worker.stream.value("me") == me


def test_worker_has_clean_signals_group_and_descriptors(zygotes, gateway):
    zygote = zygotes()
    zygote.load("sample.Sample", ["handlers"])
    worker = gateway.fork(zygote)
    found = worker.stream.value("process")
    children_sockets = found.pop("sockets_of_children")
    assert found == {
        "group": worker.pid,
        "stdin": "/dev/null",
        "interrupt_ignored": True,
        "terminate_default": True,
        "user_default": True,
    }
    assert children_sockets == "1"  # the listing's own
    worker.kill()


def test_forks_have_random_numbers_of_their_own(zygotes, gateway):
    zygote = zygotes()
    zygote.load("sample.Sample", ["handlers"])
    workers = [gateway.fork(zygote, f"default-{n}") for n in range(2)]
    assert len({worker.stream.value("dice") for worker in workers}) == 2
    for worker in workers:
        worker.kill()


def test_zygote_outlives_its_workers_and_workers_their_zygote(zygotes, gateway):
    zygote = zygotes()
    zygote.load("sample.Sample")
    gateway.fork(zygote).kill()
    worker = gateway.fork(zygote)
    zygote.stop()
    assert worker.stream.value("me")["pid"] == worker.pid
    worker.kill()


def test_zygote_leaves_no_zombies(zygotes, gateway):
    zygote = zygotes()
    zygote.load("sample.Sample")
    worker = gateway.fork(zygote)
    with open(f"/proc/{zygote.process.pid}/task/{zygote.process.pid}/children") as file:
        assert file.read().split() == []
    worker.kill()


def test_failed_fork_is_reported(monkeypatch):
    from snakepit_bridge import zygote

    class Control:
        def send(self, event, **members):
            self.sent = {"event": event, **members}

    def no_fork():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_fork)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    control = Control()
    zygote.Zygote(control, 1)._fork({"worker": "default-1"}, -1)
    message = control.sent.pop("message")
    assert control.sent == {"event": "failed", "kind": "fork", "worker": "default-1"}
    assert "temporarily unavailable" in message


def test_failing_initialize_ends_the_worker_with_1(zygotes, gateway):
    from standin import Worker

    zygote = zygotes()
    zygote.load("sample.Unable")
    zygote.order(gateway.order("fork"), Page().descriptor)
    assert Worker(zygote.event()["pid"], None, None).exit_status() == 1
    event = zygote.event()
    assert (event["event"], event["kind"], event["worker"]) == ("failed", "start", "default-1")
    assert event["message"] == "RuntimeError: no model to load"
    assert "sample.py" in event["traceback"]


def test_worker_is_restricted_as_ordered(zygotes, gateway):
    zygote = zygotes()
    zygote.load("sample.Sample")
    limits = {"CORE": 0, "NOFILE": 200, "CPU": 3600, "AS": 1 << 40}
    worker = gateway.fork(zygote, limits=limits, no_new_privs=True)
    found = worker.stream.value("restrictions")
    assert found["limits"] == {"CORE": 0, "NOFILE": 200, "CPU": 3600, "AS": 1 << 40}
    assert found["no_new_privs"] == "1"
    worker.kill()


def test_restriction_that_is_not_known_ends_the_worker_with_its_reason(zygotes, gateway):
    zygote = zygotes()
    zygote.load("sample.Sample")
    zygote.order(gateway.order("fork", limits={"HEIGHT": 2}), Page().descriptor)
    zygote.event()
    assert "'HEIGHT'" in zygote.event()["message"]


def test_worker_has_no_descriptors_but_its_own(zygotes, gateway):
    zygote = zygotes()
    zygote.load("sample.Sample")
    worker = gateway.fork(zygote)
    names = worker.stream.value("descriptors")
    assert [names.pop(str(number)) for number in range(3)][0] == "/dev/null"
    own = [number for number, name in names.items() if name == f"/proc/{worker.pid}/statm"]
    assert len(own) == 1 and names.pop(own[0])  # how much memory it has
    kinds = sorted({name.partition(":")[0] for name in names.values()})
    assert set(kinds) <= {"/memfd", "anon_inode", "socket"}, names  # Python's mmap keeps the page's
    assert sum(name.startswith("socket:") for name in names.values()) == 1, names
    worker.kill()


def test_worker_without_a_gateway_to_dial_ends_with_1(zygotes, gateway):
    from standin import Worker

    zygote = zygotes()
    zygote.load("sample.Sample")
    zygote.order({**gateway.order("fork"), "address": "unix:/nowhere/at.all"}, Page().descriptor)
    assert Worker(zygote.event()["pid"], None, None).exit_status() == 1


PARENT = """
import sys
from standin import Gateway, Zygote, become_subreaper
from snakepit_bridge import bridge_pb2 as pb
become_subreaper()
gateway = Gateway(pb, sys.argv[1])
zygote = Zygote(sys.argv[2], sys.argv[3])
zygote.load("sample.Sample")
worker = gateway.fork(zygote)
worker.stream.invoke(worker.stream.invocation("busy", {"seconds": 60}))
print(zygote.process.pid, worker.pid, flush=True)
sys.stdin.read()
"""


def test_zygote_and_busy_worker_die_with_the_gateway(package_root, adapters_path, tmp_path):
    """snakepit 74"""
    here = os.path.dirname(__file__)
    parent = subprocess.Popen(
        [PYTHON, "-c", PARENT, str(tmp_path), package_root, adapters_path],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((package_root, here))},
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert [gone(pid) for pid in pids] == [True, True]


def test_zygote_starts_without_grpc(package_root):
    """So that it can say that gRPC is missing."""
    code = "import sys, snakepit_bridge.zygote; assert 'grpc' not in sys.modules"
    subprocess.run([PYTHON, "-c", code], check=True, cwd=package_root)
