"""Certificates of a CA for tests, made by the openssl program."""

import os
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificates:
    """PEM files: a CA, two server certificates for 127.0.0.1 and `kubernetes`, and a client certificate."""

    directory: Path

    def path(self, name: str) -> str:
        """Return where a file is."""
        return str(self.directory / name)

    def pem(self, name: str) -> bytes:
        """Return what a file holds."""
        return (self.directory / name).read_bytes()

    @property
    def server_context(self) -> ssl.SSLContext:
        """How a server shows its certificate, and demands one of its clients."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.path("ca.crt"))
        context.load_cert_chain(self.path("server.crt"), self.path("server.key"))
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Give certificates made by the openssl program."""
    if shutil.which("openssl") is None:
        reason = "this machine lacks the program openssl; on Debian: apt-get install openssl"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return issue(tmp_path_factory.mktemp("certificates"))


def issue(directory: Path) -> Certificates:
    """Create a CA and certificates of it in a directory."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=directory)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test CA", "-days", "2"
    )
    names = "subjectAltName=IP:127.0.0.1,DNS:kubernetes"
    for name, extension in (("server", names), ("renewed", names), ("client", "extendedKeyUsage=clientAuth")):
        request = ("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(*request, "-addext", extension)
        signed = ("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", "-days", "2")
        openssl(
            *signed, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copyall"
        )
    return Certificates(directory)
