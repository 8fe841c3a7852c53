"""What failures tell of numerical libraries and of well-known exceptions (snakepit 70, 71)."""

import json

import pytest

from snakepit_bridge import ToolError, faults, failure, telemetry

MISMATCHES = [
    ("Shape mismatch: expected [3, 224, 224], got [3, 256, 256] in conv2d", [3, 224, 224], [3, 256, 256], 1, 224, 256),
    ("expected shape (10, 20) but got shape (10, 30)", [10, 20], [10, 30], 1, 20, 30),
    ("operands could not be broadcast together with shapes (3,4) (5,) ", [3, 4], [5], None, None, None),
    ("shapes (3,4) and (5,6) not aligned: 4 (dim 1) != 5 (dim 0)", [4, 6], [5, 6], 0, 4, 5),
    ("could not broadcast input array from shape (3,) into shape (4,)", [4], [3], 0, 4, 3),
    ("cannot reshape array of size 12 into shape (5,3)", [5, 3], [12], None, None, None),
    ("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", [3, 5], [4, 5], 0, 3, 4),
    ("shape '[2, 3]' is invalid for input of size 8", [2, 3], [8], None, None, None),
    ("The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1", None, None, 1, 3, 4),
    ("Expected input batch_size (32) to match target batch_size (16).", None, None, None, 16, 32),
    (
        "Error(s) in loading state_dict for Net:\n\tsize mismatch for fc.weight: copying a param with shape "
        "torch.Size([10, 512]) from checkpoint, the shape in current model is torch.Size([5, 512]).",
        [5, 512], [10, 512], 0, 5, 10,
    ),
    ("add got incompatible shapes for broadcasting: (3,), (4,).", [3], [4], 0, 3, 4),
    ("Incompatible shapes for broadcasting: shapes=[(3,), (4,)]", [3], [4], 0, 3, 4),
    ("dot_general requires contracting dimensions to have the same shape, got (3,) and (4,).", [3], [4], 0, 3, 4),
    ("stack expects each tensor to be equal size, but got [3] at entry 0 and [4] at entry 1", [3], [4], 0, 3, 4),
    ("Matrix size-incompatible: In[0]: [2,3], In[1]: [2,3] [Op:MatMul]", [3, 3], [2, 3], 0, 3, 2),
    (
        "boolean index did not match indexed array along dimension 0; dimension is 2 but corresponding boolean "
        "dimension is 3",
        None, None, 0, 2, 3,
    ),
    (
        "operands could not be broadcast together with remapped shapes [original->remapped]: (2,3)->(2,newaxis,3) "
        "(4,5)->(5,4) ",
        [2, 3], [4, 5], 0, 2, 4,
    ),
]  # fmt: skip


@pytest.mark.parametrize("text, expected, got, dimension, expected_dim, got_dim", MISMATCHES)
def test_shapes_are_found(text, expected, got, dimension, expected_dim, got_dim):
    """snakepit 71"""
    found = faults.parse("ValueError", text)
    assert found["kind"] == "shape_mismatch"
    assert (found["expected"], found["got"], found["dimension"]) == (expected, got, dimension)
    assert (found["expected_dim"], found["got_dim"]) == (expected_dim, got_dim)


def test_shape_mismatch_is_told_to_people():
    """snakepit 71"""
    found = faults.parse("ValueError", "Shape mismatch: expected [3, 4], got [3] in conv2d")
    assert found["message"] == "Shape mismatch in conv2d: expected [3, 4], got [3] (2 dimensions against 1)"
    assert found["suggestions"]


DTYPES = [
    ("expected scalar type Float but found Double", "Float", "Double"),
    ("Expected object of scalar type Long but got scalar type Float for argument #2 'target'", "Long", "Float"),
    ("mat1 and mat2 must have the same dtype, but got Float and Double", "Float", "Double"),
    ("Found dtype Double but expected Float", "Float", "Double"),
    ("Cannot cast ufunc 'add' output from dtype('float64') to dtype('int64')", "int64", "float64"),
    ("Input type (torch.Double) and weight type (torch.Float) should be the same", "torch.Float", "torch.Double"),
]


@pytest.mark.parametrize("text, expected, got", DTYPES)
def test_element_types_are_found(text, expected, got):
    """snakepit 71"""
    found = faults.parse("RuntimeError", text)
    assert (found["kind"], found["expected"], found["got"]) == ("dtype_mismatch", expected, got)


DEVICES = [
    ("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!", "cuda:0", "cpu"),
    ("Input type (torch.cuda.FloatTensor) and weight type (torch.FloatTensor) should be the same", "cpu", "cuda"),
    ("Device mismatch: expected cpu, got cuda:1", "cpu", "cuda:1"),
]


