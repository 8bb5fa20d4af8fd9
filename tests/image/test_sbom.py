"""The list of what the image consists of is complete, and names licences."""

import tarfile
from importlib import metadata
from pathlib import Path

from image.archive import Layer, add_tree, write
from image.sbom import debian_packages, document, python_packages
from tests.image.locked import locked, normal

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
Description: text
 Version: 1

Package: libgcc-s1
Architecture: amd64
Version: 12.2.0-14

Package: gcc-12-base
Architecture: amd64
Version: 12.2.0-14
"""


def test_it_names_every_locked_package_with_its_licence() -> None:
    components = python_packages()
    assert {(normal(each.name), each.version) for each in components} == locked().keys()
    installed = {normal(each.name) for each in metadata.distributions()}
    assert [each.name for each in components if not each.licences and normal(each.name) in installed] == []


def test_it_names_every_debian_package_of_the_image_and_fio(tmp_path: Path) -> None:
    documents = tmp_path / "stage/usr/share/doc"
    texts = {
        "libc6/copyright": "Format: 1.0\n\nLicense: LGPL-2.1+\n\nLicense: GPL-2\n text\n",
        "gcc-12-base/copyright": "On Debian systems, see /usr/share/common-licenses/GPL-3.\n",
        "fio/copyright": "Format: 1.0\nLicense: GPL-2\n",
        "fio/version": "3.33-3\n",
    }
    for name, text in texts.items():
        (documents / name).parent.mkdir(parents=True, exist_ok=True)
        (documents / name).write_text(text)
    (documents / "libgcc-s1").symlink_to("gcc-12-base")
    status = tmp_path / "stage/var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(STATUS)
    with tarfile.open(tmp_path / "layer.tar", "w") as tar:
        add_tree(tar, tmp_path / "stage")
    layer = Layer.of(tmp_path / "layer.tar")
    write(tmp_path / "image.tar", name="pie:1", architecture="amd64", run={}, layers=[layer])

    found = debian_packages(tmp_path / "image.tar")
    assert {each.address: each.licences for each in found} == {
        "pkg:deb/debian/libc6@2.36-9?arch=amd64": ("GPL-2", "LGPL-2.1+"),
        "pkg:deb/debian/libgcc-s1@12.2.0-14?arch=amd64": ("GPL-3",),
        "pkg:deb/debian/gcc-12-base@12.2.0-14?arch=amd64": ("GPL-3",),
        "pkg:deb/debian/fio@3.33-3?arch=source": ("GPL-2",),
    }
    described = document(found)
    assert described["bomFormat"] == "CycloneDX"
    assert [each["licenses"] for each in described["components"] if each["name"] == "fio"] == [
        [{"license": {"name": "GPL-2"}}]
    ]
