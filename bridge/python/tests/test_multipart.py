"""Forms: how their parts become arguments, and that nothing a caller can send does harm."""

import random
from typing import Any, List, Literal, Optional, Set, Tuple, Union

import pytest
import requests
from snakepit_bridge import multipart
from snakepit_bridge.errors import Refused
from snakepit_bridge.parameters import Parameters


def form(files: Any) -> Any:
    """Body and content type as requests makes them."""
    prepared = requests.Request("POST", "http://x/", files=files).prepare()
    return prepared.body, prepared.headers["content-type"]


def parse(body: bytes) -> List[multipart.Part]:
    return multipart.parse(body, "multipart/form-data; boundary=b")


def bind(function: Any, files: Any) -> Any:
    return Parameters("tool", function, False).bind(*form(files))


def test_parts_have_name_filename_type_and_content() -> None:
    body, content_type = form({"image": ("a b.png", b"\x89\r\n--\x00", "image/png"), "lang": (None, "de")})
    assert multipart.parse(body, content_type) == [
        ("image", "a b.png", "image/png", b"\x89\r\n--\x00"),
        ("lang", "", "", b"de"),
    ]


def test_a_preamble_spaces_and_an_epilogue_are_passed_over() -> None:
    body = b'before\r\n--b \t\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\nbehind'
    assert parse(body) == [("x", "", "", b"1")]


def test_names_may_be_quoted_bare_or_extended() -> None:
    body = (
        b'--b\r\ncontent-disposition: form-data; name="a\\"b"; filename=c.txt\r\n\r\n\r\n'
        b"--b\r\ncontent-disposition: form-data; name=d; filename*=UTF-8''%C3%BC\r\n\r\nx\r\n--b--"
    )
    assert parse(body) == [('a"b', "c.txt", "", b""), ("d", "ü", "", b"x")]


def test_an_empty_form_has_no_parts() -> None:
    assert parse(b"--b--") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--",
        b"--c--",
        b"--b",
        b"--bx\r\n\r\n--b--",
        b"--b\r\n",
        b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1",
        b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--",
        b"--b\r\nno colon\r\n\r\n1\r\n--b--",
        b"--b\r\nno end of the header\r\n--b--",
        b"--b\r\n" + b"x" * 9000 + b": 1\r\n\r\n1\r\n--b--",
        b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n" * 1001 + b"--b--",
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse(body)


@pytest.mark.parametrize("content_type", ["multipart/form-data", "a; boundary=", f"a; boundary={'x' * 71}"])
def test_a_boundary_is_needed(content_type: str) -> None:
    with pytest.raises(ValueError):
        multipart.parse(b"--x--", content_type)


def test_bytes_at_random_are_parsed_or_refused() -> None:
    dice = random.Random(7)
    head = b"Content-Disposition: form-data; name=x"
    pieces = [b"--b", b"\r\n", b"--", head, b":", b";", b'"', b"\\", b"a", b"\x00\xff", b" "]
    for _ in range(20000):
        body = b"".join(dice.choice(pieces) for _ in range(dice.randrange(16)))
        try:
            parts = parse(b"--b\r\n" + body if dice.random() < 0.5 else body)
        except ValueError:
            continue
        assert all(isinstance(part.content, bytes) for part in parts)


def test_parts_become_arguments_of_the_parameters_types() -> None:
    def tool(image: bytes, lang: str = "en", n: int = 0, box: Optional[List[int]] = None, note="") -> None:
        """Everything."""

    given = {"image": b"\xff", "lang": "5", "n": "5", "box": "[1,2]", "note": "ü"}
    expected = {"image": b"\xff", "lang": "5", "n": 5, "box": [1, 2], "note": "ü"}
    assert bind(tool, {name: (None, value) for name, value in given.items()}) == expected


def test_several_files_of_one_name_are_a_list() -> None:
    def tool(files: list) -> None:
        """Many."""

    files = [("files", (name, content)) for name, content in (("a", b"1"), ("b", b"2"), ("c", b"3"))]
    assert bind(tool, files) == {"files": [b"1", b"2", b"3"]}


@pytest.mark.parametrize(
    "hint, texts, value",
    [
        (List[str], ["a", "b"], ["a", "b"]),
        (List[str], ["a"], ["a"]),
        (List[str], ["1", "2"], ["1", "2"]),
        (List[str], ['["a", "b"]'], ["a", "b"]),
        (List[int], ["1", "2"], [1, 2]),
        (List[List[int]], ["[1]", "[2]"], [[1], [2]]),
        (List[Literal["a", "b"]], ["a", "b"], ["a", "b"]),
        (Optional[List[str]], ["a", "b"], ["a", "b"]),
        (Optional[List[str]], ["null"], None),
        (Optional[List[bytes]], ["a", "b"], [b"a", b"b"]),
        (Set[str], ["a", "b"], ["a", "b"]),
        (Tuple[int, int], ["1", "2"], [1, 2]),
        (Tuple[int, int], ["[1, 2]"], [1, 2]),
        (Union[str, List[str]], ["a", "b"], ["a", "b"]),
        (list, ["a", "b"], ["a", "b"]),
        (Any, ["a", "b"], ["a", "b"]),
    ],
)  # fmt: skip
def test_several_parts_of_one_name_are_a_list(hint: Any, texts: List[str], value: Any) -> None:
    def tool(x) -> None:
        """Several."""

    tool.__annotations__ = {"x": hint}
    assert bind(tool, [("x", (None, text)) for text in texts]) == {"x": value}


