"""Pods that are not created: refused, or not for now."""

from pie.core.model import Stage
from pie.core.reasons import Reason
from tests.core.cases.rows import K8S, Row, no_pod


def _says(text: str, source: str, reason: Reason) -> Row:
    return Row(text, source, no_pod(text), Stage.QUEUE, reason)


REFUSED = (
    _says(
        'pods "crdjob-1-6nxxb" is forbidden: failed quota: ingress-stack: must specify limits.cpu for: crd',
        "haproxytech/helm-charts#236",
        Reason.POD_REFUSED,
    ),
    _says(
        'pods "hjacobs-test-1668339668-" is forbidden: maximum cpu usage per Container is 16, but request is 17.',
        "zalando-incubator/kubernetes-on-aws#278",
        Reason.POD_REFUSED,
    ),
    _says(
        'Pod "automation-job-5483-cq9mn" is invalid: spec.containers[0].resources.requests: Invalid value: "250m"',
        "ansible/awx-operator#995",
        Reason.POD_REFUSED,
    ),
    _says(
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
        "k8s.io/pod-security-admission",
        Reason.POD_REFUSED,
    ),
    Row(
        'pods "x" is forbidden: unable to validate against any security context constraint: [provider "anyuid": Forbidden:'
        " not usable by user or serviceaccount, provider restricted-v2: .spec.securityContext.fsGroup: Invalid value:"
        " []int64{1001}: 1001 is not an allowed group, …]",
        "goharbor/harbor-helm#874",
        no_pod(
            'pods "mount-p-n-c-1-x" is forbidden: unable to validate against any security context constraint: [provider'
            ' "anyuid": Forbidden: not usable by user or serviceaccount, provider restricted-v2:'
            " .spec.securityContext.fsGroup: Invalid value: []int64{1001}: 1001 is not an allowed group, provider"
            ' "restricted": Forbidden: not usable by user or serviceaccount, provider "nonroot-v2": Forbidden: not usable'
            ' by user or serviceaccount, provider "hostaccess": Forbidden: not usable by user or serviceaccount, provider'
            ' "privileged": Forbidden: not usable by user or serviceaccount]'
        ),
        Stage.QUEUE,
        Reason.POD_REFUSED,
        "1001 is not an allowed group",
    ),
    _says(
        'admission webhook "validation.gatekeeper.sh" denied the request: [userpodlimits] container has no cpu limit',
        "uoe-eidf-cluster-users/eidf-epcc-cluster#26",
        Reason.POD_REFUSED,
    ),
    _says(
        "ValidatingAdmissionPolicy 'images' with binding 'images' denied request: unsigned",
        "k8s.io/apiserver pkg/admission/plugin/policy/validating",
        Reason.POD_REFUSED,
    ),
    _says(
        'pods "x" is forbidden: no PriorityClass with name hihg was found',
        "kubernetes v1.35.4 plugin/pkg/admission/priority",
        Reason.POD_REFUSED,
    ),
)

NOT_NOW = (
    _says(
        'Internal error occurred: failed calling webhook "podcontroller.configurator.gopaddle.io": Post'
        ' "https://configurator.svc:443": no endpoints available for service "configurator-controllerwebhook"',
        "gopaddle-io/configurator#74",
        Reason.CONTROL_PLANE_LATE,
    ),
    _says(
        'Internal error occurred: failed calling webhook "webhook.tekton.dev": dial tcp: connect: connection refused',
        "tektoncd/pipeline#2207",
        Reason.CONTROL_PLANE_LATE,
    ),
    _says(
        'pods "x" is forbidden: status unknown for quota: q, resources: pods',
        "k8s.io/apiserver pkg/admission/plugin/resourcequota/controller.go",
        Reason.CONTROL_PLANE_LATE,
    ),
    _says(
        "Internal error occurred: resource quota evaluation timed out",
        "k8s.io/apiserver pkg/admission/plugin/resourcequota/controller.go",
        Reason.CONTROL_PLANE_LATE,
    ),
    _says(
        'Operation cannot be fulfilled on resourcequotas "q": the object has been modified',
        f"{K8S}/controller/job",
        Reason.CONTROL_PLANE_LATE,
    ),
    _says("etcdserver: request timed out", "etcd-io/etcd", Reason.CONTROL_PLANE_LATE),
)
