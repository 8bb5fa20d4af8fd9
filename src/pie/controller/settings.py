"""What the controller is told at start-up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The flags of `pie controller`; the first five are Go pie's."""

    container_image: str
    namespace: str | None = None
    metrics_bind_address: str = ":8080"
    health_probe_bind_address: str = ":8081"
    leader_elect: bool = False
    kubeconfig: str | None = None
    budget: float = 200.0
