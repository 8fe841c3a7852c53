"""What the messages of numerical libraries say went wrong: shapes, element types, devices, memory.

The messages are those of numpy, PyTorch, JAX and TensorFlow, and of Snakepit's own examples.
"""

from __future__ import annotations

import re
from typing import Any, Optional

MAX_TEXT = 4096  # characters of a message that are looked at

_UNITS = {"": 1, "B": 1, "BYTES": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_SIZE = r"([\d.]+) ?(bytes|[KMGTP]i?B|B)?"
_ALLOCATE = re.compile(rf"(?:allocate|allocating|requested)\s+{_SIZE}", re.IGNORECASE)
_FREE = re.compile(rf"{_SIZE}\s+(?:is\s+)?free|(?:available|free)\s*:?\s+{_SIZE}", re.IGNORECASE)
_DEVICE = re.compile(r"\b(cuda|rocm|hip|mps|cpu|xpu|gpu)\b(?:(?::| )(\d+))?", re.IGNORECASE)
_SHAPE = r"([\[(][\d\s,]*[\])])"
_OPERATION = re.compile(  # "memory in use", "in total by PyTorch" and "in current model" are none
    r"\b(?:(?:[Ii]n|[Dd]uring)\s+(?:the\s+)?([A-Za-z_]\w*)\b(?! [a-z])|^([a-z_][a-z0-9_]*): )"
)
_NO_OPERATION = ("a", "an", "its", "this", "dimension", "method", "memory", "use", "total")

_MEMORY = re.compile(  # seats and addresses are allocated too
    r"out of memory|\boom\b|alloc_failed|(?:unable|failed|can't|cannot|could not) (?:to )?allocate\b"
    r"[^.:;]{0,40}?(?:\b(?:memory|tensors?|buffers?)\b|\d ?(?:bytes|[KMGTP]i?B?)\b|\d\.\d+ ?[KMGTP]i?B?\b)",
    re.IGNORECASE,
)
_XLA = re.compile(r"RESOURCE[_ ]EXHAUSTED|^INTERNAL: ", re.IGNORECASE)  # which names no device
_ALLOCATOR = re.compile(r"\bGPU[ _](\d+)(?:\b|_)")
_DEVICES = re.compile(r"same device|device mismatch|two devices|expected device|device.*?\bexpected\b", re.IGNORECASE)
_TENSOR_TYPES = re.compile(r"Input type \(([\w.]+)\) and (?:weight|bias) type \(([\w.]+)\)")
_NO_DEVICE = re.compile(
    r"invalid device ordinal|no (?:CUDA|HIP|XPU).*?(?:device|GPU)|cuda\.is_available\(\) is False"
    r"|no NVIDIA driver|NVIDIA driver on your system is too old|not compiled with (?:CUDA|XPU|MPS)"
    r"|cuda\.device_count\(\) is \d|Unknown backend|Unable to initialize backend|device when none is available",
    re.IGNORECASE,
)
_DTYPES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"dtype mismatch.*?expected:? (?P<expected>[\w.]+).*?(?:got|found):? (?P<got>[\w.]+)",
        r"expected (?:object of )?(?:scalar type|dtype) (?P<expected>[\w.]+)"
        r",? but (?:found|got)(?: scalar type| dtype)? (?P<got>[\w.]+)",
        r"found dtype (?P<got>[\w.]+) but expected (?P<expected>[\w.]+)",
        r"same dtype,? but got:? (?P<expected>[\w.]+) (?:!=|and) (?P<got>[\w.]+)",
        r"from dtype\('(?P<got>[^']+)'\) to dtype\('(?P<expected>[^']+)'\)",
    )
)
_SHAPES = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        rf"expected\s*(?:shape)?:?\s*{_SHAPE}.*?(?:got|found)\s*(?:shape)?:?\s*{_SHAPE}",
        rf"broadcast together with (?:remapped )?shapes? (?:\[original->remapped\]: )?{_SHAPE}(?:->\S+)? {_SHAPE}",
        rf"incompatible shapes for broadcasting: (?:shapes=\[)?{_SHAPE}, {_SHAPE}",
        rf"contracting dimensions to have the same shape, got {_SHAPE} and {_SHAPE}",
        rf"equal size, but got {_SHAPE} at entry \d+ and {_SHAPE}",
        rf"from shape (?P<got>{_SHAPE}) into shape (?P<expected>{_SHAPE})",
        rf"shapes {_SHAPE} and {_SHAPE} not aligned",
        rf"param with shape torch\.Size\((?P<got>{_SHAPE})\).*? current model is torch\.Size\((?P<expected>{_SHAPE})\)",
        rf"shape mismatch.*?{_SHAPE}.*?{_SHAPE}",
    )
)
_PRODUCT = re.compile(
    r"\((\d+)x(\d+) and (\d+)x(\d+)\)|shapes \((\d+),(\d+)\) and \((\d+),(\d+)\) not aligned"
    r"|size-incompatible: In\[0\]: \[(\d+),(\d+)\], In\[1\]: \[(\d+),(\d+)\]"
)
_DIMENSION = tuple(
    re.compile(pattern)
    for pattern in (
        r"tensor a \((?P<expected>\d+)\).*? tensor b \((?P<got>\d+)\) at non-singleton dimension (?P<at>\d+)",
        r"core dimension (?P<at>\d+),.*?\(size (?P<got>\d+) is different from (?P<expected>\d+)\)",
        r"Sizes of tensors must match.*? Expected size (?P<expected>\d+) but got size (?P<got>\d+)",
        r"input batch_size \((?P<got>\d+)\) to match target batch_size \((?P<expected>\d+)\)",
        r"to have (?P<expected>\d+) channels, but got (?P<got>\d+) channels",
        r"along dimension (?P<at>\d+); dimension is (?P<expected>\d+) but .*?boolean dimension is (?P<got>\d+)",
        r"along dimension (?P<at>\d+), .*?has size (?P<expected>\d+) and .*?has size (?P<got>\d+)",
    )
)
_RESHAPE = re.compile(
    r"(?:of size (\d+) into shape|shape '?)\s*" + _SHAPE + r"(?:'? is invalid for input of size (\d+))?"
)


