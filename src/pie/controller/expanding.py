"""Has a PVC ask for a larger volume."""

from pie.core.naming import ANNOTATION_EXPANDED
from pie.core.target.effects import ExpandVolume
from pie.core.text import one_line
from pie.core.wire import Claim
from pie.kube.client import Client
from pie.kube.errors import Forbidden, Invalid, NotFound
from pie.kube.resources import PVCS


async def expand(client: Client, namespace: str, claim: str, order: ExpandVolume) -> str:
    """Change the PVC of a run; return why the API server refused it, empty if it did not.

    A quota or a webhook may refuse it, or the class does not allow it. The mark that pie asked for it is
    written together with the size, so that nobody asks twice.
    """
    metadata = {"uid": order.claim_uid, "annotations": {ANNOTATION_EXPANDED: order.size}}
    body = {"metadata": metadata, "spec": {"resources": {"requests": {"storage": order.size}}}}
    try:
        await client.merge_patch(PVCS, claim, body, namespace, decode=Claim)
    except NotFound:
        return ""  # The run is over.
    except (Forbidden, Invalid) as error:
        return one_line(error.message)
    return ""
