"""`pie controller` that cannot begin: one line that says why, and no traceback."""

import socket
from pathlib import Path

from tests.cli.conftest import point, run


async def refused(kubeconfig: Path, *arguments: str) -> str:
    """Return the one line that the controller ends with."""
    options = ("--container-image", "x", "--kubeconfig", str(kubeconfig))
    ended = await run("controller", *options, *arguments)
    assert ended.status == 2, ended.complained
    complaints = [
        line for line in ended.complained.splitlines() if not line.startswith("{")
    ]  # its log is JSON
    (line,) = complaints
    return line


async def test_a_bind_address_that_is_none_is_named_with_its_option(nowhere: Path) -> None:
    for option in ("--metrics-bind-address", "--health-probe-bind-address"):
        assert f"{option}: '8080' is not an address; write :8080" in await refused(nowhere, option, "8080")


async def test_settings_of_probe_pods_that_are_wrong_are_named_with_their_option(nowhere: Path) -> None:
    line = await refused(nowhere, "--probe-pods", '{"label": {}}')
    assert "--probe-pods: Object contains unknown field `label`" in line


async def test_a_web_config_file_that_cannot_be_obeyed_is_named_with_its_option(nowhere: Path) -> None:
    path = nowhere.with_name("web.yaml")
    path.write_text("basic_auth_users: {me: secret}")
    line = await refused(nowhere, "--web-config-file", str(path))
    assert f"--web-config-file: {path}: basic_auth_users.me: this is not a bcrypt hash" in line
    assert "secret" not in line


async def test_a_port_that_is_taken_is_named(nowhere: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = await refused(nowhere, "--metrics-bind-address", address)
    assert f"cannot listen on --metrics-bind-address {address}" in line
    assert "address already in use" in line


async def test_nonsense_in_the_kubeconfig_is_told(nowhere: Path) -> None:
    point(nowhere, "http://127.0.0.1:99999")
    assert "the server 'http://127.0.0.1:99999' is not a URL" in await refused(nowhere)
