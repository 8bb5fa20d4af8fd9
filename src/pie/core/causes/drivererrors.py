"""What the error messages of storage drivers mean, with any error code.

The codes are those of gRPC. Their meaning in CSI: github.com/container-storage-interface/spec, spec.md.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """Patterns, and words: a text that matches has one of the words, and words are quicker to find."""

    keys: tuple[str, ...]
    pattern: re.Pattern[str]

    def found_in(self, text: str) -> bool:
        """Tell whether a text matches; upper and lower case are the same."""
        text = text.lower()
        return any(key in text for key in self.keys) and self.pattern.search(text) is not None


def _words(keys: str, *patterns: str) -> Words:
    return Words(tuple(keys.split("|")), re.compile("|".join(patterns)))


_NO_ANSWER = _words(
    "deadline|timed out|being deleted",
    r"deadlineexceeded|context deadline exceeded",
    r"timed out waiting for external-attacher|volume attachment is being deleted",
)

# Drivers answer this while an earlier call is not finished, or was abandoned. It does not name the cause. The
# code of CSI for it is ABORTED ("operation pending for volume"); not all drivers use it.
_PENDING = _words(
    "aborted|operation|progress|flight|being|locked|back-off|backoff",
    r"code = aborted",
    r"\boperations?\b[^.]{0,80}\b(already exists|pending)\b",
    r"\b(operation|request|creation|provisioning|clone|expansion)s?\b[^.]{0,80}\b(in progress|in.flight)\b",
    r"\b(still|is) being (processed|created|provisioned|attached|cloned)\b|\blocked by another\b",
    r"\bdue to back-?off\b",
)

# The same from a container runtime, and from a kubelet that waits before it tries again.
_BACK_OFF = _words(
    "reserve|error: |back-off|unable",
    r"failed to reserve (sandbox|container) name",
    r"^error: (\w*image\w*|registryunavailable)$|^back-off pulling image \"[^\"]*\"$",
    r"^unable to (attach or )?mount volumes\b.*\b(timed out|timeout) ",
)

# What resolves by itself at the next try, and causes nothing that lasts: two wrote the same object; the API
# server did not know yet that the node may see the PVC, or the kubelet had not read what the pod uses; the
# pod was deleted while the scheduler bound it (k8s.io/kubernetes pkg/registry/core/pod/storage/storage.go).
_PASSES = _words(
    "modified|cannot be fulfilled|bind plugin|relationship|registered",
    r"object has been modified|operation cannot be fulfilled on",
    r"\bbind plugin \"[^\"]*\": pods \"[^\"]*\" not found",
    r"no relationship found",
    r"object \"[^\"]*\"/\"[^\"]*\" not registered",
)

# ResourceExhausted, quotas and limits that are not about storage: messages, calls, sessions of a back end.
_OF_CALLS = _words(
    "message|grpc|memory|rate|quota metric|many|throttl|slow|429|limit|per|concurren|pending|max|pool",
    r"message larger than max|\bgrpc: |out of memory",
    r"\brate.{0,3}(limit|exceed)|quota metric|too many requests|throttl|slow down|\b429\b",
    r"\b(requests?|queries|calls|operations|sessions?|retr(y|ies)) ?(limit|per)|requestlimitexceeded",
    r"concurren|pending (operations|requests)|\b(maximum|max) (number of )?(sessions|connections|retries)",
    r"too many (outstanding|in.?flight|pending|parallel|simultaneous)|\b(connection|thread|worker) pool\b",
)

_ROOM = r"[- ](space|capacity|storage|extents)\b"
_SUCH = (
    r"( (free|available|usable|remaining|suitable|allocatable|disk|physical|storage|thin|pool|lv|vg|local"
    r"|volume))*"
)
_STORE = r"\b(pool|aggregate|array|back ?end|data ?store|volume group|file ?system|device)\b"

_CAPACITY = _words(
    "exhausted|enospc|space|capacity|storage|extents|stock|full|inodes|quota|limit|threshold|maximum number",
    r"code = resourceexhausted|enospc|\bno\w{0,20}space\b|pool_exhausted|out of stock",
    # There is not enough of it.
    rf"\b(insufficient|not enough|lack of|out of){_SUCH}{_ROOM}",
    r"insufficient\w{0,20}(space|capacity|storage)\b",
    rf"(\b(no|not|cannot)\b|n't).{{0,60}}\b(enough|sufficient){_SUCH}{_ROOM}",
    r"\bno (space|capacity|inodes|((free|usable|available) (space|capacity|extents)))\b",
    r"\bexceed\w*( \w+){0,2} (free|available|remaining)( \w+){0,2} (capacity|space)\b",
    # It is full. LVM reports this of a thin pool before it is full.
    rf"{_STORE}.{{0,80}} is (\d+% ?)?(full|exhausted)\b|{_STORE} exhausted",
    r"free space in (thin )?pool\b.{0,120}(threshold|exceed|full)|\bthin pool\b.{0,80}\bfull\b",
    r"\bpool\b.{0,80}(exceeds|above|over|reached).{0,30}(threshold|limit)",
    # Quotas and limits, of clouds and of back ends.
    r"quota.{0,80}(exceed|reached|exhausted)|(exceed|\bover\b|not enough|insufficient).{0,80}quota",
    r"(volume|disk|storage|iops|capacity|share|resource|service|quota)\w{0,20}limits?_?exceeded",
    r"quota_?exceeded|\blimitexceeded|\bmaximum number of (volumes|disks|shares)\b",
    r"\bexceed\w*( \w+){0,4} (storage|volume|disk|capacity) limit",
    r"(volume|storage|disk|resource|share|capacity)s? limit\b.{0,20}\b(exceeded|reached)",
)

_ATTACHED = _words(
    "exhausted|limit|maximum|max|too many|no free|no available|reached|exceed|already has|more than",
    r"code = resourceexhausted|resource_limit_exceeded|maximum_persistent_disks|max(imum)? volume count",
    r"attach(ment)?s?.?limit|disk\w{0,20}limitexceeded|\b(volumes?|disks?) limit\b",
    r"\bmaximum\w{0,20}disksexceeded",
    r"\bmax(imum)?\b( \w+){0,2} (number|count) of( \w+){0,3} (disk|volume|device|attachment)s?",
    r"too many( \w+){0,2} (disks|volumes|devices)\b|\bno (free|available) (scsi|lun|slot|device)",
    r"\bmax(imum)?\b( [\w-]+){0,2} (disk|volume)s? count\b",
    r"\blimit of (attached )?(volumes|disks|devices|attachments)\b",
    r"(reached|exceed\w*|already has|more than)\b.{0,40}\b(max(imum)?|limit|\d+)\b.{0,40}"
    r"\b(volumes?|disks?|devices?|attachments?)\b",
)


# What says that a feature does not exist: gRPC's code for it, the words of external-provisioner ("CSI driver
# does not support clone operations"), the words of the PV controller and of
# sig-storage-lib-external-provisioner ("does not support block volume provisioning"), of CSI drivers, and of
# the kubelet (k8s.io/kubernetes pkg/volume/csi), and of the API server ("must support resize").
_UNSUPPORTED = (
    r"(?<!operation )((is|are) not|isn't|aren't|not|not (yet|currently)|un) ?"
    r"(supported|implemented|offered|allowed|served)"
)
_FEATURE = (
    r"(raw )?block\b( (volume|device|access|mode)\w*)?|block.?mode|volume.?mode\b|volume capabilit\w+"
    r"|access (mode|type)s?\b|(controller|node)?expand(ing)? ?volumes?\b|(expansion|resiz(e|ing))\b"
    r"|clon(e|es|ing)\b|(volume.?)?content.?source|data.?source|snapshots?\b"
    r"|multi.?(node|writer)\w*|readwritemany\b"
)
_NOT_OFFERED = _words(
    "unimplemented|support|implement|offer|allow|served|invalid|unknown|cannot do|multi",
    r"code = unimplemented",
    rf"\b(does not|doesn't|do not|cannot|no) (support|offer|provide|implement)\w*\b.{{0,60}}\b({_FEATURE})",
    rf"\b({_FEATURE}).{{0,80}}\b{_UNSUPPORTED}\b",
    rf"\b{_UNSUPPORTED}\b.{{0,60}}\b({_FEATURE})",
    r"\bonly\b.{0,40}\b(mount|filesystem)\b.{0,40}\bsupported",
    r"\bonly supports?\b.{0,40}\b(mount|filesystem)\b",
    r"\bonly\b.{0,20}\bsupports?\b.{0,40}\b(readwriteonce|rwo\b|single.?node)",
    r"\baccess modes? (is|are) only supported\b|\bmulti.?writer with mount access\b",
    rf"\bcannot do ({_FEATURE})",
    r"\bmust support resize\b",
    r"\b(invalid|unknown)\b.{0,30}\b(volume.?mode|volume capabilit\w+)",
)


def passes(text: str) -> bool:
    """Tell whether a text is about something that resolves by itself."""
    return _PASSES.found_in(text)


def is_echo(text: str) -> bool:
    """Tell whether a text only says that an earlier operation is not done: its error explains more."""
    return _PENDING.found_in(text) or _BACK_OFF.found_in(text)


def no_answer(text: str) -> bool:
    """Tell whether a text says that the driver or its attacher did not answer in time.

    The words are those of gRPC, of Go, of kube-controller-manager and of the kubelet
    (k8s.io/kubernetes pkg/volume/csi/csi_attacher.go).
    """
    return _NO_ANSWER.found_in(text) or _PENDING.found_in(text)


def no_capacity(text: str) -> bool:
    """Tell whether the back end has no room, or no quota, for a new volume."""
    return _CAPACITY.found_in(text) and not _OF_CALLS.found_in(text)


def too_many_attached(text: str) -> bool:
    """Tell whether a node has as many volumes as it can have."""
    return _ATTACHED.found_in(text) and not _OF_CALLS.found_in(text)


def not_offered(text: str) -> bool:
    """Tell whether a text says that the driver, its class or a kubelet does not know what a canary tests."""
    return _NOT_OFFERED.found_in(text)