def parse(kind: str, text: str) -> Optional[dict[str, Any]]:
    """The fault that an exception of class ``kind`` with that message tells of, None if it is not one of these.

    A dict with ``kind``, ``message`` (for people), ``suggestions``, and its numbers; what is not said is None.
    """
    text = text[:MAX_TEXT]
    for look in (_memory, _device, _dtype, _shape):
        found = look(kind, text)
        if found is not None:
            return found
    return None


def _memory(kind: str, text: str) -> Optional[dict[str, Any]]:
    if not (_MEMORY.search(text) or kind in ("MemoryError", "_ArrayMemoryError", "OutOfMemoryError")):
        return None
    device = _memory_device(text)
    requested, available = _bytes(_ALLOCATE, text), _bytes(_FREE, text)
    message = f"Out of memory on {device}" if device else "Out of memory"
    if requested is not None:
        message += f": requested {_human(requested)}"
        message += f", available {_human(available)}" if available is not None else ""
    return {
        "kind": "out_of_memory",
        "message": message,
        "device": device,
        "requested_bytes": requested,
        "available_bytes": available,
        "operation": _operation(text),
        "suggestions": _memory_suggestions(device or "", requested, available),
    }


def _memory_device(text: str) -> Optional[str]:
    number = _ALLOCATOR.search(text)
    if number:
        return f"cuda:{number[1]}"
    named = _devices(text)
    if named:
        return named[0]
    if "cuda" in text.lower():
        return "cuda:0"
    return None if _XLA.search(text) else "cpu"


def _memory_suggestions(device: str, requested: Optional[int], available: Optional[int]) -> list[str]:
    found = ["Reduce the batch size", "Free what is not needed any more, with del and gc.collect()"]
    if device != "cpu":
        found += ["Use gradient checkpointing", "Use mixed precision (FP16 or BF16)"]
    if device.startswith("cuda"):
        found += [
            "Call torch.cuda.empty_cache()",
            "Set PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True",
        ]
    elif device == "mps":
        found.append("Call torch.mps.empty_cache()")
    if requested and available is not None and requested > 2 * available:
        found += ["Split the model, or offload parts of it", "Use a smaller model"]
    return found


def _device(kind: str, text: str) -> Optional[dict[str, Any]]:
    types = _TENSOR_TYPES.search(text)
    if types and ("cuda" in types[1]) != ("cuda" in types[2]):
        found = ["cuda" if "cuda" in name else "cpu" for name in (types[2], types[1])]
    elif _DEVICES.search(text):
        found = _devices(text)
    elif _NO_DEVICE.search(text):
        named = (_devices(text) or ["cuda"])[0]
        return _device_fault("device_unavailable", named, None, f"Device {named} is not available", text)
    else:
        return None
    if len(found) < 2:
        return None
    expected, got = found[0], found[1]
    return _device_fault("device_mismatch", expected, got, f"Device mismatch: expected {expected}, got {got}", text)


def _device_fault(kind: str, expected: str, got: Optional[str], message: str, text: str) -> dict[str, Any]:
    suggestion = "Choose a device that this machine has, or the CPU"
    if got:
        suggestion = f"Move tensors and model to one device, with .to('{expected}')"
    return {
        "kind": kind,
        "message": message,
        "expected": expected,
        "got": got,
        "operation": _operation(text),
        "suggestions": [suggestion],
    }


