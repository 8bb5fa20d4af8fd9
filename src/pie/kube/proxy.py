"""Which proxy leads to a server, by the environment, with the rules that kubectl follows.

They are Go's (net/http.ProxyFromEnvironment, golang.org/x/net/http/httpproxy): HTTPS_PROXY or HTTP_PROXY by
the server's scheme, upper or lower case; NO_PROXY lists hosts, domains, addresses and CIDR ranges; loopback
is never proxied. In-cluster addresses are usually excluded by a CIDR range, which urllib does not know.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from yarl import URL


def proxy_from_environment(server: str, environment: Mapping[str, str]) -> str | None:
    """Return the proxy's URL for the server's URL, or None for a direct connection."""
    url = URL(server)
    name = f"{url.scheme}_proxy"
    proxy = environment.get(name.upper()) or environment.get(name)
    excluded = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    if not proxy or url.host is None or _direct(url.host, url.port, excluded):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _direct(host: str, port: int | None, excluded: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    rules = (rule.strip().lower() for rule in excluded.split(","))
    return any(_excludes(rule, host.lower(), port, address) for rule in rules if rule)


def _excludes(rule: str, host: str, port: int | None, address: IPv4Address | IPv6Address | None) -> bool:
    if rule == "*":
        return True
    if address is not None and "/" in rule:
        try:
            return address in ip_network(rule, strict=False)
        except ValueError:
            return False
    name, colon, rule_port = rule.rpartition(":")
    if colon and rule_port.isdigit() and _address(rule) is None:
        if int(rule_port) != port:
            return False
        rule = name
    if address is not None:
        return _address(rule.strip("[]")) == address
    domain = rule.removeprefix("*")
    return host.endswith(domain) if domain.startswith(".") else host == domain or host.endswith(f".{domain}")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
