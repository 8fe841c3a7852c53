"""Limits from the environment."""

import os
import subprocess
import sys

import pytest

from snakepit_bridge.limits import number, seconds


@pytest.mark.parametrize("text, expected", [("12", 12), (" 12 ", 12), ("", 5), ("x", 5), ("1.5", 5)])
def test_a_number_is_whole_or_the_usual(text, expected):
    assert number({"LIMIT": text}, "LIMIT", 5) == expected


@pytest.mark.parametrize("text, expected", [("1.500000", 1.5), ("0.000000", 0.0), ("", 5.0), ("x", 5.0)])
def test_a_time_is_in_seconds_or_the_usual(text, expected):
    assert seconds({"LIMIT": text}, "LIMIT", 5.0) == expected


@pytest.mark.parametrize("text, expected", [("1000", 1000), (str(1 << 40), 64 << 20)])
def test_no_value_is_larger_than_the_gateway_takes(package_root, text, expected):
    environment = {**os.environ, "PYTHONPATH": package_root, "SNAKEPIT_VALUES_LIMIT": text}
    program = "from snakepit_bridge import values; print(values.MAX_BODY)"
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert int(told.stdout) == expected