@pytest.mark.parametrize("hint", [str, int, bool, dict, Optional[str], Literal["a", "b"], bytes])
def test_several_parts_for_what_is_no_list_are_refused(hint: Any) -> None:
    def tool(x) -> None:
        """One."""

    tool.__annotations__ = {"x": hint}
    told = faults_of(tool, [("x", (None, "1")), ("x", (None, "2"))])
    assert told["/x"].endswith("there are 2 of that name, and it takes no list")


def test_a_part_of_json_is_json() -> None:
    def tool(options) -> None:
        """Any."""

    assert bind(tool, {"options": (None, '{"a": 1}', "application/json")}) == {"options": {"a": 1}}


def test_parts_that_do_not_fit_are_refused() -> None:
    def tool(n: int) -> None:
        """One number."""

    for files in ({"n": (None, "x")}, {"m": (None, "1")}, {"n": (None, "{", "application/json")}):
        with pytest.raises(Refused) as refused:
            bind(tool, files)
        assert refused.value.status == 422


def faults_of(function: Any, files: Any) -> dict:
    with pytest.raises(Refused) as refused:
        bind(function, files)
    assert (refused.value.status, refused.value.code) == (422, "invalid_arguments")
    return {each["pointer"]: each["detail"] for each in refused.value.errors}


def test_every_fault_of_a_form_is_told_with_its_place() -> None:
    def tool(n: int, lang: str, box: Optional[List[int]] = None, image: bytes = b"") -> None:
        """Several."""

    files = {"n": (None, "x"), "box": (None, '["a"]'), "a/b": (None, "1")}
    assert set(faults_of(tool, files)) == {"/n", "/box", "/a~1b", "/lang"}


@pytest.mark.parametrize("hint", [int, str, float, bool, dict, List[int], Optional[int], Literal["a", "b"]])
def test_a_file_for_what_takes_none_is_refused(hint: Any) -> None:
    def tool(x) -> None:
        """One."""

    tool.__annotations__ = {"x": hint}
    assert "found a file" in faults_of(tool, {"x": ("a.bin", b"\xff", "application/octet-stream")})["/x"]


@pytest.mark.parametrize("hint,text", [(int, '"1"'), (int, "[1]"), (int, "1.5"), (bool, "1"), (List[int], "{}"),
                                       (Optional[int], '"x"'), (Literal[1, 2], "3"), (dict, "[]")])  # fmt: skip
def test_a_part_of_another_type_is_refused(hint: Any, text: str) -> None:
    def tool(x) -> None:
        """One."""

    tool.__annotations__ = {"x": hint}
    assert faults_of(tool, {"x": (None, text)})["/x"].startswith("expected ")


@pytest.mark.parametrize("hint,text,value", [(int, "1e2", 100), (Optional[int], "null", None), (float, "1", 1),
                                             (List[int], "[]", []), (Literal["a", "b"], "b", "b")])  # fmt: skip
def test_a_part_that_fits_is_taken(hint: Any, text: str, value: Any) -> None:
    def tool(x) -> None:
        """One."""

    tool.__annotations__ = {"x": hint}
    assert bind(tool, {"x": (None, text)}) == {"x": value}
    assert type(bind(tool, {"x": (None, text)})["x"]) is type(value)


def test_one_file_for_a_list_of_files_is_a_list() -> None:
    def tool(files: List[bytes]) -> None:
        """Many."""

    assert bind(tool, [("files", ("a", b"1"))]) == {"files": [b"1"]}
    assert bind(tool, [("files", ("a", b"1")), ("files", ("b", b"2"))]) == {"files": [b"1", b"2"]}


def test_a_file_that_cannot_be_read_is_told_with_its_place() -> None:
    numpy = pytest.importorskip("numpy")

    def tool(x: numpy.ndarray) -> None:
        """An array."""

    assert "npy" in faults_of(tool, {"x": ("a.npy", b"no", "application/x-npy")})["/x"]


def test_a_tool_that_takes_a_body_gets_the_form_as_it_is() -> None:
    def tool(body: bytes) -> None:
        """The whole."""

    body, content_type = form({"a": (None, "1")})
    assert Parameters("tool", tool, False).bind(body, content_type) == {"body": body}


def test_a_tool_that_takes_the_content_type_gets_the_form_as_it_is() -> None:
    def tool(body: bytes, content_type: str) -> None:
        """The whole."""

    body, content_type = form({"a": (None, "1")})
    assert Parameters("tool", tool, False).bind(body, content_type) == {"body": body, "content_type": content_type}
