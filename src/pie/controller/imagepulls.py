"""For which pods of pie a kubelet pulled an image: it sends the Event `Pulling` before."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Never

from pie.controller.caches import uid_of
from pie.controller.eventwatch import EventWatch, always
from pie.core.wire import Event, Pod
from pie.kube.client import Client

_PULLING: Final = "reason=Pulling,involvedObject.kind=Pod"
_MOST_PODS: Final = 16_384


class ImagePulls:
    """The last pods for which an image was pulled, by uid. Nothing is read of the time before the watch."""

    def __init__(self, client: Client, namespace: str, concerns: Callable[[str], bool] = always) -> None:
        self._pulled: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._forgotten_until = 0.0
        self._watch = EventWatch(client, namespace, _PULLING, self._hear, concerns)
        self._client = client

    async def run(self) -> Never:
        """Watch until cancelled."""
        await self._watch.run()

    def none_for(self, pod: Pod) -> bool:
        """Tell whether it is known that no image was pulled for a pod."""
        known_since = max(self._watch.complete_since, self._forgotten_until)
        return known_since <= pod.metadata.created_seconds and uid_of(pod.metadata) not in self._pulled

    def _hear(self, event: Event) -> None:
        about = event.involved_object
        self._pulled[about.namespace, about.uid] = self._client.now()
        while len(self._pulled) > _MOST_PODS:
            _, self._forgotten_until = self._pulled.popitem(last=False)
