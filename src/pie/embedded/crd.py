"""The CRD of PieProbe: the very file that a real cluster gets."""

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from pie.embedded.schema import Schema

Json = dict[str, Any]


@lru_cache(maxsize=1)
def pieprobe_crd() -> Json:
    """Return the CustomResourceDefinition: from the installed package, else from the checkout."""
    packaged = files("pie.embedded") / "pieprobe.yaml"
    if packaged.is_file():
        text = packaged.read_text()
    else:
        text = (Path(__file__).parents[3] / "charts" / "pie" / "crds" / "pieprobe.yaml").read_text()
    crd: Json = yaml.safe_load(text)
    return crd


def pieprobe_version() -> Json:
    """Return the served version of the CRD, with its schema and printer columns."""
    (version,) = pieprobe_crd()["spec"]["versions"]
    found: Json = version
    return found


@lru_cache(maxsize=1)
def pieprobe_schema() -> Schema:
    """Return the schema of PieProbe, its rules compiled."""
    return Schema(pieprobe_version()["schema"]["openAPIV3Schema"])
