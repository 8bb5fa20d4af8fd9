"""Files that pie carries with it: in an installed package, and in a checkout."""

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pie.core.yamltext import read_yaml


@lru_cache(maxsize=1)
def pieprobe_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of PieProbe that belongs to this version of pie."""
    crd: dict[str, Any] = read_yaml(pieprobe_crd_text())
    return crd


def pieprobe_crd_text() -> str:
    """Return the same as YAML, with its comments."""
    packaged = files("pie") / "pieprobe.yaml"
    checkout = Path(__file__).parents[2] / "charts" / "pie" / "files" / "pieprobe.yaml"
    return (packaged if packaged.is_file() else checkout).read_text()
