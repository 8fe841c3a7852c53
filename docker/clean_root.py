"""A clean Debian root, for what must be seen to work where nothing has been installed by hand.

Everything happens in a mount and a process namespace of its own (`in_namespaces`): when the script
ends, however it ends, the kernel takes away every mount and process that it has made. No folder of
the machine is bound into a root, so that removing a root can remove nothing else.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SUITE = "bookworm"
REPO = Path(__file__).resolve().parents[1]
CACHE = REPO / "build-roots"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def in_namespaces() -> Path:
    """Runs the calling script again, inside; returns only there, with a folder that goes with it.

    The outer script leaves with the inner one's exit code.
    """
    inside = os.environ.pop("CLEAN_ROOT", None)
    if inside:
        return Path(inside)
    if os.geteuid() != 0:
        sys.exit("this needs root: it makes a Debian root and changes into it")
    CACHE.mkdir(exist_ok=True)
    folder = tempfile.mkdtemp(prefix="root-", dir=CACHE)
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        result = subprocess.run(
            [*command, sys.executable, *sys.argv],
            env={**os.environ, "CLEAN_ROOT": folder},
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    sys.exit(result.returncode)


def _deb822(text: str) -> Iterator[tuple[str, list[str], str]]:
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.M))
        if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") == "yes":
            for uri in fields["URIs"].split():
                yield uri, fields["Suites"].split(), fields.get("Components", "")


def _one_line(text: str) -> Iterator[tuple[str, list[str], str]]:
    for match in re.finditer(r"^deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)\s*(.*)$", text, re.M):
        yield match[1], [match[2]], match[3]


def sources() -> list[str]:
    """This machine's own package sources for the suite, as lines for a sources.list."""
    apt = Path("/etc/apt")
    files = [apt / "sources.list", *sorted(apt.glob("sources.list.d/*"))]
    lines = []
    for file in files:
        read = {".sources": _deb822, ".list": _one_line}.get(file.suffix)
        for uri, suites, components in read(file.read_text()) if read and file.exists() else ():
            lines += [
                f"deb {uri} {suite} {components}"
                for suite in suites
                if suite == SUITE or suite.startswith(f"{SUITE}-")
            ]
    # The suite itself before its updates: it is what the root is made from.
    lines.sort(key=lambda line: line.split()[2])
    if not lines or lines[0].split()[2] != SUITE:
        sys.exit(f"/etc/apt names no source for {SUITE}, so there is nothing to make a root from")
    return lines


def _acquire() -> list[str]:
    """What apt on this machine knows about proxies and the like."""
    dump = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    wanted = re.compile(r'Acquire::(?!IndexTargets|Changelogs|CompressionTypes|cdrom).*"[^"]+";')
    return [line for line in dump.splitlines() if wanted.match(line)]


def _base() -> Path:
    """The tarball of a minimal root, made when there is none."""
    tarball = CACHE / f"{SUITE}.tar"
    if tarball.exists():
        return tarball
    uri = sources()[0].split()[1]
    environment = dict(os.environ)
    for line in _acquire():
        if match := re.match(r'Acquire::(https?)::Proxy "(.*)";', line):
            environment.setdefault(f"{match[1]}_proxy", match[2])
    include = ["--include=ca-certificates"] if uri.startswith("https") else []
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        root = f"{folder}/root"
        print(f"debootstrap {SUITE}", flush=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", *include, SUITE, root, uri],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        part = f"{folder}/root.tar"
        subprocess.run(["tar", "-C", root, "-cf", part, "."], check=True)
        os.rename(part, tarball)
    return tarball


def make(root: Path) -> None:
    """Fills `root` with a minimal Debian whose apt works like this machine's, and mounts what a
    system has mounted: /proc, and a private /tmp and /dev/shm."""
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xpf", _base()], check=True)
    apt = root / "etc/apt"
    (apt / "sources.list").write_text("\n".join(sources()) + "\n")
    (apt / "apt.conf.d/90acquire").write_text("\n".join(_acquire()) + "\n")
    if Path("/etc/apt/auth.conf.d").is_dir():
        shutil.copytree("/etc/apt/auth.conf.d", apt / "auth.conf.d", dirs_exist_ok=True)
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", root / "etc" / name)
    mount_system(root)


def mount_system(root: Path) -> None:
    """Mounts /proc, and a private /tmp and /dev/shm."""
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    for name in ("tmp", "dev/shm"):
        (root / name).mkdir(exist_ok=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", root / name], check=True
        )


def command(root: Path, *words: str, environment: dict[str, str] | None = None) -> list[str]:
    """The command line that runs `words` in `root` with nothing of this environment."""
    pairs = {"HOME": "/root", "PATH": PATH, **(environment or {})}
    return [
        "env",
        "-i",
        *[f"{name}={value}" for name, value in pairs.items()],
        "chroot",
        str(root),
        *words,
    ]