@pytest.mark.parametrize("text, expected, got", DEVICES)
def test_devices_are_found(text, expected, got):
    """snakepit 71"""
    found = faults.parse("RuntimeError", text)
    assert (found["kind"], found["expected"], found["got"]) == ("device_mismatch", expected, got)


MISSING = [
    ("RuntimeError", "CUDA error: invalid device ordinal", "cuda"),
    (
        "RuntimeError",
        "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from "
        "http://www.nvidia.com/Download/index.aspx",
        "cuda",
    ),
    ("AssertionError", "Torch not compiled with CUDA enabled", "cuda"),
    ("RuntimeError", "No CUDA GPUs are available", "cuda"),
    ("RuntimeError", "No HIP GPUs are available", "hip"),
    ("RuntimeError", "Attempting to deserialize object on CUDA device 2 but torch.cuda.device_count() is 1.", "cuda"),
    (
        "RuntimeError",
        "Unknown backend: 'gpu' requested, but no platforms that are instances of gpu are present.",
        "cuda",
    ),
]


@pytest.mark.parametrize("kind, text, device", MISSING, ids=[text[:40] for _, text, _ in MISSING])
def test_missing_device_is_found(kind, text, device):
    found = failure._fault(kind, text)
    assert (found["kind"], found["expected"], found["operation"]) == ("device_unavailable", device, None)


GIB, MIB = 1 << 30, 1 << 20
CUDA = "CUDA out of memory. Tried to allocate "
MEMORY = [
    (f"{CUDA}2.00 GiB (GPU 1; 8.00 GiB total capacity; 512.00 MiB free; 7 GiB reserved)", "cuda:1", 2 * GIB, 512 * MIB),
    (f"{CUDA}20 MiB. GPU 0 has a total capacity of 14.75 GiB of which 9.00 MiB is free.", "cuda:0", 20 * MIB, 9 * MIB),
    ("MPS backend out of memory (max allowed: 6 GB). Tried to allocate 256 MB on private pool", "mps", 256 * MIB, None),
    ("Unable to allocate 8.00 GiB for an array with shape (1024, 1024, 1024)", "cpu", 8 * GIB, None),
    ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8000000000 bytes.", "cpu", 8_000_000_000, None),
    ("OOM on cuda:0: failed to allocate 1 GB, available 256 MB", "cuda:0", GIB, 256 * MIB),
    (  # PyTorch 2
        f"{CUDA}24.00 MiB. GPU 0 has a total capacity of 7.50 GiB of which 15.00 MiB is free. Process 3936 has 5.38 "
        "GiB memory in use. Including non-PyTorch memory, this process has 2.19 GiB memory in use. "
        "Of the allocated memory "
        "217.80 MiB is allocated by PyTorch, and 50.20 MiB is reserved by PyTorch but unallocated. If reserved but "
        "unallocated memory is large try setting PYTORCH_ALLOC_CONF=expandable_segments:True to avoid fragmentation.",
        "cuda:0", 24 * MIB, 15 * MIB,
    ),
    (  # PyTorch 1
        f"{CUDA}36.00 MiB (GPU 2; 7.93 GiB total capacity; 130.35 MiB already allocated; 47.00 MiB free; 188.00 "
        "MiB reserved in total by PyTorch) If reserved memory is >> allocated memory try setting "
        "max_split_size_mb to avoid "
        "fragmentation.",
        "cuda:2", 36 * MIB, 47 * MIB,
    ),
    ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "cuda", None, None),
    (
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7406166528 bytes.\nBufferAssignment OOM "
        "Debugging.\nBufferAssignment stats:\n             parameter allocation:  372.76MiB",
        None, 7406166528, None,
    ),
    ("INTERNAL: Failed to allocate 98697216 bytes for new constant", None, 98697216, None),
    (
        "OOM when allocating tensor with shape[128,3,8,128] and type float on "
        "/job:localhost/replica:0/task:0/device:GPU:1 by allocator GPU_1_bfc",
        "cuda:1", None, None,
    ),
]  # fmt: skip


@pytest.mark.parametrize("text, device, requested, available", MEMORY)
def test_memory_is_found_with_its_numbers(text, device, requested, available):
    """snakepit 71"""
    found = faults.parse("RuntimeError", text)
    assert (found["kind"], found["device"]) == ("out_of_memory", device)
    assert (found["requested_bytes"], found["available_bytes"]) == (requested, available)
    assert found["operation"] is None


