"""What the error texts of storage drivers mean, whatever code they come with.

The codes are gRPC's; CSI says what it means by them: github.com/container-storage-interface/spec, spec.md.
"""

import re

_NO_ANSWER = re.compile(
    r"DeadlineExceeded|context deadline exceeded"
    r"|timed out waiting for external-attacher|volume attachment is being deleted"
)

# What comes while an earlier call is not done yet, or was given up: it says nothing about why. CSI's code
# for it is ABORTED ("operation pending for volume"); not all drivers use it.
_PENDING = re.compile(
    r"code = Aborted"
    r"|\boperations?\b[^.]{0,80}\b(already exists|pending)\b"
    r"|\b(operation|request|creation|provisioning|clone|expansion)s?\b[^.]{0,80}\bin progress\b",
    re.IGNORECASE,
)

# The same of a container runtime, and of the kubelet in its back-off.
_BACK_OFF = re.compile(
    r"failed to reserve (sandbox|container) name|^Error: (\w*Image\w*|RegistryUnavailable)$"
    r"|^Back-off pulling image \"[^\"]*\"$|^Unable to (attach or )?mount volumes\b.*\b(timed out|timeout) "
)

# ResourceExhausted, quotas and limits of something else than storage: calls, messages, a back end's queue.
_OF_CALLS = re.compile(
    r"message larger than max"
    r"|\brate.{0,3}(limit|exceed)|too many requests|throttl|RequestLimitExceeded|quota metric"
    r"|\b(requests?|queries|calls|operations) (limit|per)|concurren|pending (operations|requests)"
    r"|too many (outstanding|in.?flight|pending|parallel|simultaneous)",
    re.IGNORECASE,
)

_ROOM = r"(space|capacity|storage|extents)\b"
_SUCH = (
    r"( (free|available|usable|remaining|suitable|allocatable|disk|physical|storage|thin|pool|lv|vg|local"
    r"|volume))*"
)

_CAPACITY = re.compile(
    r"code = ResourceExhausted"
    rf"|\b(insufficient|not enough|lack of|out of){_SUCH} {_ROOM}|insufficient\w*(space|capacity|storage)\b"
    rf"|(\bnot|n't) have (enough|sufficient){_SUCH} {_ROOM}|\bno (enough|sufficient){_SUCH} {_ROOM}"
    r"|\bno (space|capacity|((free|usable|available) (space|capacity|extents)))\b|ENOSPC|\bNo\w*Space\b"
    # LVM, of a thin pool.
    r"|free space in (thin )?pool\b.{0,120}(threshold|exceed|full)|pool\b.{0,80} is (full|exhausted)\b"
    r"|pool\b.{0,80}(exceeds|above|over|reached).{0,30}(threshold|limit)|pool_exhausted|out of stock"
    # Quotas and limits, of clouds and of back ends.
    r"|quota.{0,80}(exceed|reached|exhausted)|(exceed|\bover\b|not enough|insufficient).{0,80}quota"
    r"|(volume|disk|storage|iops|capacity|share|resource|service|quota)\w*?_?limits?_?exceeded"
    r"|quota_?exceeded|\bLimitExceeded"
    r"|\bmaximum number of (volumes|disks|shares)\b"
    r"|\bexceed\w*( \w+){0,4} (storage|volume|disk|capacity) limit"
    r"|(volume|storage|disk|resource|share|capacity)s? limit\b.{0,20}\b(exceeded|reached)",
    re.IGNORECASE,
)

_ATTACHED = re.compile(
    r"code = ResourceExhausted"
    r"|attach(ment)?s?.?limit|resource_limit_exceeded|maximum_persistent_disks|max(imum)? volume count"
    r"|\bmax(imum)?\b( \w+){0,2} (number|count) of( \w+){0,3} (disk|volume|device|attachment)s?"
    r"|\bMaximum\w*DisksExceeded|too many( \w+){0,2} (disks|volumes|devices)\b"
    r"|(reached|exceed\w*|already has|more than)\b.{0,40}\b(max(imum)?|limit|\d+)\b.{0,40}"
    r"\b(volumes?|disks?|devices?|attachments?)\b|\b(volumes?|disks?) limit\b",
    re.IGNORECASE,
)


# What resolves by itself at the next try, and causes nothing that lasts: two wrote the same object; the API
# server did not know yet that the node may see the PVC, or the kubelet had not read what the pod uses.
_PASSES = re.compile(
    r"object has been modified|no relationship found|object \"[^\"]*\"/\"[^\"]*\" not registered"
)


def passes(text: str) -> bool:
    """Tell whether a text is about something that resolves by itself."""
    return _PASSES.search(text) is not None


def is_echo(text: str) -> bool:
    """Tell whether a text only says that something earlier is not done: that one explains more."""
    return _PENDING.search(text) is not None or _BACK_OFF.search(text) is not None


def no_answer(text: str) -> bool:
    """Tell whether somebody gave up waiting for a driver or its attacher, which refused nothing.

    gRPC's own code, Go's words for it, and those of kube-controller-manager and the kubelet
    (k8s.io/kubernetes pkg/volume/csi/csi_attacher.go).
    """
    return _NO_ANSWER.search(text) is not None or _PENDING.search(text) is not None


def no_capacity(text: str) -> bool:
    """Tell whether the back end has no room, or no quota, for a new volume."""
    return _CAPACITY.search(text) is not None and not _OF_CALLS.search(text)


def too_many_attached(text: str) -> bool:
    """Tell whether a node has as many volumes as it can have."""
    return _ATTACHED.search(text) is not None and not _OF_CALLS.search(text)
