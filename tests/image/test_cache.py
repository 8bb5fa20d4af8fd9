"""What the cache keeps for inputs that are not those of today is deleted after two weeks."""

import os
import time
from pathlib import Path

from image.recipe import delete_old

DAY_SECONDS = 24 * 3600


def test_only_old_directories_of_the_same_kind_are_deleted(tmp_path: Path) -> None:
    ages = {"base-now": 30, "base-old": 15, "base-young": 13, "fio-old": 30}
    for name, days in ages.items():
        (tmp_path / name).mkdir()
        then = time.time() - days * DAY_SECONDS
        os.utime(tmp_path / name, (then, then))
    (tmp_path / "base-old.lock").touch()
    delete_old(tmp_path / "base-now")
    assert {path.name for path in tmp_path.iterdir()} == {
        "base-now",
        "base-young",
        "fio-old",
        "base-old.lock",
    }