def test_memory_comes_with_suggestions_and_human_numbers():
    """snakepit 71"""
    found = faults.parse("OutOfMemoryError", MEMORY[0][0])
    assert found["message"] == "Out of memory on cuda:1: requested 2.00 GiB, available 512.00 MiB"
    assert "Call torch.cuda.empty_cache()" in found["suggestions"] and "Use a smaller model" in found["suggestions"]


@pytest.mark.parametrize(
    "kind, text",
    [
        ("ValueError", "the living room is too small"),
        ("ValueError", "could not allocate a seat for passenger 12"),
        ("RuntimeError", "Failed to allocate IP address from pool"),
        ("RuntimeError", "unable to allocate 3 tables"),
        ("TypeError", "expected str, bytes or os.PathLike object, not int"),
        ("ValueError", "not enough values to unpack (expected 2, got 1)"),
        ("ValueError", "unknown device for the printer"),
        ("KeyError", "'shape'"),
        ("ValueError", ""),
    ],
)
def test_ordinary_messages_are_left_alone(kind, text):
    assert faults.parse(kind, text) is None


def test_hostile_message_takes_no_time():
    import time

    begun = time.thread_time()
    for text in ("expected [1" * 5000, "shape mismatch (1)" * 5000, "to have " * 5000, "[1,] " * 9000):
        faults.parse("ValueError", text)
    assert time.thread_time() - begun < 2


class Own(Exception):
    pass


KNOWN = [
    (ValueError, "ValueError"), (KeyError, "KeyError"), (IndexError, "IndexError"), (TypeError, "TypeError"),
    (AttributeError, "AttributeError"), (ImportError, "ImportError"), (ModuleNotFoundError, "ImportError"),
    (RuntimeError, "RuntimeError"), (NotImplementedError, "NotImplementedError"),
    (FileNotFoundError, "FileNotFoundError"), (PermissionError, "PermissionError"),
    (ZeroDivisionError, "ZeroDivisionError"), (UnicodeDecodeError, "ValueError"), (Own, "PythonException"),
    (OSError, "PythonException"),
]  # fmt: skip


@pytest.mark.parametrize("kind, name", KNOWN)
def test_exception_maps_to_a_known_type(kind, name):
    """snakepit 70"""
    assert failure.known_type(kind) == name


def context_of(pb, error, **members):
    answer = failure.of_exception(pb.Invoke(call_id=1, session_id="s", **members), error, 0)
    return answer, json.loads(answer.context)


def test_failure_tells_of_the_fault(pb):
    """snakepit 71"""
    answer, context = context_of(pb, RuntimeError("CUDA out of memory. Tried to allocate 1.00 GiB"), tool="train")
    assert (answer.type, context["tool_name"], context["session_id"]) == ("RuntimeError", "train", "s")
    assert context["error_type"] == "RuntimeError"
    assert context["error"]["requested_bytes"] == 1 << 30


def test_traceback_begins_with_the_tools_own_code(pb):
    from snakepit_bridge import tools

    @tools.tool(tagged=True)
    def run():
        raise KeyError("x")

    item = tools.Tool("run", run, False)
    item.bind(run)
    try:
        item.function()
    except KeyError as error:
        below = error.with_traceback(error.__traceback__.tb_next)
        answer = failure.of_exception(pb.Invoke(call_id=1, tool="run"), below, 0)
    assert "in run" in answer.traceback and "tools.py" not in answer.traceback


def test_failure_of_an_unknown_class_keeps_its_name(pb):
    """snakepit 70"""
    answer, context = context_of(pb, Own("x"), tool="t")
    assert (answer.type, context["error_type"]) == ("Own", "PythonException")
    assert "error" not in context


def test_fault_is_told_as_an_event(pb):
    """snakepit 71"""
    kept = telemetry.Buffer()
    telemetry.set_backend(kept)
    try:
        context_of(pb, RuntimeError("CUDA out of memory. Tried to allocate 1 GiB"), tool="t")
    finally:
        telemetry.set_backend(telemetry.gateway)
    assert [event.name for event in kept.take()] == ["python.exception.mapped", "error.oom"]


def test_tool_error_is_left_as_it_is(pb):
    _, context = context_of(pb, ToolError("out of memory"), tool="t")
    assert "error" not in context and "error_type" not in context


def test_failure_of_snakebridge_says_what_was_called(pb):
    args = b'{"python_module":"math","function":"sqrt","call_type":"function","args":[-1]}'
    _, context = context_of(pb, ValueError("math domain error"), tool="snakebridge.call", args=args)
    assert (context["python_module"], context["function"]) == ("math", "sqrt")
