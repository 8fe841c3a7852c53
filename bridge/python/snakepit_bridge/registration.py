"""Tools as Snakepit's get_tools() lists them."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any

from . import docstring, tools


@dataclasses.dataclass
class ParameterSpec:
    """One parameter. ``validation_json`` holds its default, if it has one."""

    name: str
    type: str = "any"
    description: str = ""
    required: bool = True
    validation_json: str = ""


@dataclasses.dataclass
class ToolRegistration:
    """One tool."""

    name: str
    description: str = ""
    parameters: list[ParameterSpec] = dataclasses.field(default_factory=list)
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    supports_streaming: bool = False


def registrations(adapter: Any) -> list[ToolRegistration]:
    """The marked methods of an adapter, in the order of their names, and ``execute_tool`` if it has one."""
    found = []
    for name, method in inspect.getmembers(adapter, inspect.isroutine):
        mark = tools.mark_of(method)
        if mark is not None:
            found.append(_registration(adapter, name, method, mark))
    if hasattr(adapter, "execute_tool") and not any(item.name == "execute_tool" for item in found):
        found.append(ToolRegistration("execute_tool", "Runs a tool by its name."))
    return found


def _registration(adapter: Any, name: str, method: Any, mark: tools.ToolMetadata) -> ToolRegistration:
    metadata = {"adapter_class": type(adapter).__name__, "module": type(adapter).__module__}
    if mark.required_variables:
        metadata["required_variables"] = ",".join(mark.required_variables)
    texts = docstring.argument_descriptions(method)
    return ToolRegistration(
        name=mark.name or name,
        description=mark.description or docstring.summary(method),
        parameters=[_parameter(item, texts) for item in inspect.signature(method).parameters.values()],
        metadata=metadata,
        supports_streaming=mark.supports_streaming,
    )


def _parameter(parameter: inspect.Parameter, texts: dict[str, str]) -> ParameterSpec:
    hint, empty = parameter.annotation, parameter.empty
    made = ParameterSpec(
        name=parameter.name,
        type="any" if hint is empty else str(getattr(hint, "__name__", hint)).lower(),
        description=texts.get(parameter.name, ""),
        required=parameter.default is empty and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL),
    )
    if parameter.default is not empty:
        made.validation_json = json.dumps({"default": parameter.default}, default=str)
    return made
