"""How series name the PieProbe that they are about."""

from dataclasses import dataclass

from pie.core.model import ProbeId


@dataclass(frozen=True, slots=True)
class ProbeLabels:
    """By its name, as in the Go implementation; where pie serves all namespaces, by its namespace, too."""

    all_namespaces: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the labels."""
        return ("namespace", "pie_probe_name") if self.all_namespaces else ("pie_probe_name",)

    def of(self, probe: ProbeId) -> tuple[str, ...]:
        """Return the values of the labels."""
        return tuple(probe) if self.all_namespaces else (probe.name,)

    def pairs(self, probe: ProbeId) -> dict[str, str]:
        """Return the labels with their values."""
        return dict(zip(self.names, self.of(probe), strict=True))


BY_NAME = ProbeLabels()
