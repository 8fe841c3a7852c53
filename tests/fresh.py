#!/usr/bin/python3
"""`make fresh`: the two commands of the README, from a clone of HEAD in a clean Debian root.

What is not committed is not tested. Needs root, debootstrap, and what apt needs to fetch packages.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "docker"))

import clean_root  # noqa: E402

READY_SECONDS = 1200  # packages are installed in this time


def say(text: str) -> None:
    """A line that stands out from what the commands print."""
    print(f"==> {text}", flush=True)


def listen_address() -> str:
    """The default address, or another when something else has it."""
    for port in (8080, 18080, 28080):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                say(f"port {port} is taken on this machine")
                continue
            return f"127.0.0.1:{port}"
    sys.exit("no free port")


def request(url: str, body: dict[str, object] | None = None) -> tuple[int, str]:
    """Status and body; status 0 when nobody answers."""
    data = json.dumps(body).encode() if body else None
    headers = {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data, headers), timeout=10
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def processes(exe: str = "") -> list[int]:
    """Processes of this namespace, but for ourselves, whose program ends with `exe`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "exe").endswith(exe) and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def check_run(root: Path) -> None:
    """`make run` serves a request and leaves with 0 on SIGTERM, and no process stays."""
    address = listen_address()
    default = address.endswith(":8080")
    environment = {} if default else {"SNAKEPIT_LISTEN": address}
    run = subprocess.Popen(
        clean_root.command(root, "make", "-C", "/root/snakepit", "run", environment=environment)
    )
    deadline = time.monotonic() + READY_SECONDS
    while request(f"http://{address}/readyz")[0] != 200:
        if run.poll() is not None:
            sys.exit(f"make run ended with {run.returncode} before it was ready")
        if time.monotonic() > deadline:
            sys.exit("make run did not get ready")
        time.sleep(0.2)
    say("make run is ready")
    status, text = request(f"http://{address}/execute", {"tool": "add", "args": {"a": 1, "b": 2}})
    say(f"/execute answers {status} {text}")
    if status != 200 or json.loads(text)["result"] != 3:
        sys.exit("that is not the answer")
    # The first of its processes; others were forked from it.
    os.kill(min(processes("/build/snakepit")), signal.SIGTERM)
    if run.wait(60) != 0:
        sys.exit(f"make run ended with {run.returncode} after SIGTERM")
    if processes():
        sys.exit("processes are left behind")
    say("make run ended with 0 after SIGTERM")


def main() -> None:
    """Leaves with 0 when both commands work."""
    root = clean_root.in_namespaces() / "fresh"
    clean_root.make(root)
    # A person needs git and make to get this far; git has done its work outside.
    for step in (["update"], ["install", "-y", "--no-install-recommends", "make"]):
        subprocess.run(
            clean_root.command(root, "apt-get", *step), check=True, stdout=subprocess.DEVNULL
        )
    clone = root / "root/snakepit"
    subprocess.run(["git", "clone", "--quiet", f"file://{REPO}", clone], check=True)
    say("make run")
    check_run(root)
    say("make test")
    test = clean_root.command(root, "make", "-C", "/root/snakepit", "test")
    if subprocess.run(test, check=False).returncode != 0:
        sys.exit("make test failed in a fresh Debian")
    say("a fresh Debian runs and tests it")


if __name__ == "__main__":
    main()
