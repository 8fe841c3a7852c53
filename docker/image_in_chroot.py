#!/usr/bin/python3
"""Carries out docker/Dockerfile in clean Debian roots, where no container engine runs.

Understands the instructions that the file uses and refuses others. What comes out is started as an
orchestrator would start it: as process 1 and as the image's user, with no capability, a read-only
root, an empty /tmp and a network of its own. It has to answer, to be healthy, and to end with 0 on
SIGTERM. Needs root and debootstrap.
"""

import fcntl
import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import clean_root

DOCKERFILE = clean_root.REPO / "docker/Dockerfile"


@dataclass
class Stage:
    """A stage as far as its instructions have been carried out."""

    root: Path
    folder: str = "/"
    user: str = "0:0"
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def command(self, *words: str) -> list[str]:
        """The command line that runs `words` in this stage, as its user, with no capability."""
        drop: list[str] = []
        if self.user != "0:0":
            uid, gid = self.user.split(":")
            drop = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
            drop += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        inside = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "-", self.folder, *words]
        environment = {
            "PATH": f"/usr/local/sbin:/usr/local/bin:{clean_root.PATH}",
            **self.environment,
        }
        return clean_root.command(self.root, *drop, *inside, environment=environment)


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their text, continued lines joined."""
    lines = DOCKERFILE.read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    text = re.sub(r"\\\n\s*", " ", text)
    pairs = [line.partition(" ") for line in text.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in pairs]


def context(folder: Path) -> None:
    """Copies what git knows to `folder`, without what .dockerignore names."""
    ignored = (clean_root.REPO / ".dockerignore").read_text().splitlines()
    patterns = [line for line in ignored if line and not line.startswith("#")]
    command = ["git", "-C", str(clean_root.REPO), "ls-files", "-co", "--exclude-standard"]
    files = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    for name in filter(None, files):
        parts = Path(name).parts
        if any(
            fnmatch.fnmatch(part, pattern.removeprefix("**/"))
            for pattern in patterns
            for part in (parts if pattern.startswith("**/") else parts[:1])
        ):
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(clean_root.REPO / name, folder / name)


def copy(stage: Stage, text: str, stages: dict[str, Stage], files: Path) -> None:
    """COPY: folders by their content, several sources or a trailing slash into a folder."""
    words = shlex.split(text)
    origin = files
    if words[0].startswith("--from="):
        origin = stages[words.pop(0).removeprefix("--from=")].root
    *names, target = words
    into = target.endswith("/") or len(names) > 1
    goal = stage.root / os.path.join(stage.folder, target).lstrip("/")
    for name in names:
        source = origin / name.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, goal, symlinks=True, dirs_exist_ok=True)
        else:
            place = goal / source.name if into else goal
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place)


def build(folder: Path) -> Stage:
    """Carries out the Dockerfile and returns its last stage."""
    files = folder / "context"
    files.mkdir()
    context(files)
    stages: dict[str, Stage] = {}
    stage = Stage(folder)
    for name, text in instructions():
        print(f"==> {name} {text}", flush=True)
        if name == "FROM":
            image, _, alias = text.partition(" AS ")
            if image != f"debian:{clean_root.SUITE}-slim":
                sys.exit(f"no root for {image}")
            stage = Stage(folder / f"stage{len(stages)}")
            stages[alias or "last"] = stage
            clean_root.make(stage.root)
        elif name == "RUN":
            subprocess.run(
                stage.command("/bin/sh", "-c", text), check=True, stdin=subprocess.DEVNULL
            )
        elif name == "COPY":
            copy(stage, text, stages, files)
        elif name == "WORKDIR":
            stage.folder = text
            (stage.root / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "USER":
            stage.user = text
        elif name == "ENTRYPOINT":
            stage.entrypoint = json.loads(text)
        elif name == "CMD":
            stage.arguments = json.loads(text)
        elif name == "HEALTHCHECK":
            stage.healthcheck = json.loads(text.partition(" CMD ")[2])
        elif name != "EXPOSE":
            sys.exit(f"{name} is not understood here")
    return stage


def alone() -> None:
    """A network of one's own, with nothing but its loopback."""
    libc_unshare = __import__("ctypes").CDLL(None, use_errno=True).unshare
    clone_newnet, siocsifflags, iff_up = 0x40000000, 0x8914, 1
    if libc_unshare(clone_newnet) != 0:
        sys.exit("no network namespace can be had here")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, siocsifflags, struct.pack("16sH14x", b"lo", iff_up))


def fetch(path: str, body: bytes | None = None) -> bytes:
    """The body of the answer; raises OSError when there is none or it is an error."""
    request = urllib.request.Request(
        f"http://127.0.0.1:8080{path}", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


def wait_ready(gateway: subprocess.Popen[bytes], seconds: float) -> None:
    """Returns when /readyz says yes."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fetch("/readyz")
            return
        except OSError as error:
            if gateway.poll() is not None:
                sys.exit(f"the gateway ended with {gateway.returncode}")
            if time.monotonic() > deadline:
                sys.exit(f"the gateway does not get ready: {error}")
            time.sleep(0.05)


def check(stage: Stage) -> None:
    """Starts the image, asks it things and stops it."""
    alone()
    subprocess.run(["mount", "--bind", stage.root, stage.root], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", stage.root], check=True)
    clean_root.mount_system(stage.root)
    gateway = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={stage.root}/proc"]
        + stage.command(*stage.entrypoint, *stage.arguments)
    )
    wait_ready(gateway, 30)
    fetch("/livez")
    answer = json.loads(fetch("/execute", b'{"tool": "add", "args": {"a": 1, "b": 2}}'))
    print(f"==> /execute answers {answer}", flush=True)
    if answer["result"] != 3:
        sys.exit("that is not the answer")
    subprocess.run(stage.command(*stage.healthcheck), check=True)
    (first,) = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    owners = Path(f"/proc/{first}/status").read_text()
    print(
        "==> " + " ".join(re.findall(r"^(?:Uid|CapBnd|NoNewPrivs):.*$", owners, re.M)), flush=True
    )
    os.kill(int(first), signal.SIGTERM)
    if gateway.wait(60) != 0:
        sys.exit(f"the gateway ended with {gateway.returncode} after SIGTERM")
    left = [str(path) for path in (stage.root / "tmp").iterdir()]
    if left:
        sys.exit(f"left behind: {left}")


def main() -> None:
    """Leaves with 0 when the image works."""
    check(build(clean_root.in_namespaces()))
    print("the image works")


if __name__ == "__main__":
    main()
