"""Chromium on the page that the gateway serves: its own EventSource and fetch, and the page itself.

Runs where chromium, chromium-driver and python3-selenium are installed; `make test-browser` installs them.
"""

import json
import os
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Dict, Iterator, List
from urllib.parse import urlencode

import pytest

pytest.importorskip("selenium", reason="python3-selenium is not installed: see make test-browser")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not CHROMIUM or not DRIVER, reason="chromium or chromium-driver is not installed: see make test-browser"
)

# What scripts below share: the events of a source, with times, until it is closed for good.
LISTEN = """
    const listen = (source, done) => {
        const begun = performance.now(), events = [];
        for (const kind of ['start', 'chunk', 'gap', 'done'])
            source.addEventListener(kind, (event) => events.push(
                {kind, id: event.lastEventId, data: JSON.parse(event.data), ms: performance.now() - begun}));
        source.onerror = () => {
            if (source.readyState === EventSource.CLOSED) done(events);
        };
    };
    const done = arguments[arguments.length - 1];
"""
READ = """
    const read = async (answer) => {
        const begun = performance.now(), events = [], decoder = new TextDecoder();
        const reader = answer.body.getReader();
        let rest = '';
        for (;;) {
            const {value, done} = await reader.read();
            if (done) return events;
            const lines = (rest + decoder.decode(value, {stream: true})).split('\\n');
            rest = lines.pop();
            for (const line of lines) events.push({...JSON.parse(line), ms: performance.now() - begun});
        }
    };
    const stream = (envelope, more) => fetch('/stream', {
        method: 'POST', body: JSON.stringify(envelope), ...more,
        headers: {'content-type': 'application/json', accept: 'application/x-ndjson'}});
    const done = arguments[arguments.length - 1];
"""


@pytest.fixture(scope="module")
def streams() -> Iterator[Any]:
    from served import Gateway

    shared = Gateway("--workers", "2", "--adapter", "streams.Streams")
    yield shared
    shared.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"):
        options.add_argument(argument)
    options.add_argument("--host-resolver-rules=MAP *.evil.example 127.0.0.1")
    if os.geteuid() == 0:  # its sandbox refuses root
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(service=Service(str(DRIVER)), options=options)
    made.set_script_timeout(30)
    yield made
    made.quit()


@pytest.fixture
def page(browser: Any, streams: Any) -> Any:
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(streams.url + "/docs")
    wait_until(lambda: tools_of(browser))
    return browser


