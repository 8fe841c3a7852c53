"""A pool whose workers die at once, again and again: its callers are told so at once, other pools live on."""

import os
import signal
import textwrap
from pathlib import Path

import httpx
import pytest
from served import wait_for

TOOLS = """
    import os
    import threading
    import time
    from pathlib import Path

    from snakepit_bridge import BaseAdapter, tool

    BROKEN = Path(__file__).with_name("broken")


    def die_soon() -> None:
        time.sleep(0.02)
        os.abort()


    class Starting(BaseAdapter):
        def initialize(self) -> None:
            if BROKEN.exists():
                os.abort()

        @tool
        def fragile(self) -> str:
            return "alive"


    class Ready(Starting):
        def initialize(self) -> None:
            if BROKEN.exists():
                threading.Thread(target=die_soon, daemon=True).start()


    class Other(BaseAdapter):
        @tool
        def other(self) -> str:
            return "well"
"""

CONFIG = """
    pools:
      - {{name: broken, adapter: loop_tools.{adapter}, workers: 1}}
      - {{name: well, adapter: loop_tools.Other, workers: 1}}
"""


def kill_workers(client: httpx.Client, pool: str) -> None:
    for worker in client.get("/workers").json()["workers"]:
        if worker["pool"] == pool and worker["pid"]:
            os.kill(worker["pid"], signal.SIGKILL)


@pytest.mark.parametrize("adapter", ["Starting", "Ready"])
def test_a_crash_looping_pool_says_why_answers_at_once_and_recovers(
    start_gateway, tmp_path: Path, adapter: str
) -> None:
    (tmp_path / "loop_tools.py").write_text(textwrap.dedent(TOOLS))
    config = tmp_path / "snakepit.yaml"
    config.write_text(textwrap.dedent(CONFIG).format(adapter=adapter))
    broken = tmp_path / "broken"
    gateway = start_gateway("--config", str(config), env={"PYTHONPATH": str(tmp_path)})
    with httpx.Client(base_url=gateway.url, timeout=30) as client:

        def state() -> str:
            return client.get("/pools/broken").json()["state"]

        assert client.post("/tools/fragile", json={}).json() == "alive"
        broken.touch()
        kill_workers(client, "broken")
        wait_for(lambda: state() == "failed")
        ready = client.get("/readyz?verbose")
        assert ready.status_code == 200
        assert "[-] pool broken: failed" in ready.text
        assert "workers end before they" in ready.text

        def is_refused() -> bool:
            answer = client.post("/tools/fragile", json={})
            if answer.status_code != 503:
                return False  # it met a worker in the moment in which that lived
            assert answer.json()["code"] == "no_workers_available"
            assert 1 <= int(answer.headers["retry-after"]) <= 5
            return True

        wait_for(is_refused)
        assert client.post("/tools/other", json={}).json() == "well"
        broken.unlink()
        wait_for(lambda: client.post("/tools/fragile", json={}).status_code == 200)
        assert state() == "running"