def _dtype(kind: str, text: str) -> Optional[dict[str, Any]]:
    types = _TENSOR_TYPES.search(text)
    if types:
        expected, got = types[2], types[1]
    else:
        match = next((found for found in (pattern.search(text) for pattern in _DTYPES) if found), None)
        if match is None:
            return None
        expected, got = match["expected"].strip("."), match["got"].strip(".")
    return {
        "kind": "dtype_mismatch",
        "message": f"Element type mismatch: expected {expected}, got {got}",
        "expected": expected,
        "got": got,
        "operation": _operation(text),
        "suggestions": [f"Convert to {expected} first, with .to(dtype) or .astype(dtype)"],
    }


def _shape(kind: str, text: str) -> Optional[dict[str, Any]]:
    for look in (_product, _two_shapes, _one_dimension, _reshape):
        found: Optional[dict[str, Any]] = look(text)
        if found is not None:
            return _shape_fault(found, text)
    lower = text.lower()
    if "shape" in lower and "mismatch" in lower:
        return _shape_fault({}, text)
    return None


def _shape_fault(found: dict[str, Any], text: str) -> dict[str, Any]:
    names = ("expected", "got", "dimension", "expected_dim", "got_dim")
    fault = {"kind": "shape_mismatch", "message": "", **{name: found.get(name) for name in names}}
    fault["operation"] = found.get("operation") or _operation(text)
    expected, got = fault["expected"], fault["got"]
    if expected is not None and got is not None and len(expected) == len(got) and fault["dimension"] is None:
        at = next((index for index, pair in enumerate(zip(expected, got)) if pair[0] != pair[1]), None)
        if at is not None:
            fault.update(dimension=at, expected_dim=expected[at], got_dim=got[at])
    where = f" in {fault['operation']}" if fault["operation"] else ""
    fault["message"] = f"Shape mismatch{where}{_shape_text(fault)}"
    fault["suggestions"] = ["Compare the shapes of the inputs with what the operation expects", "Reshape or transpose"]
    return fault


def _shape_text(fault: dict[str, Any]) -> str:
    expected, got = fault["expected"], fault["got"]
    if expected is not None and got is not None:
        ranks = f" ({len(expected)} dimensions against {len(got)})" if len(expected) != len(got) else ""
        return f": expected {expected}, got {got}{ranks}"
    if fault["expected_dim"] is not None:
        at = "" if fault["dimension"] is None else f" dimension {fault['dimension']}"
        return f":{at} expected {fault['expected_dim']}, got {fault['got_dim']}"
    return ""


def _two_shapes(text: str) -> Optional[dict[str, Any]]:
    for pattern in _SHAPES:
        match = pattern.search(text)
        if match:
            named = match.groupdict()
            expected, got = named.get("expected") or match[1], named.get("got") or match[2]
            return {"expected": _numbers(expected), "got": _numbers(got)}
    return None


def _one_dimension(text: str) -> Optional[dict[str, Any]]:
    for pattern in _DIMENSION:
        match = pattern.search(text)
        if match:
            at = match.groupdict().get("at")
            numbers = {"expected_dim": int(match["expected"]), "got_dim": int(match["got"])}
            return {"dimension": None if at is None else int(at), **numbers}
    return None


def _product(text: str) -> Optional[dict[str, Any]]:
    match = _PRODUCT.search(text)
    if not match:
        return None
    _, inner, got, columns = (int(group) for group in match.groups() if group)
    found = {"expected": [inner, columns], "got": [got, columns], "operation": "matmul"}  # of the second operand
    return {**found, "dimension": 0, "expected_dim": inner, "got_dim": got}


def _reshape(text: str) -> Optional[dict[str, Any]]:
    match = _RESHAPE.search(text)
    if not match or not (match[1] or match[3]):
        return None
    return {"expected": _numbers(match[2]), "got": [int(match[1] or match[3])], "operation": "reshape"}


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _devices(text: str) -> list[str]:
    """The devices a message names, each once."""
    found = []
    for name, number in _DEVICE.findall(text):
        name = "cuda" if name.lower() == "gpu" else name.lower()
        shown = f"{name}:{number}" if number else name
        if shown not in found:
            found.append(shown)
    return found


def _operation(text: str) -> Optional[str]:
    match = _OPERATION.search(text)
    name = (match[1] or match[2]) if match else None
    return name if name and name.lower() not in _NO_OPERATION else None


def _bytes(pattern: re.Pattern[str], text: str) -> Optional[int]:
    match = pattern.search(text)
    if not match:
        return None
    given = [group for group in match.groups() if group]
    unit = given[1].upper() if len(given) > 1 else ""
    scale = _UNITS.get(unit) or _UNITS.get(unit[:1], 1)
    try:
        return int(float(given[0].rstrip(".")) * scale)
    except ValueError:
        return None


def _human(count: int) -> str:
    for unit, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} bytes"
