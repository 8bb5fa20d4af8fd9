"""The web config file: TLS, client CA and users, on real sockets; refused in words if it cannot be obeyed."""

import asyncio
import ssl
import subprocess
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from pie.core.webconfig import WebConfigError, web_config
from pie.serve.api import Api
from pie.serve.bounds import Bounds
from pie.serve.http import metrics_app, serving
from pie.serve.series import TargetSeries
from pie.serve.webfile import WebFile
from tests.certificates import Certificates, certificates
from tests.serve.halfopen import half_open, possible

__all__ = ["certificates"]

PASSWORD = "pässword"  # noqa: S105  a test's
# The salt is fixed: it is part of the names of tests, which all workers must agree on.
HASH = bcrypt.hashpw(PASSWORD.encode(), b"$2b$04$" + b"piepiepiepiepiepiepieu").decode()
PATHS = ("/metrics", "/", "/app.js", "/api/v1/overview", "/api/v1/events", "/nothing")
RIGHT = ("me", PASSWORD)
CLIENT_CA = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.crt"}
TLS = {"cert_file": "server.crt", "key_file": "server.key"}

Json = dict[str, Any]


def app() -> aiohttp.web.Application:
    return metrics_app(CollectorRegistry(), TargetSeries(), Api())


class Folder:
    """A directory with a web config file and what it names, as a mounted Secret."""

    def __init__(self, path: Path, certificates: Certificates | None = None) -> None:
        self.path = path
        self.file = path / "web.yaml"
        for name in ("server.crt", "server.key", "ca.crt") if certificates is not None else ():
            assert certificates is not None
            (path / name).write_bytes(certificates.pem(name))

    def put(self, name: str, content: bytes) -> None:
        """Replace a file, as the kubelet does."""
        new = self.path / f"{name}.new"
        new.write_bytes(content)
        new.rename(self.path / name)

    def write(self, **config: Any) -> WebFile:
        """Write the web config file, and read it."""
        self.put("web.yaml", yaml.safe_dump(config).encode())
        return WebFile(self.file)


@pytest.fixture
def folder(tmp_path: Path, certificates: Certificates) -> Folder:
    return Folder(tmp_path, certificates)


def client_context(certificates: Certificates, *, certificate: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates.path("ca.crt"))
    if certificate:
        context.load_cert_chain(certificates.path("client.crt"), certificates.path("client.key"))
    return context


async def get(
    port: int, path: str = "/metrics", tls: ssl.SSLContext | None = None, user: tuple[str, str] | None = None
) -> aiohttp.ClientResponse:
    """Ask on a connection of its own."""
    headers = {"Authorization": f"Basic {b64encode(':'.join(user).encode()).decode()}"} if user else {}
    url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}{path}"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(url, ssl=tls if tls is not None else True) as answer,
    ):
        await answer.read()
        return answer


