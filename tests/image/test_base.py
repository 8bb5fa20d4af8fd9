"""The base layer is built again after a week, and equal packages give an equal layer."""

import os
import shutil
import time
from pathlib import Path

import pytest

from image.base import MAX_AGE_SECONDS, base_layer
from image.recipe import base, cache_directory

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("machine"), pytest.mark.timeout(1500)]


def test_a_layer_is_taken_from_the_cache_for_a_week_and_then_made_again_with_equal_content(
    tmp_path: Path,
) -> None:
    base()
    for fio in cache_directory().glob("fio-*[!k]"):  # not the .lock
        shutil.copytree(fio, tmp_path / fio.name)
        os.utime(tmp_path / fio.name)
    first = base_layer(tmp_path)
    made = first.path.stat().st_mtime_ns

    def aged(seconds: float) -> None:
        then = time.time() - seconds
        os.utime(first.path.parent, (then, then))

    aged(MAX_AGE_SECONDS - 3600)
    assert base_layer(tmp_path).path.stat().st_mtime_ns == made
    aged(MAX_AGE_SECONDS + 3600)
    again = base_layer(tmp_path)
    assert again.path.stat().st_mtime_ns > made
    assert again == first