def wait_until(holds: Any, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def tools_of(page: Any) -> List[str]:
    return [each.text.split("\n")[0] for each in page.find_elements(By.CSS_SELECTOR, "#tools button")]


def choose(page: Any, tool: str, args: Dict[str, Any]) -> None:
    page.execute_script("location.hash = arguments[0]", tool)
    wait_until(lambda: page.find_element(By.ID, "name").text == tool)
    page.execute_script("document.getElementById('args').value = arguments[0]", json.dumps(args))


def click(page: Any, name: str) -> None:
    page.find_element(By.ID, name).click()


def kinds(page: Any) -> List[str]:
    return page.execute_script("return [...document.querySelectorAll('#events .kind')].map((each) => each.textContent)")


def state(page: Any) -> str:
    return page.find_element(By.ID, "state").text


def noted(path: Path, text: str) -> bool:
    return path.exists() and text in path.read_text()


def assert_spread(events: List[Dict[str, Any]]) -> None:
    """Chunks that were yielded 250 ms apart came apart."""
    times = [event["ms"] for event in events]
    for earlier, later in zip(times, times[1:]):
        assert later - earlier > 100


# --- pages of others ---


@pytest.fixture
def elsewhere() -> Iterator[Any]:
    """A server of an empty page, on a port of its own; with the requests it has had, as pairs of path and headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.requests.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def show_images(browser: Any, urls: List[str]) -> None:
    """On the page that is open, one after the other."""
    browser.execute_async_script(
        """
        const [urls, done] = arguments;
        const next = () => {
            if (!urls.length) return done();
            const image = new Image();
            image.onload = image.onerror = next;
            image.src = urls.shift();
        };
        next();
        """,
        urls,
    )


def test_an_image_on_a_page_of_another_site_runs_no_tool(
    browser: Any, streams: Any, elsewhere: Any, tmp_path: Path
) -> None:
    """Browsers trust loopback addresses without TLS, and say there where a request is from."""
    path = tmp_path / "notes"
    query = urlencode({"tool": "count", "args": json.dumps({"n": 1, "path": str(path)})})
    other = elsewhere.server_address[1]
    browser.get(f"http://page.evil.example:{other}/")
    hosts = ["127.0.0.1", "localhost"]
    show_images(browser, [f"http://{host}:{other}/image" for host in hosts])
    sites = [headers.get("Sec-Fetch-Site") for where, headers in elsewhere.requests if where == "/image"]
    assert sites == ["cross-site"] * len(hosts)
    show_images(browser, [f"http://{host}:{streams.port}/stream?{query}" for host in hosts])
    assert not path.exists()
    browser.get(f"{streams.url}/stream?{query}")
    wait_until(lambda: noted(path, "ended"))


def test_a_page_whose_name_is_made_to_lead_here_sees_nothing(browser: Any, streams: Any, tmp_path: Path) -> None:
    """To the browser it is of the same origin: what is asked is all that tells it from ours."""
    browser.get(f"http://rebound.evil.example:{streams.port}/docs")
    text = browser.execute_async_script(
        """
        const [body, done] = arguments;
        fetch('/execute', {method: 'POST', body, headers: {'content-type': 'application/json'}})
            .then((answer) => answer.text()).then(done, (fault) => done(String(fault)));
        """,
        json.dumps({"tool": "count", "args": {"n": 1, "path": str(tmp_path / "notes")}}),
    )
    assert json.loads(text)["code"] == "misdirected_request"
    assert not (tmp_path / "notes").exists()
    browser.get(streams.url + "/docs")


# --- EventSource ---


def test_an_event_source_hears_each_event_when_it_happens_and_does_not_run_the_tool_again(
    page: Any, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    args = json.dumps({"n": 4, "seconds": 0.25, "path": str(path)})
    events = page.execute_async_script(
        LISTEN + """
            const query = new URLSearchParams({tool: 'count', args: arguments[0]});
            listen(new EventSource('/stream?' + query), done);
        """,
        args,
    )
    assert [event["kind"] for event in events] == ["start"] + ["chunk"] * 4 + ["done"]
    assert [event["id"] for event in events] == ["1", "2", "3", "4", "5", "6"]
    assert [event["data"] for event in events[1:5]] == [0, 1, 2, 3]
    assert_spread(events[1:5])
    assert path.read_text() == "begun\nended after 4\n"


def test_an_event_source_on_a_detached_call_hears_the_rest_and_stops(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    args = {"n": 20, "seconds": 0.02, "path": str(path)}
    events = page.execute_async_script(
        READ + LISTEN.replace("const done", "const finish") + """
            (async () => {
                const answer = await stream({tool: 'count', args: arguments[0], on_disconnect: 'detach'});
                const id = answer.headers.get('x-request-id');
                await answer.body.cancel();
                listen(new EventSource(`/calls/${id}/events`), finish);
            })();
        """,
        args,
    )
    assert [event["kind"] for event in events] == ["start"] + ["chunk"] * 20 + ["done"]
    assert path.read_text() == "begun\nended after 20\n"


def test_an_event_source_that_is_closed_closes_the_generator(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    page.execute_async_script(
        LISTEN + """
            const source = new EventSource('/stream?' + new URLSearchParams({tool: 'count', args: arguments[0]}));
            source.addEventListener('chunk', () => { source.close(); done(); });
        """,
        json.dumps({"n": 100000, "seconds": 0.01, "path": str(path)}),
    )
    wait_until(lambda: noted(path, "ended"), 5)


def test_a_page_that_is_left_closes_the_generator(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    choose(page, "count", {"n": 100000, "seconds": 0.01, "path": str(path)})
    click(page, "stream")
    wait_until(lambda: "chunk" in kinds(page))
    page.get("about:blank")
    wait_until(lambda: noted(path, "ended"), 5)


# --- fetch ---


def test_fetch_reads_lines_as_they_come(page: Any) -> None:
    events = page.execute_async_script(
        READ + "stream({tool: 'count', args: {n: 4, seconds: 0.25}}).then(read).then(done);"
    )
    assert [event["event"] for event in events] == ["start"] + ["chunk"] * 4 + ["done"]
    assert_spread(events[1:5])


def test_abort_closes_the_generator(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    name = page.execute_async_script(
        READ + """
            (async () => {
                const stopper = new AbortController();
                const answer = await stream({tool: 'count', args: arguments[0]}, {signal: stopper.signal});
                await answer.body.getReader().read();
                stopper.abort();
                done(await answer.text().catch((fault) => fault.name));
            })();
        """,
        {"n": 100000, "seconds": 0.01, "path": str(path)},
    )
    assert name in ("AbortError", "TypeError")
    wait_until(lambda: noted(path, "ended"), 5)


def test_fetch_resumes_after_the_last_event_it_had(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    events = page.execute_async_script(
        READ + """
            (async () => {
                const answer = await stream({tool: 'count', args: arguments[0], on_disconnect: 'detach'});
                const id = answer.headers.get('x-request-id');
                const reader = answer.body.getReader(), decoder = new TextDecoder();
                for (let text = ''; !text.includes('"id":3,');)
                    text += decoder.decode((await reader.read()).value);
                await reader.cancel();
                done(await read(await fetch(`/calls/${id}/events`,
                    {headers: {accept: 'application/x-ndjson', 'last-event-id': '3'}})));
            })();
        """,
        {"n": 10, "seconds": 0.02, "path": str(path)},
    )
    assert [event["id"] for event in events] == list(range(4, 13))
    assert events[-1]["event"] == "done"
    assert noted(path, "ended after 10")


# --- the page ---


def test_the_page_lists_the_tools_and_breaks_no_policy(page: Any, streams: Any) -> None:
    assert tools_of(page)[:2] == ["count", "die_after"]
    routes = page.find_element(By.ID, "routes").text
    assert "POST /execute" in routes and "GET /docs" in routes
    assert page.get_log("browser") == []


def test_the_page_runs_a_tool(page: Any) -> None:
    choose(page, "plain", {})
    assert not page.find_element(By.ID, "stream").is_displayed()
    click(page, "run")
    wait_until(lambda: state(page).startswith("200 after"))
    assert json.loads(page.find_element(By.ID, "result").text)["result"] == 1


def test_the_page_shows_a_problem(page: Any) -> None:
    choose(page, "count", {"n": "many"})
    click(page, "stream")
    wait_until(lambda: state(page).startswith("422 after"))
    assert json.loads(page.find_element(By.ID, "result").text)["code"] == "invalid_arguments"
    page.execute_script("document.getElementById('args').value = '{'")
    click(page, "run")
    assert state(page).startswith("the arguments are not JSON")


@pytest.mark.parametrize("way", ["stream", "source"])
def test_the_page_shows_events_while_they_come(page: Any, way: str) -> None:
    choose(page, "count", {"n": 5, "seconds": 0.3})
    click(page, way)
    wait_until(lambda: "chunk" in kinds(page))
    assert "done" not in kinds(page) and state(page) == "running …"
    wait_until(lambda: state(page).startswith("done after"))
    assert kinds(page) == ["start"] + ["chunk"] * 5 + ["done"]


@pytest.mark.parametrize("way", ["stream", "source"])
def test_the_page_shows_the_error_that_ends_a_stream(page: Any, way: str) -> None:
    choose(page, "fail_after", {"n": 2})
    click(page, way)
    wait_until(lambda: state(page).startswith("failed after"))
    assert kinds(page) == ["start", "chunk", "chunk", "error"]


@pytest.mark.parametrize("way", ["stream", "source"])
def test_the_page_stops_a_stream(page: Any, tmp_path: Path, way: str) -> None:
    path = tmp_path / "notes"
    choose(page, "count", {"n": 100000, "seconds": 0.01, "path": str(path)})
    click(page, way)
    wait_until(lambda: "chunk" in kinds(page))
    click(page, "stop")
    wait_until(lambda: noted(path, "ended"), 5)
    assert state(page).startswith("stopped after")


@pytest.mark.parametrize("way", ["stream", "source"])
def test_the_page_leaves_a_detached_stream_and_resumes_it(page: Any, tmp_path: Path, way: str) -> None:
    path = tmp_path / "notes"
    choose(page, "count", {"n": 60, "seconds": 0.02, "path": str(path)})
    click(page, "detach")
    click(page, way)
    wait_until(lambda: "chunk" in kinds(page))
    click(page, "stop")
    assert state(page).startswith("left after")
    click(page, "resume")
    wait_until(lambda: state(page).startswith("done after"))
    assert kinds(page) == ["start"] + ["chunk"] * 60 + ["done"]
    assert path.read_text() == "begun\nended after 60\n"


def test_the_policy_allows_no_script_and_no_place_but_the_pages_own(page: Any) -> None:
    page.execute_script(
        """
        const script = document.createElement('script');
        script.textContent = 'window.injected = true';
        document.body.append(script);
        document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.injected = true">');
        """
    )
    refused = page.execute_async_script(
        "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(() => done(''), (fault) => done(fault.name));"
    )
    assert refused == "TypeError"
    assert page.execute_script("return window.injected === undefined")
    said = " ".join(entry["message"] for entry in page.get_log("browser"))
    assert "script-src" in said and "connect-src" in said and "img-src" in said
