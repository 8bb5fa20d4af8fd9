"""The chart as plain YAML: placeholders in a rendered chart become the names of an installation."""

import re
from typing import Final

NAMESPACE: Final = "namespace-of-pie"
IMAGE: Final = "image.invalid/of-pie:1"
PULL_SECRET: Final = "pull-secret-of-pie"  # noqa: S105  the placeholder for the name of one
"""What stands in the rendered chart; legal names, or helm would not render them."""

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_IMAGE: Final = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._/:@]{0,500}")


class IllegalName(ValueError):  # noqa: N818  says what it is
    """A name that cannot stand in a manifest."""


def filled(rendered: str, *, namespace: str, image: str, pull_secrets: tuple[str, ...] = ()) -> str:
    """Return the manifests of an installation. Raises IllegalName."""
    _check(_LABEL, namespace, "a namespace")
    _check(_IMAGE, image, "an image")
    for each in pull_secrets:
        _check(_SUBDOMAIN, each, "the name of a Secret")
    lines = []
    for line in rendered.splitlines(keepends=True):
        if line.strip() == "imagePullSecrets:" and not pull_secrets:
            continue
        names = pull_secrets if PULL_SECRET in line else ("",)
        lines += [line.replace(PULL_SECRET, name) for name in names]
    return "".join(lines).replace(NAMESPACE, namespace).replace(IMAGE, image)


def _check(legal: re.Pattern[str], name: str, what: str) -> None:
    if legal.fullmatch(name) is None:
        raise IllegalName(f"{name[:64]!r} cannot be {what}")
