"""What happens to pods in real clusters, each with its undo: webhooks, policies, limits, deletions.

They are not faults of the storage. They concern the pods of `Options.pods`, `<namespace>/<labels>`;
limits and quotas concern the whole namespace.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from testbed import webhook
from testbed.api import Api, Json
from testbed.errors import TestbedError

_NAME = "testbed"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_HOOKS = f"{_ADMISSION}/mutatingwebhookconfigurations"
_POLICIES = f"{_ADMISSION}/validatingadmissionpolicies"
_BINDINGS = f"{_ADMISSION}/validatingadmissionpolicybindings"
_NOBODY = "https://127.0.0.1:1/gone"


class PodsCluster(webhook.HostCluster, Protocol):
    """The parts of a testbed that faults of pods need."""

    @property
    def api(self) -> Api:
        """The API server."""

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file of an administrator."""

    async def kill(self, name: str) -> None:
        """End a process at once."""


@dataclass(frozen=True, slots=True)
class Pods:
    """Some pods: a namespace, and labels as in a selector, `key=value`."""

    namespace: str
    labels: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> "Pods":
        """Read `<namespace>/<key>=<value>,…`."""
        namespace, _, selector = text.partition("/")
        labels = dict(each.partition("=")[::2] for each in selector.split(",") if each)
        if not namespace:
            raise TestbedError(f"{text!r} is not like <namespace>/<key>=<value>: say whose pods")
        return cls(namespace, labels)

    @property
    def selector(self) -> str:
        """The labels as a selector."""
        return ",".join(f"{key}={value}" for key, value in self.labels.items())

    @property
    def rules(self) -> Json:
        """The selectors of admission for objects of this namespace with these labels."""
        of_namespace = {"kubernetes.io/metadata.name": self.namespace}
        return {
            "namespaceSelector": {"matchLabels": of_namespace},
            "objectSelector": {"matchLabels": dict(self.labels)},
        }


Objects = Callable[[Pods], Mapping[str, Json]]
"""The objects of a fault, by their paths."""


def _none(_pods: Pods) -> dict[str, Json]:
    return {}


@dataclass(frozen=True, slots=True)
class PodFault:
    """A fault of pods: by objects, by a change of the webhook, or by the sweeper.

    `change`: see `testbed.webhook`; it changes `resource`. `sweeps`: see `testbed.sweeper`.
    """

    meaning: str
    objects: Objects = _none
    change: str = ""
    resource: str = "pods"
    sweeps: str = ""

    async def inflict(self, cluster: PodsCluster, name: str, pods: Pods, one_in: int) -> None:
        """Begin it."""
        if self.change:
            client = (await webhook.start(cluster)).client(self.change)
            await cluster.api.apply(_hook_path(name), _hook(name, pods, self.resource, client, "Ignore"))
        for path, body in self.objects(pods).items():
            await cluster.api.apply(path, body)
        if self.sweeps:
            arguments = [str(cluster.kubeconfig), pods.namespace, pods.selector, self.sweeps, str(one_in)]
            await cluster.run(_process(name), [sys.executable, "-m", "testbed.sweeper", *arguments])

    async def undo(self, cluster: PodsCluster, name: str, pods: Pods) -> None:
        """End it."""
        for path in (*self.objects(pods), _hook_path(name)):
            await cluster.api.delete(path)
        if self.sweeps and (await cluster.processes()).get(_process(name)):
            await cluster.kill(_process(name))


def _process(name: str) -> str:
    return f"testbed-sweeper-{name}"


def _hook_path(name: str) -> str:
    return f"{_HOOKS}/{_NAME}-{name}"


def _hook(name: str, pods: Pods, resource: str, client: Json, policy: str) -> Json:
    group = "batch" if resource == "jobs" else ""
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}
    hook = {
        "name": f"{name}.testbed.pie.test",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 5,
        "failurePolicy": policy,
        "clientConfig": client,
        "rules": [rule],
        **pods.rules,
    }
    return _object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", name, webhooks=[hook])


def _object(version: str, kind: str, name: str, **fields: object) -> Json:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": f"{_NAME}-{name}"}, **fields}


def _webhook_gone(pods: Pods) -> dict[str, Json]:
    name = "webhook-gone"
    return {_hook_path(name): _hook(name, pods, "pods", {"url": _NOBODY}, "Fail")}


