#!/usr/bin/python3
"""Writes openapi.yaml as compact JSON, the same bytes every time: to_json.py IN.yaml OUT.json

The order of members is the file's own. Dates and other YAML-only types are refused, so that what is
served is what was written.
"""

import json
import sys
from typing import Any

import yaml


def check(value: Any, where: str) -> None:
    """Raises ValueError if `value` holds anything that JSON has no word for."""
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{where}: the key {key!r} is not a string: quote it")
            check(member, f"{where}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check(item, f"{where}/{index}")
    elif value is not None and not isinstance(value, (str, int, float, bool)):
        raise ValueError(f"{where}: {value!r} is not JSON: quote it")


def main() -> None:
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    check(document, "")
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
