"""A controller with a web config file, as a process: what is behind TLS and a password, and what is not."""

import shutil
import ssl
from base64 import b64encode

import aiohttp
import bcrypt
import pytest
import yaml

from tests.certificates import Certificates, certificates
from tests.cli.conftest import run
from tests.embedded.conftest import Start
from tests.harness import Pie, Samples

__all__ = ["certificates"]


async def test_metrics_page_and_api_are_guarded_and_health_is_not(
    start_embedded: Start, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("web")
    for name in ("server.crt", "server.key"):
        shutil.copy(certificates.path(name), folder)
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    tls = {"cert_file": "server.crt", "key_file": "server.key"}
    file = folder / "web.yaml"
    file.write_text(yaml.safe_dump({"tls_server_config": tls, "basic_auth_users": {"me": hashed}}))
    cluster = await start_embedded(nodes=0)
    async with Pie(cluster.kubeconfig, "pie", "--web-config-file", str(file)) as pie:
        await pie.leads()
        assert await pie.get("/healthz") == (200, "ok\n")
        assert await pie.get("/readyz") == (200, "ok\n")
        host = f"127.0.0.1:{pie.ports[0]}"
        assert f"https://{host}/" in pie.said("serving")
        context = ssl.create_default_context(cafile=certificates.path("ca.crt"))
        user = {"Authorization": f"Basic {b64encode(b'me:secret').decode()}"}
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(f"https://{host}", connector=connector) as session:
            for path in ("/metrics", "/", "/api/v1/overview"):
                assert (await session.get(path)).status == 401
                assert (await session.get(path, headers=user)).status == 200
            for _ in range(10):
                metrics = await (await session.get("/metrics", headers=user)).text()
            assert not [
                each
                for each in Samples(metrics).all("pie_client_requests_total")
                if each.labels["verb"] not in {"get", "list", "watch"} and each.value
            ], "a scrape writes nothing"
        trusted = {"SSL_CERT_FILE": certificates.path("ca.crt")}
        asked = await run("status", "--server", f"https://me:secret@{host}", **trusted)
        assert "There is no PieProbe in the namespace pie yet" in asked.said
        for address, words in (
            (f"https://me:wrong-one@{host}", "a user of the web config file and the password are needed"),
            (f"http://me:wrong-one@{host}", f"http://{host}/api/v1/overview does not answer"),
        ):
            refused = await run("status", "--server", address, **trusted)
            assert words in refused.complained
            assert "wrong-one" not in refused.complained