def _refused(resource: str) -> Objects:
    """Return a policy that refuses all new objects of a kind."""

    def objects(pods: Pods) -> dict[str, Json]:
        name = f"{resource}-refused"
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}
        message = f"{resource} of this team need a cost centre (a policy of the testbed)"
        spec = {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule], **pods.rules},
            "validations": [{"expression": "false", "message": message}],
        }
        binding = {"policyName": f"{_NAME}-{name}", "validationActions": ["Deny"]}
        version = "admissionregistration.k8s.io/v1"
        return {
            f"{_POLICIES}/{_NAME}-{name}": _object(version, "ValidatingAdmissionPolicy", name, spec=spec),
            f"{_BINDINGS}/{_NAME}-{name}": _object(
                version, "ValidatingAdmissionPolicyBinding", name, spec=binding
            ),
        }

    return objects


def _quota(name: str, **hard: str) -> Objects:
    def objects(pods: Pods) -> dict[str, Json]:
        path = f"/api/v1/namespaces/{pods.namespace}/resourcequotas/{_NAME}-{name}"
        return {path: _object("v1", "ResourceQuota", name, spec={"hard": hard})}

    return objects


def _limits(name: str, **limits: Mapping[str, str]) -> Objects:
    def objects(pods: Pods) -> dict[str, Json]:
        path = f"/api/v1/namespaces/{pods.namespace}/limitranges/{_NAME}-{name}"
        return {path: _object("v1", "LimitRange", name, spec={"limits": [{"type": "Container", **limits}]})}

    return objects


_ROOMY = {"cpu": "1", "memory": "512Mi"}
_LITTLE = {"cpu": "10m", "memory": "32Mi"}
_STARVED = {"memory": "12Mi"}

POD_FAULTS: Mapping[str, PodFault] = {
    "sidecar-lingers": PodFault("a webhook adds a container that runs on", change="lingers"),
    "sidecar-first": PodFault(
        "a webhook adds a container that runs on, and that kubelets list first", change="lingers-first"
    ),
    "sidecar-ends": PodFault("a webhook adds two containers that end, one of them badly", change="ends"),
    "sidecar-native": PodFault("a webhook adds an init container that is restarted", change="native"),
    "short-lived-jobs": PodFault(
        "a webhook gives Jobs a TTL of two seconds", change="short-lived", resource="jobs"
    ),
    "overcommitted": PodFault(
        "pinned pods come to their node past the scheduler, and want more CPU than it has",
        change="overcommit",
    ),
    "misplaced": PodFault(
        "pinned pods come to their node past the scheduler, and do not match its labels", change="misplace"
    ),
    "webhook-gone": PodFault("a webhook that must be asked does not answer", _webhook_gone),
    "pods-refused": PodFault("a policy refuses pods (ValidatingAdmissionPolicy)", _refused("pods")),
    "pvcs-refused": PodFault(
        "a policy refuses PVCs (ValidatingAdmissionPolicy)", _refused("persistentvolumeclaims")
    ),
    "pod-quota": PodFault("the namespace's quota has no pod left", _quota("pod-quota", pods="0")),
    "pvc-quota": PodFault(
        "the namespace's quota has no PVC left", _quota("pvc-quota", persistentvolumeclaims="0")
    ),
    "limit-defaults": PodFault(
        "a LimitRange gives containers roomy limits",
        _limits("limit-defaults", default=_ROOMY, defaultRequest=_LITTLE),
    ),
    "limit-minimum": PodFault(
        "a LimitRange refuses containers that ask for less CPU than a tenth of a core",
        _limits("limit-minimum", min={"cpu": "100m"}),
    ),
    "little-memory": PodFault(
        "a LimitRange gives containers far too little memory",
        _limits("little-memory", default=_STARVED, defaultRequest=_STARVED),
    ),
    "jobs-deleted": PodFault("Jobs are deleted as soon as their pods have a node", sweeps="jobs"),
    "pods-deleted": PodFault("pods are deleted as soon as they have a node", sweeps="pods"),
    "pods-evicted": PodFault("pods are evicted as soon as they have a node", sweeps="evictions"),
}
"""Every fault of pods by name."""
