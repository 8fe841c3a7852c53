"""What a worker had written when it died is read to the end."""

import json
import os
import signal
import textwrap
import time
from pathlib import Path

import httpx

TOOLS = """
    import os
    import signal
    import time
    from pathlib import Path


    def last_words(count: int, go: str):
        "Says 0; once there is a file `go`, `count` values more, each in a frame of its own; and is killed."
        yield 0
        while not Path(go).exists():
            time.sleep(0.001)
        for i in range(count):
            yield i + 1
            time.sleep(0.005)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
"""

COUNT = 30


def is_dead(pid: int) -> bool:
    """Whether it has ended; a parent that is stopped has not buried it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_what_a_dead_worker_had_written_is_read_to_the_end(start_gateway, tmp_path: Path) -> None:
    (tmp_path / "last_tools.py").write_text(textwrap.dedent(TOOLS))
    gateway = start_gateway("--workers", "1", "--adapter", "last_tools", env={"PYTHONPATH": str(tmp_path)})
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        worker = client.get("/workers").json()["workers"][0]["pid"]
        body = {"tool": "last_words", "args": {"count": COUNT, "go": str(tmp_path / "go")}}
        headers = {"accept": "application/x-ndjson"}
        with client.stream("POST", "/stream", json=body, headers=headers) as answer:
            lines = answer.iter_lines()
            first = [json.loads(next(lines)), json.loads(next(lines))]
            assert [event["event"] for event in first] == ["start", "chunk"]
            os.kill(gateway.process.pid, signal.SIGSTOP)
            (tmp_path / "go").touch()
            end = time.monotonic() + 20
            while not is_dead(worker) and time.monotonic() < end:
                time.sleep(0.005)
            os.kill(gateway.process.pid, signal.SIGCONT)
            events = [json.loads(line) for line in lines if line.strip()]
    assert [event["data"] for event in events if event["event"] == "chunk"] == list(range(1, COUNT + 1))
    assert events[-1]["event"] == "error"
    assert events[-1]["data"]["code"] == "worker_crash"