async def shown(port: int, tls: ssl.SSLContext) -> bytes | None:
    """Return the certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


def der(certificates: Certificates, name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificates.pem(name).decode())


# TLS.


async def test_with_a_certificate_everything_is_served_through_tls_and_nothing_without(
    folder: Folder, certificates: Certificates
) -> None:
    tls = client_context(certificates)
    async with serving(app(), "127.0.0.1:0", web_file=folder.write(tls_server_config=TLS)) as port:
        assert [(await get(port, path, tls)).status for path in ("/metrics", "/", "/app.js")] == [200] * 3
        with pytest.raises(aiohttp.ClientError):
            await get(port)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await get(port, tls=ssl.create_default_context())
        assert (await get(port, tls=tls)).status == 200, "also after a client that speaks no TLS"


async def test_a_new_certificate_is_shown_without_a_restart(
    folder: Folder, certificates: Certificates
) -> None:
    tls = client_context(certificates)
    async with serving(app(), "127.0.0.1:0", web_file=folder.write(tls_server_config=TLS)) as port:
        assert await shown(port, tls) == der(certificates, "server.crt")
        # For a moment, the new certificate has the old key: the earlier pair stays in force.
        folder.put("server.crt", certificates.pem("renewed.crt"))
        assert await shown(port, tls) == der(certificates, "server.crt")
        folder.put("server.key", certificates.pem("renewed.key"))
        assert await shown(port, tls) == der(certificates, "renewed.crt")


async def test_a_client_without_a_certificate_of_the_client_ca_is_let_in_nowhere(
    folder: Folder, certificates: Certificates
) -> None:
    config = folder.write(tls_server_config={**TLS, **CLIENT_CA})
    async with serving(app(), "127.0.0.1:0", web_file=config) as port:
        for path in PATHS:
            with pytest.raises(aiohttp.ClientError):
                await get(port, path, client_context(certificates))
        assert (await get(port, tls=client_context(certificates, certificate=True))).status == 200


async def test_an_older_tls_than_the_least_is_refused(folder: Folder, certificates: Certificates) -> None:
    config = folder.write(tls_server_config={**TLS, "min_version": "TLS13"})
    old = client_context(certificates)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(app(), "127.0.0.1:0", web_file=config) as port:
        with pytest.raises(aiohttp.ClientError):
            await get(port, tls=old)
        assert (await get(port, tls=client_context(certificates))).status == 200


async def test_connections_that_never_speak_are_as_bounded_as_without_tls(
    folder: Folder, certificates: Certificates
) -> None:
    tls = client_context(certificates)
    config, number = folder.write(tls_server_config=TLS), possible(300)
    async with (
        serving(app(), "127.0.0.1:0", Bounds(connections=16), web_file=config) as port,
        half_open(port, number),
    ):
        assert (await get(port, tls=tls)).status == 200


async def test_a_connection_that_ends_its_handshake_and_asks_nothing_is_closed_in_time(
    folder: Folder, certificates: Certificates
) -> None:
    config = folder.write(tls_server_config=TLS)
    async with serving(app(), "127.0.0.1:0", Bounds(header_seconds=0.1), web_file=config) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(certificates))
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n")
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()


# Users.


async def test_only_users_with_their_password_get_anything(tmp_path: Path) -> None:
    config = Folder(tmp_path).write(basic_auth_users={"me": HASH, "you": HASH.replace("$2b$", "$2y$")})
    async with serving(app(), "127.0.0.1:0", web_file=config) as port:
        for path in PATHS:
            refused = await get(port, path)
            assert refused.status == 401
            assert refused.headers["WWW-Authenticate"] == 'Basic realm="pie", charset="UTF-8"'
        for wrong in (("me", "word"), ("nobody", PASSWORD), ("", ""), ("me", ""), ("me", HASH)):
            assert (await get(port, user=wrong)).status == 401, wrong
        for _ in range(2):
            assert (await get(port, user=RIGHT)).status == 200
            assert (await get(port, user=("you", PASSWORD))).status == 200
        assert (await get(port, user=("nobody", PASSWORD))).status == 401


async def test_a_password_that_is_changed_no_longer_opens(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    config = folder.write(basic_auth_users={"me": HASH})
    async with serving(app(), "127.0.0.1:0", web_file=config) as port:
        assert (await get(port, user=RIGHT)).status == 200
        other = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
        folder.write(basic_auth_users={"me": other})
        assert (await get(port, user=RIGHT)).status == 401
        folder.put("web.yaml", b"basic_auth_users: {me: broken}")
        assert (await get(port)).status == 401, "a file that cannot be read opens nothing"
        folder.write(basic_auth_users={"you": HASH})
        assert (await get(port, user=RIGHT)).status == 401


async def test_of_many_that_guess_a_bounded_number_waits_and_who_is_known_does_not(tmp_path: Path) -> None:
    slow = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(8)).decode()
    config = Folder(tmp_path).write(basic_auth_users={"me": slow})
    async with serving(app(), "127.0.0.1:0", web_file=config) as port:
        assert (await get(port, user=RIGHT)).status == 200
        guesses = [asyncio.create_task(get(port, user=("me", str(n)))) for n in range(40)]
        await asyncio.wait(guesses, return_when=asyncio.FIRST_COMPLETED)
        assert (await get(port, user=RIGHT)).status == 200
        statuses = [answer.status for answer in await asyncio.gather(*guesses)]
        assert set(statuses) == {401, 429}


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !", "Bearer me", "Basic bWU=", "Basic /////w==", "Basic bWU6AAA="]
)
async def test_whatever_else_the_header_says_it_is_refused(header: str, tmp_path: Path) -> None:
    config = Folder(tmp_path).write(basic_auth_users={"me": HASH})
    async with (
        serving(app(), "127.0.0.1:0", web_file=config) as port,
        aiohttp.ClientSession(headers={"Authorization": header}) as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        assert answer.status == 401


async def test_only_the_first_72_bytes_of_a_password_count_as_in_every_bcrypt(tmp_path: Path) -> None:
    long = "x" * 80
    hashed = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    config = Folder(tmp_path).write(basic_auth_users={"me": hashed})
    async with serving(app(), "127.0.0.1:0", web_file=config) as port:
        assert (await get(port, user=("me", long))).status == 200


# Headers.


async def test_headers_are_set_on_every_answer_and_do_not_weaken_those_of_the_page(tmp_path: Path) -> None:
    headers = {"X-Frame-Options": "deny", "Content-Security-Policy": "default-src *"}
    config = Folder(tmp_path).write(http_server_config={"headers": headers})
    async with serving(app(), "127.0.0.1:0", web_file=config) as port:
        page, metrics, nothing = [await get(port, path) for path in ("/", "/metrics", "/nothing")]
    assert {each.headers["X-Frame-Options"] for each in (page, metrics, nothing)} == {"deny"}
    assert metrics.headers["Content-Security-Policy"] == "default-src *"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


# What cannot be obeyed.


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[", "while parsing"),
        ("- a", "Expected `object`, got `array`"),
        ("basic_auth_user: {}", "unknown field `basic_auth_user`"),
        ("tls_server_config: {cert_file: a, key_file: b, ciphers: []}", "unknown field `ciphers`"),
        ("tls_server_config: {key_file: b}", "tls_server_config.cert_file is missing"),
        ("tls_server_config: {cert_file: a}", "tls_server_config.key_file is missing"),
        ("tls_server_config: {}", "tls_server_config.cert_file is missing"),
        (
            "tls_server_config: {cert_file: a, key_file: b}",
            "the TLS files .*a, .*b cannot be used: No such file",
        ),
        ("tls_server_config: {cert_file: web.yaml, key_file: web.yaml}", "the TLS files .* cannot be used"),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAnyClientCert}",
            "'RequireAnyClientCert' is none of NoClientCert, VerifyClientCertIfGiven and Require",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert}",
            "such a type needs client_ca_file",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}",
            "client_ca_file needs a client_auth_type that verifies",
        ),
        ("tls_server_config: {cert_file: a, key_file: b, min_version: TLS11}", "Invalid enum value 'TLS11'"),
        (
            "tls_server_config: {cert_file: a, key_file: b, min_version: TLS13, max_version: TLS12}",
            "min_version is greater than max_version",
        ),
        ("http_server_config: {headers: {Server: pie}}", "'Server' cannot be set; Content-Security-Policy"),
        ("basic_auth_users: {me: secret}", "basic_auth_users.me: this is not a bcrypt hash; `htpasswd"),
        (f"basic_auth_users: {{me: '{HASH.replace('$04$', '$31$')}'}}", "this is not a bcrypt hash"),
        ("basic_auth_users: {'a:b': x}", "'a:b' cannot be a user's name"),
        ("basic_auth_users: {me: [1]}", "Expected `str`, got `array`"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_in_words(config: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(config)
    with pytest.raises(WebConfigError, match=words) as refused:
        WebFile(path)
    assert str(refused.value).startswith((f"{path}: ", "the TLS files"))
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WebConfigError, match=r"web\.yaml: No such file or directory"):
        WebFile(tmp_path / "web.yaml")


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(folder: Folder) -> None:
    encrypt = ("openssl", "ec", "-in", "server.key", "-aes256", "-passout", "pass:x", "-out", "server.key")
    subprocess.run(encrypt, check=True, capture_output=True, cwd=folder.path)
    with pytest.raises(WebConfigError, match="cannot be used"):
        folder.write(tls_server_config=TLS)


@pytest.mark.parametrize("config", ["", "{}", "basic_auth_users:", "http_server_config: {http2: false}"])
async def test_a_file_that_asks_for_nothing_changes_nothing(config: str, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(config)
    async with serving(app(), "127.0.0.1:0", web_file=WebFile(path)) as port:
        assert (await get(port)).status == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["tls_server_config", "http_server_config", "basic_auth_users"]), JSON, max_size=3
    )
    | JSON
)
def test_nothing_but_an_error_in_words_comes_of_nonsense(found: Any) -> None:
    try:
        web_config(found)
    except WebConfigError as error:
        assert str(error)
