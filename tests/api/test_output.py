"""What workers print, in the gateway's log: each line is a record, and the log stays JSON."""

import json
import textwrap
from pathlib import Path
from typing import Any, Dict, List

import httpx
import pytest
from served import Gateway, wait_for

TOOLS = r"""
    import os
    import sys

    from snakepit_bridge import tool


    @tool
    def speak() -> int:
        print("to stdout")
        print("to stderr", file=sys.stderr)
        return os.getpid()


    @tool
    def babble() -> None:
        os.write(1, bytes(range(256)) * 10 + b'"}\n{"event": "forged"}\n')
        os.write(2, b"half a line")
        os.write(1, b"x" * 100_000 + b"\nlast\n")


    @tool
    def flood(lines: int) -> None:
        for number in range(lines):
            print(number)


    @tool
    def die() -> None:
        os.write(2, b"half a line")
        os.write(1, b"and half another")
        os._exit(3)
"""


@pytest.fixture(params=["process", "thread"])
def gateway(request: Any, tmp_path: Path) -> Any:
    (tmp_path / "speaking.py").write_text(textwrap.dedent(TOOLS))
    path = tmp_path / "snakepit.yaml"
    slots = "" if request.param == "process" else ", slots: 2"
    path.write_text(
        f"pools: [{{adapter: speaking, workers: 1, profile: {request.param}{slots}, output_lines: 100}}]\n"
    )
    made = Gateway("--config", str(path), env={"PYTHONPATH": str(tmp_path)})
    yield made
    made.stop()


def run(gateway: Gateway, tool: str, **args: Any) -> httpx.Response:
    return httpx.post(f"{gateway.url}/tools/{tool}", json=args, timeout=30)


def records(gateway: Gateway, event: str = "worker output") -> List[Dict[str, Any]]:
    """All of the log must be records, but for the line that is being written."""
    lines = gateway.log().split("\n")[:-1]
    return [entry for entry in map(json.loads, lines) if entry["event"] == event]


def said(gateway: Gateway) -> List[str]:
    return [entry["text"] for entry in records(gateway)]


def test_each_line_says_who_has_printed_it_and_where(gateway: Gateway) -> None:
    pid = run(gateway, "speak").json()
    wait_for(lambda: {"to stdout", "to stderr"} <= set(said(gateway)))
    found = {entry["text"]: entry for entry in records(gateway)}
    for stream, level in (("stdout", "info"), ("stderr", "warning")):
        entry = found[f"to {stream}"]
        assert (entry["stream"], entry["level"]) == (stream, level)
        assert (entry["pool"], entry["worker"], entry["pid"]) == ("default", "default-1", pid)


def test_the_log_is_json_whatever_python_writes(gateway: Gateway) -> None:
    run(gateway, "babble")
    wait_for(lambda: "last" in said(gateway))
    assert '{"event": "forged"}' in said(gateway)
    assert records(gateway, "forged") == []
    assert all(len(line) < 8192 for line in gateway.log().split("\n"))


def test_a_flood_is_cut_short_and_counted(gateway: Gateway) -> None:
    """What was not told is said with the next line that is, which is here that of a worker who speaks on."""
    run(gateway, "flood", lines=20_000)

    def is_counted() -> bool:
        run(gateway, "speak")
        return records(gateway, "worker output dropped") != []

    wait_for(is_counted)
    logged = [text for text in said(gateway) if text.isdigit()]
    lost = sum(entry["lines"] for entry in records(gateway, "worker output dropped"))
    assert logged[:100] == [str(number) for number in range(100)]
    assert 0 < lost <= 20_000


def test_the_last_words_of_a_worker_that_dies_are_told(gateway: Gateway) -> None:
    assert run(gateway, "die").status_code == 502
    wait_for(lambda: {"half a line", "and half another"} <= set(said(gateway)))
