"""The fuzz tests of the Python package, so many rounds each with seeds that are always the same."""

import random

import multipart_fuzz
import pytest
import tags_fuzz


@pytest.mark.parametrize("test", [multipart_fuzz, tags_fuzz], ids=lambda test: test.__name__)
def test_rounds(test) -> None:
    for seed in range(2000):
        try:
            test.check(random.Random(seed))
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
