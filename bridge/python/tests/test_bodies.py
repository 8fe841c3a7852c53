"""A body as the type of a tool's parameter wants it."""

import io
import mmap
from typing import Optional

import numpy as np
import numpy.typing as npt
import pytest

from snakepit_bridge.errors import Refused
from snakepit_bridge.parameters import Parameters

BINARY = "application/octet-stream"
NPY = "application/x-npy"


def bind(function, body, content_type=BINARY):
    return Parameters("it", function, False).bind(body, content_type)["body"]


def takes_bytes(body: bytes): ...
def takes_anything(body): ...
def takes_view(body: memoryview): ...
def takes_array(body: np.ndarray): ...
def takes_floats(body: Optional[npt.NDArray[np.float32]] = None): ...
def takes_text(body: str): ...


def shared(content: bytes) -> memoryview:
    """As the channel gives it."""
    whole = mmap.mmap(-1, len(content))
    whole[:] = content
    return memoryview(whole).toreadonly()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("function", [takes_bytes, takes_anything])
def test_bytes_are_copied_out_of_shared_memory(function):
    got = bind(function, shared(b"abc"))
    assert (type(got), got) == (bytes, b"abc")


def test_a_view_is_of_the_shared_memory_itself():
    body = shared(b"abc")
    assert bind(takes_view, body).obj is body.obj


def test_a_view_of_a_small_body_is_of_its_bytes():
    assert bind(takes_view, b"abc").obj == b"abc"


def test_an_array_shares_memory_and_cannot_be_written_to():
    body = shared(b"abc")
    array = bind(takes_array, body)
    assert np.shares_memory(array, np.frombuffer(body, np.uint8))
    assert not array.flags.writeable


def test_an_empty_body_is_an_empty_array():
    assert bind(takes_array, b"").size == 0


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npy_file_is_an_array_that_shares_its_memory(order):
    array = np.asarray(np.arange(12, dtype=">i2").reshape(3, 4), order=order)
    body = shared(npy(array))
    got = bind(takes_floats, body, NPY + "; charset=x")
    assert got.dtype == array.dtype and np.array_equal(got, array)
    assert np.shares_memory(got, np.frombuffer(body, np.uint8))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"abc",
        npy(np.arange(9))[:-1],
        npy(np.array([{}], object)),
        b"\x93NUMPY\x07\x00",
        b"\x93NUMPY\x01\x00\x05\x00(",
    ],
)
def test_what_is_no_npy_file_is_refused(body):
    with pytest.raises(Refused) as caught:
        bind(takes_array, body, NPY)
    assert (caught.value.status, caught.value.code) == (422, "invalid_arguments")


def test_a_text_parameter_takes_no_body():
    with pytest.raises(Refused) as caught:
        bind(takes_text, b"abc")
    assert caught.value.status == 415


def test_text_in_json_becomes_a_view():
    assert bytes(bind(takes_view, b'{"body": "abc"}', "")) == b"abc"


def test_json_arguments_are_read_from_shared_memory():
    assert bind(takes_text, shared('{"body": "ü"}'.encode()), "") == "ü"
