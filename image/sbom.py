"""`python -m image.sbom OUTPUT.json [--image IMAGE.tar]` lists what pie's image consists of, with licences.

The list is a CycloneDX document. Python packages come from the lock file, and their licences from the
packages installed here. Debian packages, and fio, come from an image that `python -m image` or `docker save`
wrote.
"""

import argparse
import json
import re
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import quote

import pie
from image.base import LOCK, ImageError

_LOCKED = re.compile(r"^([\w.-]+)==([^\s;]+)(?: ; ([^\\\n]*))? \\$", re.MULTILINE)
_CLASSIFIER = "License :: OSI Approved :: "
_STATUS = "var/lib/dpkg/status"
_DOCUMENTS = "usr/share/doc"
_ABOUT = (_STATUS, f"{_DOCUMENTS}/")
_WANTED = {"status", "copyright", "version"}
_FIELD = re.compile(r"^(\w+): (.+)$", re.MULTILINE)
_LICENCE_LINE = re.compile(r"^License:[ \t]*(\S.*)$", re.MULTILINE)
_COMMON_LICENCE = re.compile(r"/usr/share/common-licenses/([\w.+-]*\w)")


@dataclass(frozen=True, slots=True)
class Component:
    """A package of the image: of the Python index, of Debian, or built from Debian's sources."""

    name: str
    version: str
    address: str
    licences: tuple[str, ...]

    def described(self) -> dict[str, Any]:
        """Return it as CycloneDX has it."""
        return {
            "type": "library",
            "bom-ref": self.address,
            "name": self.name,
            "version": self.version,
            "purl": self.address,
            "licenses": [{"license": {"name": name}} for name in self.licences],
        }


def python_packages() -> list[Component]:
    """Return the locked packages that Linux needs."""
    return [
        Component(name, version, f"pkg:pypi/{quote(name)}@{quote(version)}", _licences_of(name))
        for name, version, marker in _LOCKED.findall(LOCK.read_text())
        if "win32" not in marker
    ]


def _licences_of(name: str) -> tuple[str, ...]:
    """Return what an installed package says: an expression, else a text of one line, else classifiers."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ()
    for key in ("License-Expression", "License"):
        said = "".join(about.get_all(key) or []).strip()
        if said and "\n" not in said:
            return (said,)
    classifiers = about.get_all("Classifier") or []
    return tuple(each.removeprefix(_CLASSIFIER) for each in classifiers if each.startswith(_CLASSIFIER))


def debian_packages(image: Path) -> list[Component]:
    """Return the Debian packages of an image, and fio, which is built from Debian's sources."""
    files = dict(_files(image))
    found = []
    for paragraph in files.get(_STATUS, "").split("\n\n"):
        fields = dict(_FIELD.findall(paragraph))
        if "Version" in fields:
            found.append((fields["Package"], fields["Version"], fields["Architecture"]))
    if version := files.get(f"{_DOCUMENTS}/fio/version", "").strip():
        found.append(("fio", version, "source"))
    return [
        Component(
            name,
            version,
            f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}",
            _licences_in(_copyright(files, name)) or (f"see /{_DOCUMENTS}/{name}/copyright",),
        )
        for name, version, architecture in sorted(found)
    ]


def _copyright(files: Mapping[str, str], package: str) -> str:
    """Return a package's copyright file; its directory may be a link to that of another package."""
    directory = files.get(f"{_DOCUMENTS}/{package}", package)
    return files.get(f"{_DOCUMENTS}/{directory}/copyright", "")


def _licences_in(text: str) -> tuple[str, ...]:
    """Return the licences that a copyright file names; files of the older kind have no fields for them."""
    with_fields = text.startswith("Format")
    found = _LICENCE_LINE.findall(text) if with_fields else _COMMON_LICENCE.findall(text)
    return tuple(sorted({name.strip() for name in found}))


def _files(image: Path) -> Iterator[tuple[str, str]]:
    """Give what an image says of its packages, from the lowest layer up: texts, and links of directories."""
    with tarfile.open(image) as archive:
        (manifest,) = json.load(_opened(archive, archive.getmember("manifest.json")))
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=_opened(archive, archive.getmember(layer))) as tree:
                for entry in tree:
                    path = PurePosixPath(entry.name.removeprefix("./"))
                    if entry.issym() and str(path.parent) == _DOCUMENTS:
                        yield str(path), PurePosixPath(entry.linkname).name
                    elif path.name in _WANTED and not entry.isdir() and str(path).startswith(_ABOUT):
                        yield str(path), _opened(tree, entry).read().decode(errors="replace")


def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    if file is None:
        raise ImageError(f"{member.name} in the image is no file")
    return file


def document(components: Iterable[Component]) -> dict[str, Any]:
    """Return the CycloneDX document; equal packages give an equal document."""
    about = {"type": "container", "name": "pie", "version": pie.__version__}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": about | {"licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": [component.described() for component in components],
    }


def main() -> int:
    """Write the document."""
    parser = argparse.ArgumentParser(
        prog="python -m image.sbom", description="List what pie's image consists of (CycloneDX)."
    )
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--image", type=Path, help="an OCI or Docker archive; without it, only Python packages"
    )
    arguments = parser.parse_args()
    components = python_packages()
    if arguments.image is not None:
        components += debian_packages(arguments.image)
    arguments.output.write_text(json.dumps(document(components), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
