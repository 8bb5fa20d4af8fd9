"""TLS contexts from certificates in files or in memory."""

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from pie.kube.config import ClusterConfig
from pie.kube.errors import ConfigError


def context_for(config: ClusterConfig, certificate: bytes = b"", key: bytes = b"") -> ssl.SSLContext:
    """Return the context for a cluster. `certificate` and `key` (PEM) replace those of the config.

    Raises ConfigError where a file is missing or is not a certificate.
    """
    try:
        context = _verifying(config)
        certificate = certificate or config.client_certificate_pem
        key = key or config.client_key_pem
        if certificate or config.client_certificate_file:
            _present(context, config, certificate, key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"the TLS files for {config.server} cannot be used: {_files(config)}: {error}"
        ) from error
    context.set_alpn_protocols(["http/1.1"])  # or a proxy in between might choose HTTP/2, which aiohttp lacks
    return context


def _verifying(config: ClusterConfig) -> ssl.SSLContext:
    if config.insecure_skip_tls_verify:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if config.ca_pem:
        context = ssl.create_default_context(cadata=config.ca_pem.decode("ascii"))
    else:
        context = ssl.create_default_context(cafile=config.ca_file or None)
    # Python 3.13 made this the default; the CAs of many clusters lack what it wants, and kubectl takes them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _present(context: ssl.SSLContext, config: ClusterConfig, certificate: bytes, key: bytes) -> None:
    """Load the client certificate. OpenSSL needs files, so data in memory goes to a private directory."""
    with TemporaryDirectory(prefix="pie-") as directory:  # mode 0700
        certificate_file, key_file = config.client_certificate_file, config.client_key_file
        if certificate:
            certificate_file = _written(Path(directory) / "tls.crt", certificate)
        if key:
            key_file = _written(Path(directory) / "tls.key", key)
        context.load_cert_chain(certificate_file, key_file or None)


def _written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def _files(config: ClusterConfig) -> str:
    named = (config.ca_file, config.client_certificate_file, config.client_key_file)
    return ", ".join(file for file in named if file) or "certificates inside the kubeconfig"
