"""PieProbes that are accepted, refused, and must not be changed."""

import copy
from typing import Any

Json = dict[str, Any]
# The smallest spec that users of the Go implementation have.
SMALLEST: Json = {
    "monitoringStorageClass": "topolvm-provisioner",
    "nodeSelector": {
        "nodeSelectorTerms": [
            {
                "matchExpressions": [
                    {"key": "node-role.kubernetes.io/role", "operator": "In", "values": ["compute"]}
                ]
            }
        ]
    },
}


def pieprobe(name: str = "p", **spec: Any) -> Json:
    """Return a PieProbe with the smallest spec and these fields."""
    return {
        "apiVersion": "pie.topolvm.io/v1alpha1",
        "kind": "PieProbe",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {**copy.deepcopy(SMALLEST), **spec},
    }


def without(field: str) -> Json:
    """Return a PieProbe whose spec lacks a field."""
    manifest = pieprobe()
    del manifest["spec"][field]
    return manifest


def selecting(**term: Any) -> Json:
    """Return a PieProbe with one node selector term."""
    return pieprobe(nodeSelector={"nodeSelectorTerms": [term]})


def expression(operator: str, *values: str, key: str = "zone") -> Json:
    """Return a PieProbe that selects nodes by one label."""
    return selecting(matchExpressions=[{"key": key, "operator": operator, "values": list(values)}])


def several(**spec: Any) -> Json:
    """Return a PieProbe with these fields in the place of monitoringStorageClass."""
    manifest = without("monitoringStorageClass")
    manifest["spec"].update(spec)
    return manifest


