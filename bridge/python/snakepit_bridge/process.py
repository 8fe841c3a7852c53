"""What a worker's process needs from the kernel: its parent, its signals, its descriptors."""

from __future__ import annotations

import _signal  # below the enumerations of the public module, which cost a fork 0.2 ms
import ctypes
import os
import resource
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_EVENTFD, _EPOLL = "anon_inode:[eventfd]", "anon_inode:[eventpoll]"  # as /proc shows them
_POLLERS = {_EVENTFD, _EPOLL}
_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
PARENT_SECONDS = 10.0  # for the intermediate process to go


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def wait_for_parent(parent: int, intermediate: int) -> None:
    """Wait until ``intermediate`` has left this child to ``parent``, and die with that. Exits if it is gone."""
    give_up = time.monotonic() + PARENT_SECONDS
    while os.getppid() == intermediate and time.monotonic() < give_up:
        time.sleep(0.0002)
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


class Memory:
    """How much of it this process has in RAM. Told without another descriptor: a tool may have taken them all."""

    def __init__(self) -> None:
        """In the process that is to be told of, not before it is forked."""
        try:
            self._descriptor = os.open("/proc/self/statm", os.O_RDONLY)
        except OSError:
            self._descriptor = -1

    def resident(self) -> int:
        """Bytes; 0 when they are not known."""
        try:
            return int(os.pread(self._descriptor, 256, 0).split()[1]) * _PAGE_SIZE
        except (OSError, ValueError, IndexError):  # a tool may have closed the descriptor, or made it another file's
            return 0

    def close(self) -> None:
        """Nobody asks any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def sign_children() -> None:
    """Have what is started from here say whose it is, so that the gateway can end it when this process is dead."""
    os.environ["_SNAKEPIT_WORKER"] = str(os.getpid())


def become_leader() -> None:
    """A process group of its own, so that the gateway can signal a worker along with what its tools started."""
    try:
        os.setpgid(0, 0)
    except PermissionError:  # it leads a session already
        pass


_first_errors = -1  # standard error as it was, once that is another


def redirect_output(output: int, errors: int) -> None:
    """Write to these descriptors, which it takes, what goes to standard output and standard error."""
    global _first_errors
    sys.stdout.flush()
    sys.stderr.flush()
    _first_errors = os.dup(2)
    for descriptor, standard in ((output, 1), (errors, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)


def restore_output() -> None:
    """Write to standard error as it was first what goes to it, and what goes to standard output."""
    global _first_errors
    if _first_errors >= 0:
        sys.stdout.flush()
        sys.stderr.flush()
        for standard in (1, 2):
            os.dup2(_first_errors, standard)
        os.close(_first_errors)
        _first_errors = -1


def reset_signals() -> None:
    """Forget the handlers that imported code has set. Interrupts are the gateway's business, SIGTERM ends a worker."""
    for number in range(1, _signal.NSIG):
        if callable(_signal.getsignal(number)):
            _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def restrict(limits: dict[str, int], no_new_privs: bool) -> None:
    """Set resource limits by their names in ``resource`` ("AS", "CPU", …; bytes, seconds or numbers), soft and hard.

    With ``no_new_privs`` nothing that is started from here gains rights by a set-user-ID bit. Raises OSError, or
    ValueError for an unknown name.
    """
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is None:
            raise ValueError(f"there is no resource limit {name!r}")
        most = resource.getrlimit(kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        later = 1 if name == "CPU" and value != most else 0  # so that SIGXCPU says why, before SIGKILL does not
        resource.setrlimit(kind, (value, value + later))
    if no_new_privs:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS) failed")


def null_stdin() -> None:
    """Nothing a tool reads from standard input may block."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if null != 0:
        os.close(null)


def close_descriptors_but(keep: int) -> None:
    """Close what was inherited beyond the standard streams."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != keep:
            try:
                os.close(int(name))
            except OSError:  # the listing's own
                pass


def reseed() -> None:
    """Give this fork random numbers of its own (Python's ``random`` has done so by itself)."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


class _EpollEvent(ctypes.Structure):
    """The kernel's struct epoll_event, which is packed on x86 alone."""

    _pack_ = 1 if os.uname().machine in ("x86_64", "i686") else 8
    _fields_ = [("events", ctypes.c_uint32), ("data", ctypes.c_uint64)]


def has_pollers() -> bool:
    """Whether forks of this process would share pollers or wake-ups, its adapter's or gRPC's."""
    return not _POLLERS.isdisjoint(_links().values())


def _links() -> dict[int, str]:
    """What the descriptors are."""
    links = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            links[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the listing's own
            pass
    return links


def renew_pollers() -> None:
    """Give this fork pollers and wake-ups of its own in place of those that it shares with its siblings.

    gRPC keeps one of each when it is shut down, and uses them again: events would reach any of the forks. The
    numbers of the descriptors, and what is registered, stay as they are.
    """
    links = _links()
    for descriptor, link in links.items():
        if link == _EVENTFD:
            blocking = os.get_blocking(descriptor)
            _put_in_place(os.eventfd(0, os.EFD_CLOEXEC), descriptor)
            os.set_blocking(descriptor, blocking)
    for descriptor, link in links.items():
        if link == _EPOLL:
            _renew_epoll(descriptor)


def _renew_epoll(descriptor: int) -> None:
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        watched = [line.split() for line in file if line.startswith("tfd:")]
    libc = ctypes.CDLL(None, use_errno=True)
    _put_in_place(libc.epoll_create1(os.O_CLOEXEC), descriptor)
    for _, number, _, events, _, data, *_ in watched:
        event = _EpollEvent(int(events, 16), int(data, 16))
        libc.epoll_ctl(descriptor, 1, int(number), ctypes.byref(event))  # EPOLL_CTL_ADD


def _put_in_place(new: int, old: int) -> None:
    os.dup2(new, old, inheritable=False)
    os.close(new)


def why_not_forkable() -> str:
    """The threads that a fork would leave behind, or an empty string."""
    tasks = {int(name) for name in os.listdir("/proc/self/task")} - {threading.get_native_id()}
    found = []
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            tasks.discard(thread.native_id or 0)
            module = getattr(getattr(thread, "_target", None), "__module__", None) or type(thread).__module__
            found.append(f"thread {thread.name!r} of module {module}")
    found += [f"thread {_task_name(task)!r} of a native library" for task in sorted(tasks)]
    return "; ".join(found)


def _task_name(task: int) -> str:
    try:
        with open(f"/proc/self/task/{task}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return str(task)
