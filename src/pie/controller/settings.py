"""The settings of the controller."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pie.core.authorbounds import AuthorBounds
from pie.core.model import IMAGE_ARCHITECTURES
from pie.core.probepods import ProbePods
from pie.serve.webfile import WebFile

LEASE_NAME = "pie.topolvm.io"
"""The name of the Lease that the leader holds."""

READ_QPS: Final = 50.0
READ_BURST: Final = 100
"""At most this many reads per second, and at most this many at once after a pause.

Watches do not count. While nothing fails there are few reads."""

RECORD_MEBIBYTES: Final = 256
"""The default size of the flight record on the disk."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The flags of `pie controller`.

    An empty `namespace` means all namespaces; None: that of the kubeconfig, or of the pod.

    `pie demo` alone sets `minute_seconds`, how long a minute of the cluster's cron schedules lasts, and
    `panel_url`, where its panel of faults is, for the page to link to.
    """

    container_image: str
    image_pull_secrets: tuple[str, ...] = ()
    image_pull_policy: str = ""
    namespace: str | None = None
    metrics_bind_address: str = ":8080"
    health_probe_bind_address: str = ":8081"
    web_file: WebFile | None = None
    leader_elect: bool = False
    kubeconfig: str | None = None
    kube_api_qps: float = 200.0
    budget: float | None = None
    image_architectures: tuple[str, ...] = IMAGE_ARCHITECTURES
    probe_pods: ProbePods = field(default_factory=ProbePods)
    author_bounds: AuthorBounds = field(default_factory=AuthorBounds)
    record: Path | None = None
    record_bytes: int = RECORD_MEBIBYTES * 2**20
    record_anonymous: bool = False
    minute_seconds: float = 60.0
    panel_url: str | None = None
