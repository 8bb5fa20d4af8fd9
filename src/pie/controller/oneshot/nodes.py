"""The nodes of a check. They are read when a bad run needs it: a check watches no nodes."""

from collections.abc import Iterable

from pie.core.maintenance.history import NodeHistory, fall_silent, observe
from pie.core.maintenance.now import Suppression
from pie.core.model import Probe, Target
from pie.core.target.facts import NodesFact
from pie.core.wire import Node
from pie.kube.client import Client
from pie.kube.listing import list_all
from pie.kube.resources import NODES


class CheckedNodes:
    """The maintenance of each node since the survey, which found the nodes as in `seen`."""

    def __init__(self, client: Client, seen: Iterable[Node]) -> None:
        self._client = client
        self._as_of = client.now()
        self._seen = {node.metadata.name: node for node in seen}
        self._histories: dict[str, NodeHistory] = {}

    def fact(self, target: Target) -> NodesFact:
        """Return what is known of the nodes that a run on a target can use."""
        matching = self._seen.keys() if not target.node else ()
        return NodesFact(histories=self._histories, matching=frozenset(matching), as_of=self._as_of)

    async def read(self, name: str, probe: Probe) -> float:
        """Read a node; return up to when its state is known now."""
        asked_at = self._client.now()
        node = await self._client.get_or_none(NODES, name, decode=Node)
        self._note(name, node, probe)
        return asked_at

    async def read_all(self, probe: Probe) -> None:
        """Read all nodes of the check."""
        asked_at = self._client.now()
        listed = await list_all(
            self._client, NODES, None, decode=Node, label_selector=None, field_selector=None, page_size=500
        )
        odd = {each.object.metadata.name for each in listed.skipped}
        for name in self._seen.keys() - odd:
            self._note(name, listed.objects.get(("", name)), probe)
        self._as_of = asked_at

    def note_silence(self, name: str, why: Suppression, until: float) -> None:
        """Note that a node's kubelet was found silent at `until`."""
        self._histories[name] = fall_silent(self._histories.get(name, NodeHistory()), why, until)

    def _note(self, name: str, node: Node | None, probe: Probe) -> None:
        known = self._histories.get(name)
        if known is None and (before := self._seen.get(name)) is not None:
            known = observe(None, before, probe, self._as_of)
        known_until = known.seen_at if known is not None else 0.0
        self._histories[name] = observe(known, node, probe, self._client.now(), known_until=known_until)