# What is wrong, and the words the user must see.
REFUSED: dict[str, tuple[Json, str]] = {
    "no class": (without("monitoringStorageClass"), r"spec\.monitoringStorageClass: Required"),
    "class and classes": (pieprobe(monitoringStorageClasses=["a"]), r"set only one of"),
    "class and selector": (pieprobe(monitoringStorageClassSelector={}), r"set only one of"),
    "classes and selector": (
        several(monitoringStorageClasses=["a"], monitoringStorageClassSelector={}),
        r"set only one of",
    ),
    "no class in the list": (several(monitoringStorageClasses=[]), r"at least 1 items|Required value"),
    "too many classes": (
        several(monitoringStorageClasses=[f"c{number}" for number in range(17)]),
        r"must have at most 16",
    ),
    "class in the list that no class can be": (several(monitoringStorageClasses=["Fast"]), r"should match"),
    "selector without values": (
        several(monitoringStorageClassSelector={"matchExpressions": [{"key": "a", "operator": "In"}]}),
        r"the operators In and NotIn need values",
    ),
    "empty class": (pieprobe(monitoringStorageClass=""), r"must be the name of a StorageClass"),
    "class that no class can be": (
        pieprobe(monitoringStorageClass="Fast_SSD"),
        r"must be the name of a StorageClass",
    ),
    "no selector": (without("nodeSelector"), r"spec\.nodeSelector: Required"),
    "selector without terms": (pieprobe(nodeSelector={}), r"nodeSelectorTerms: Required"),
    "empty selector": (
        pieprobe(nodeSelector={"nodeSelectorTerms": []}),
        r"nodeSelectorTerms is empty, which matches no node; to probe every node, give the term",
    ),
    "empty term": (selecting(), r"matches no node; fill it in or remove it"),
    "term with empty lists": (selecting(matchExpressions=[], matchFields=[]), r"matches no node"),
    "unknown operator": (expression("Equals", "a"), r'"Equals": supported values: "In", "NotIn"'),
    "In without values": (expression("In"), r"operator In needs at least one value"),
    "NotIn without values": (expression("NotIn"), r"operator NotIn needs at least one value"),
    "Exists with values": (expression("Exists", "a"), r"operator Exists takes no values"),
    "DoesNotExist with values": (expression("DoesNotExist", "a"), r"operator DoesNotExist takes no values"),
    "Gt without a number": (expression("Gt", "many"), r"operator Gt needs exactly one value, a whole number"),
    "Lt with two numbers": (expression("Lt", "1", "2"), r"operator Lt needs exactly one value"),
    "label key that cannot be": (expression("In", "a", key="a/b/c"), r"this is not a label key"),
    "label value that cannot be": (expression("In", "a b"), r'values\[0\]: Invalid value: "a b"'),
    "field other than the name": (
        selecting(matchFields=[{"key": "spec.unschedulable", "operator": "In", "values": ["true"]}]),
        r'supported values: "metadata.name"',
    ),
    "two names in one field": (
        selecting(matchFields=[{"key": "metadata.name", "operator": "In", "values": ["a", "b"]}]),
        r"exactly one node name; use one term for each node",
    ),
    "period of zero": (pieprobe(probePeriod=0), r"probePeriod is in minutes and must be from 1 to 59"),
    "period of an hour": (pieprobe(probePeriod=60), r"probePeriod is in minutes and must be from 1 to 59"),
    "seconds below thirty": (
        pieprobe(runner="Pod", probePeriodSeconds=29, probeThreshold="10s"),
        r"probePeriodSeconds in body should be greater than or equal to 30",
    ),
    "budget of nothing": (pieprobe(budget=0), r"budget in body should be greater than or equal to 1"),
    "budget in words": (pieprobe(budget="20"), r"spec\.budget: Invalid value"),
    "seconds with a CronJob": (
        pieprobe(probePeriodSeconds=90),
        r"probePeriodSeconds needs runner Pod; a CronJob counts minutes",
    ),
    "seconds beside minutes": (
        pieprobe(runner="Pod", probePeriod=2, probePeriodSeconds=90),
        r"probePeriodSeconds takes the place of probePeriod; remove one of them",
    ),
    "threshold above the period in seconds": (
        pieprobe(runner="Pod", probePeriodSeconds=30),
        r"probeThreshold 1m is longer than probePeriodSeconds",
    ),
    "deadline above the period in seconds": (
        pieprobe(runner="Pod", probePeriodSeconds=90, deadline="91s"),
        r"deadline 91s is longer than probePeriodSeconds",
    ),
    "period with a unit": (pieprobe(probePeriod="1m"), r"spec\.probePeriod in body must be of type integer"),
    "resident threshold of a second": (
        pieprobe(residentProbe=True, residentThreshold="1s"),
        r'residentThreshold "1s" is not a duration from 2s to 5m',
    ),
    "resident threshold without a unit": (
        pieprobe(residentThreshold="10"),
        r'residentThreshold "10" is not a duration from 2s to 5m',
    ),
    "threshold without a unit": (pieprobe(probeThreshold="30"), r'"30" is not a duration .* such as 30s'),
    "empty threshold": (pieprobe(probeThreshold=""), r'"" is not a duration'),
    "threshold in words": (pieprobe(probeThreshold="a minute"), r'"a minute" is not a duration'),
    "threshold of zero": (pieprobe(probeThreshold="0s"), r'"0s" is not a duration longer than nothing'),
    "negative threshold": (pieprobe(probeThreshold="-1m"), r'"-1m" is not a duration'),
    "threshold above the period": (
        pieprobe(probeThreshold="61s"),
        r"probeThreshold 61s is longer than probePeriod: the next run would be due",
    ),
    "threshold above the period by a millisecond": (
        pieprobe(probePeriod=2, probeThreshold="2m0.001s"),
        r"probeThreshold 2m0\.001s is longer than probePeriod",
    ),
    "threshold of centuries": (pieprobe(probeThreshold="999999h999999h"), r"is longer than probePeriod"),
    "deadline in words": (pieprobe(deadline="soon"), r'deadline "soon" is not a duration'),
    "deadline below a second": (pieprobe(deadline="900ms"), r'"900ms" is not a duration of at least 1s'),
    "deadline above the period": (
        pieprobe(deadline="2m"),
        r"deadline 2m is longer than probePeriod: a run must end before the next one is due",
    ),
    "deadline below the threshold": (
        pieprobe(probeThreshold="30s", deadline="29s"),
        r"deadline 29s is shorter than probeThreshold 30s: a run would be ended before it could be called",
    ),
    "bad quantity": (pieprobe(pvcCapacity="100 MB"), r'pvcCapacity "100 MB" is not a quantity greater'),
    "capacity of zero": (pieprobe(pvcCapacity=0), r'pvcCapacity "0" is not a quantity greater than zero'),
    "negative capacity": (pieprobe(pvcCapacity="-1Gi"), r'"-1Gi" is not a quantity greater than zero'),
    "unknown runner": (pieprobe(runner="Job"), r'Unsupported value: "Job"'),
    **{
        f"io.{field} of {value!r}": (
            pieprobe(io={field: value}),
            f"spec\\.io\\.{field}: .*supported values: ",
        )
        for field, value in [
            ("blockSize", "3k"),
            ("blockSize", "4k --exec_prerun=id"),
            ("size", "50MB"),
            ("size", ""),
            ("runtime", "1m"),
            ("readWrite", "trim"),
            ("fsync", -1),
            ("ioDepth", 0),
            ("rateIops", 100),
        ]
    },
    "io.direct in words": (
        pieprobe(io={"direct": "yes"}),
        r"spec\.io\.direct in body must be of type boolean",
    ),
    "io of fio's own": (pieprobe(io={"ioengine": "exec"}), r'unknown field "spec\.io\.ioengine"'),
    "io.maxLatency in words": (pieprobe(io={"maxLatency": "fast"}), r'maxLatency "fast" is not a duration'),
    "io.maxLatency of zero": (
        pieprobe(io={"maxLatency": "0s"}),
        r'maxLatency "0s" is not a duration longer than',
    ),
    "io that lasts to the deadline": (
        pieprobe(io={"runtime": "10s"}, probeThreshold="10s", deadline="10s"),
        r"deadline 10s is not longer than io\.runtime 10s",
    ),
    "toleration without key": (
        pieprobe(tolerations=[{"value": "a"}]),
        r"tolerates every taint, and then its operator must be Exists",
    ),
    "toleration that exists with a value": (
        pieprobe(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
        r"operator Exists takes no value",
    ),
    "toleration for seconds of nothing": (
        pieprobe(tolerations=[{"key": "a", "operator": "Exists", "tolerationSeconds": 5}]),
        r"only with the effect NoExecute",
    ),
    "unknown effect": (
        pieprobe(tolerations=[{"operator": "Exists", "effect": "Evict"}]),
        r'Unsupported value: "Evict"',
    ),
    "priority class that cannot be": (
        pieprobe(priorityClassName="Very High"),
        r"must be the name of a PriorityClass",
    ),
    "limit that is no quantity": (
        pieprobe(resources={"limits": {"memory": "lots"}}),
        r"not a quantity of at least zero",
    ),
    "limit below zero": (pieprobe(resources={"limits": {"cpu": -1}}), r"not a quantity of at least zero"),
    "request below zero": (
        pieprobe(resources={"requests": {"memory": "-1Mi"}}),
        r"not a quantity of at least zero",
    ),
    "limit that is no resource's": (
        pieprobe(resources={"limits": {"memory": True}}),
        r"must be of type integer,string",
    ),
    "more resources than there are": (
        pieprobe(resources={"limits": {f"example.com/{i}": 1 for i in range(11)}}),
        r"resources\.limits: Too many",
    ),
    **{
        f"request of {request!r} above its limit of {limit!r}": (
            pieprobe(resources={"requests": {"cpu": request}, "limits": {"memory": "1Gi", "cpu": limit}}),
            r"a request must not be greater than the limit of the same resource",
        )
        for request, limit in [(1, "900m"), (2, 1), ("1500m", 1), ("2", "1")]
    },
    "misspelt field": (pieprobe(probeTreshold="1m"), r'unknown field "spec\.probeTreshold"'),
    "a mark without a key": (pieprobe(suppression={"taints": [{"value": "x"}]}), "key: Required value"),
    "a mark that is no key": (
        pieprobe(suppression={"labels": [{"key": "not a key"}]}),
        "this is not the key of a label",
    ),
    "a mark that keeps no pod away": (
        pieprobe(suppression={"taints": [{"key": "a", "effect": "PreferNoSchedule"}]}),
        'supported values: "NoSchedule", "NoExecute"',
    ),
    "a condition that is maybe": (
        pieprobe(suppression={"conditions": [{"type": "A", "status": "Maybe"}]}),
        'supported values: "True", "False", "Unknown"',
    ),
    "a grace that is no duration": (
        pieprobe(suppression={"rebootGrace": "5 minutes"}),
        'rebootGrace "5 minutes" is not a duration such as 0s, 90s or 5m',
    ),
    "a suppression that is long at once": (
        pieprobe(suppression={"maxDuration": "10s"}),
        'maxDuration "10s" is not a duration of at least 1m',
    ),
}
ACCEPTED: dict[str, Json] = {
    "longest name": pieprobe("a" * 253),
    "several classes": several(monitoringStorageClasses=["a", "b.c"]),
    "classes by their labels": several(
        monitoringStorageClassSelector={
            "matchLabels": {"example.com/probed": "yes"},
            "matchExpressions": [
                {"key": "tier", "operator": "NotIn", "values": ["slow"]},
                {"key": "example.com/old", "operator": "DoesNotExist"},
            ],
        }
    ),
    "every class": several(monitoringStorageClassSelector={}),
    "defaults of the Go implementation, spelled out": pieprobe(probePeriod=1, probeThreshold="1m"),
    "budget": pieprobe(budget=20),
    "threshold in Go's spelling": pieprobe(probePeriod=59, probeThreshold="58m59.5s", deadline="59m"),
    "threshold below a second": pieprobe(probeThreshold=".5s"),
    "capacity in bytes": pieprobe(pvcCapacity=104857600),
    "capacity with a fraction": pieprobe(pvcCapacity="1.5Gi"),
    "every operator": selecting(
        matchExpressions=[
            {"key": "a", "operator": "In", "values": ["x", ""]},
            {"key": "example.com/b", "operator": "NotIn", "values": ["y"]},
            {"key": "c", "operator": "Exists"},
            {"key": "d", "operator": "DoesNotExist", "values": []},
            {"key": "e", "operator": "Gt", "values": ["5"]},
            {"key": "f", "operator": "Lt", "values": ["17"]},
        ],
        matchFields=[{"key": "metadata.name", "operator": "NotIn", "values": ["node-1.example.com"]}],
    ),
    "a thousand nodes by name": expression(
        "In", *(f"node-{i}" for i in range(1000)), key="kubernetes.io/hostname"
    ),
    "runner Pod": pieprobe(runner="Pod"),
    "runner Pod every 30 seconds": pieprobe(
        runner="Pod", probePeriodSeconds=30, probeThreshold="30s", deadline="30s"
    ),
    "a threshold of more than a minute": pieprobe(
        runner="Pod", probePeriodSeconds=120, probeThreshold="90s", deadline="2m"
    ),
    "everything": pieprobe(
        probeThreshold="45s",
        deadline="45s",
        disableProvisionProbe=True,
        disableMountProbes=False,
        provisionOnRetain=True,
        io={
            "blockSize": "512",
            "size": "1G",
            "runtime": "20s",
            "readWrite": "randrw",
            "direct": False,
            "fsync": 128,
            "ioDepth": 16,
            "rateIops": 8192,
            "maxLatency": "1.5ms",
        },
        integrity={"enabled": False},
        runner="CronJob",
        priorityClassName="system-node-critical",
        tolerations=[
            {"operator": "Exists"},
            {"key": "dedicated", "value": "storage", "effect": "NoSchedule"},
            {"key": "slow", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
        ],
        resources={
            "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": 0, "example.com/a": 2},
            "limits": {"cpu": 1, "memory": "128Mi", "hugepages-2Mi": "4Mi", "example.com/a": 2},
        },
        suppression={
            "wellKnownMarks": False,
            "taints": [{"key": "example.com/firmware", "value": "update", "effect": "NoExecute"}],
            "labels": [{"key": "example.com/state", "value": "repair"}],
            "annotations": [{"key": "example.com/ticket"}],
            "conditions": [{"type": "DiskReplacement", "status": "Unknown"}],
            "rebootGrace": "0s",
            "newNodeGrace": "2m30s",
            "maxDuration": "72h",
        },
    ),
}
IMMUTABLE: dict[str, tuple[Json, Json]] = {
    "monitoringStorageClass": ({}, {"monitoringStorageClass": "another"}),
    "pvcCapacity": ({}, {"pvcCapacity": "200Mi"}),
    "pvcCapacity taken away": ({"pvcCapacity": "1Gi"}, {"pvcCapacity": None}),
    "disableProvisionProbe": ({}, {"disableProvisionProbe": True}),
    "disableProvisionProbe taken away": ({"disableProvisionProbe": True}, {"disableProvisionProbe": None}),
    "disableMountProbes": ({"disableMountProbes": True}, {"disableMountProbes": False}),
    "disableMountProbes taken away": ({"disableMountProbes": True}, {"disableMountProbes": None}),
}
