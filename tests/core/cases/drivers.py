"""What drivers and provisioners say: no room, limits, the first cause and its echoes."""

from pie.core.model import Stage
from pie.core.reasons import Reason
from tests.core.build import MOUNT, claim
from tests.core.cases.rows import K8S, VOLUME, Row, on_node, unprovisioned, unscheduled

FAILED = 'failed to provision volume with StorageClass "c": rpc error: code = '


def _full(text: str, source: str, keeps: str, reason: Reason = Reason.NO_CAPACITY) -> Row:
    return Row(text, source, unprovisioned(FAILED + text), Stage.PROVISION, reason, keeps)


CAPACITY = (
    _full("ResourceExhausted desc = not enough space", "topolvm/topolvm#655", "not enough space"),
    _full(
        "Internal desc = failed to create volume csl-v-3C+7@vg_ssd: rpc error: code = OutOfRange desc = insufficient"
        " free space",
        "aleofreddi/csi-sanlock-lvm#38",
        "insufficient free space",
    ),
    _full(
        'Internal desc = could not create volume: Volume group "lvmvg" has insufficient free space (12780 extents):'
        " 19200 required.",
        "openebs/lvm-localpv#47",
        "19200 required",
    ),
    _full(
        "Internal desc = CreateVolume: fail to schedule LVM local-7fd51522: rpc error: code = InvalidArgument desc = lvm"
        " schedule with error Get Response StatusCode 500, Response: failed to allocate local storage for pvc ns/p:"
        " [multipleVGs]not enough lv storage on c1/open-local-pool-0, requested size 200Gi, free size 24572Mi,"
        " strategiy spread. you need to expand the vg",
        "alibaba/open-local#269",
        "expand the vg",
    ),
    _full(
        "Internal desc = CreateVolume failed for pvc-1: rpc error: code = ResourceExhausted desc = failed to enough"
        " replicas on requisite nodes: Message: 'Not enough available nodes'",
        "LINBIT/linstor-server#457",
        "Not enough available nodes",
    ),
    _full(
        "Internal desc = CreateVolume failed with error Expected HTTP response code [202] when accessing [POST"
        " https://lon1.example.com:8776/v3/06ce5499f716488d985845cddcabdc16/volumes], but got 413 instead {overLimit:"
        " {message: VolumeLimitExceeded: Maximum number of volumes allowed (10) exceeded for quota 'volumes'.",
        "kubernetes/cloud-provider-openstack#1276",
        "exceeded for quota",
    ),
    _full(
        "Internal desc = Could not create volume: api error VolumeLimitExceeded: You have exceeded your maximum io2"
        " storage limit of 30 TiB in this region.",
        "kubernetes-sigs/aws-ebs-csi-driver#2512",
        "30 TiB",
    ),
    _full(
        "Internal desc = Failed to create volume: csm-authorization: request denied: not enough quota",
        "dell/csm#1628",
        "not enough quota",
    ),
    _full(
        "Internal desc = Cannot create new thin volume, free space in thin pool vg/pool reached threshold.",
        "lvm2 lib/metadata/thin_manip.c",
        "reached threshold",
    ),
    _full(
        "Unknown desc = googleapi: Error 403: Quota 'SSD_TOTAL_GB' exceeded. Limit: 100.0 in region us-west1., quotaExceeded",
        "googlecodelabs/feedback#440",
        "SSD_TOTAL_GB",
    ),
    _full(
        "Internal desc = unable to create volume pvc-1: precheck new replica failed: insufficient storage: disk disk-3 on"
        " node ip-10-0-1-26 does not have enough storage available",
        "longhorn/longhorn#11460",
        "enough storage available",
    ),
    _full(
        "Internal desc = insufficient suitable allocatable extents for logical volume pvc-1: 25600 more required",
        "kubernetes/kubernetes#19127",
        "25600 more required",
    ),
)

OTHER_LIMITS = (
    _full(
        "Unknown desc = Retriable: true, RetryAfter: 297s, HTTPStatusCode: 0, RawError: azure cloud provider throttled for"
        " operation DiskCreateOrUpdate with reason 'client throttled'",
        "kubernetes-sigs/azuredisk-csi-driver#773",
        "client throttled",
        Reason.PROVISIONING_FAILED,
    ),
    _full(
        "ResourceExhausted desc = grpc: received message larger than max (4197803 vs. 4194304)",
        "envoyproxy/ratelimit#796",
        "larger than max",
        Reason.PROVISIONING_FAILED,
    ),
    _full(
        "ResourceExhausted desc = trying to send message larger than max (5000000 vs. 4194304)",
        "kubernetes-csi/external-provisioner#675",
        "larger than max",
        Reason.PROVISIONING_FAILED,
    ),
    _full(
        "Internal desc = RequestLimitExceeded: Request limit exceeded.",
        "kubernetes-sigs/aws-ebs-csi-driver#1148",
        "RequestLimitExceeded",
        Reason.PROVISIONING_FAILED,
    ),
    _full(
        "OutOfRange desc = requested capacity 104857600 is less than the minimum 1073741824",
        "kubernetes-sigs/gcp-filestore-csi-driver#1059",
        "less than the minimum",
        Reason.PROVISIONING_FAILED,
    ),
)


def _attach(text: str, source: str, keeps: str, reason: Reason = Reason.VOLUME_LIMIT) -> Row:
    said = f'AttachVolume.Attach failed for volume "{VOLUME}" : rpc error: code = {text}'
    return Row(text, source, on_node(("FailedAttachVolume", said)), Stage.ATTACH, reason, keeps)


ATTACHED = (
    _attach(
        'ResourceExhausted desc = Attachment limit exceeded for volume "vol-0d8d2bab6fc5dd31b" on node'
        ' "i-00f897f741bb9326a": operation error EC2: AttachVolume, https response error StatusCode: 400, RequestID:'
        " c56fd5ce-f4d5-4857-b1dc-908c935a705a, api error AttachmentLimitExceeded: You may attach up to 27 devices for"
        " this instance type.",
        "kubernetes-sigs/aws-ebs-csi-driver#2500",
        "up to 27 devices",
    ),
    _attach(
        "Internal desc = failed to publish volume: maximum number of volumes already attached to the server"
        " (resource_limit_exceeded)",
        "hetznercloud/csi-driver#240",
        "resource_limit_exceeded",
    ),
    _attach(
        "FailedPrecondition desc = Retriable: false, HTTPStatusCode: 409, RawError: OperationNotAllowed, The maximum"
        " number of data disks allowed to be attached to a VM of this size is 8",
        "kubernetes-sigs/azuredisk-csi-driver#2883",
        "this size is 8",
    ),
    _attach(
        "Internal desc = [ControllerPublishVolume] Attach Volume failed with error: The maximum allowed number of disk"
        " devices (16) to attach to a single instance has been exceeded.",
        "rackerlabs/spot#210",
        "(16)",
    ),
    _attach(
        "ResourceExhausted desc = max number of volumes (8) already attached to instance",
        "linode/linode-blockstorage-csi-driver#182",
        "(8)",
    ),
    _attach(
        "InvalidArgument desc = Failed to Attach: failed when waiting for zonal op: (UNSUPPORTED_OPERATION): Maximum"
        " hyperdisk-balanced disks count should be less than or equal to [16], Requested : [17]",
        "kubernetes-sigs/gcp-compute-persistent-disk-csi-driver#1819",
        "Requested : [17]",
    ),
    _attach(
        'Aborted desc = volume "0e964035" couldn\'t be attached. droplet 106740863 is in process of another action',
        "digitalocean/csi-digitalocean#32",
        "another action",
        Reason.ATTACH_SLOW,
    ),
    _attach(
        "Internal desc = InvalidVolume.ZoneMismatch: The volume is not in the same availability zone as the instance",
        "kubernetes-sigs/aws-ebs-csi-driver#1030",
        "ZoneMismatch",
        Reason.ATTACH_FAILED,
    ),
)

LATE = "DeadlineExceeded desc = context deadline exceeded"
PENDING = "Aborted desc = an operation with the given Volume ID pvc-1 already exists"


def _mount(*texts: str) -> tuple[tuple[str, str], ...]:
    said = f'MountVolume.MountDevice failed for volume "{VOLUME}" : rpc error: code = '
    return tuple(("FailedMount", said + text) for text in texts)


ECHOES = (
    Row(
        f"{LATE} → {PENDING}",
        "rook/rook#4896",
        unprovisioned(FAILED + LATE, FAILED + PENDING),
        Stage.PROVISION,
        Reason.PROVISION_SLOW,
        "DeadlineExceeded",
    ),
    Row(
        PENDING, "ceph/ceph-csi#1062", unprovisioned(FAILED + PENDING), Stage.PROVISION, Reason.PROVISION_SLOW
    ),
    Row(
        f"Internal desc = pool is not available → {PENDING}",
        "ceph/ceph-csi#2104",
        unprovisioned(f"{FAILED}Internal desc = pool is not available", FAILED + PENDING),
        Stage.PROVISION,
        Reason.PROVISIONING_FAILED,
        "pool is not available",
    ),
    Row(
        f"{LATE} → Aborted desc = An operation with the given Volume ID vol1 already exists",
        "kubernetes-csi/csi-driver-smb#661",
        on_node(*_mount(LATE, "Aborted desc = An operation with the given Volume ID vol1 already exists")),
        Stage.MOUNT,
        Reason.MOUNT_SLOW,
        "DeadlineExceeded",
    ),
    Row(
        'Internal desc = mount failed: exit status 32 → Aborted desc = An operation with the given volume="fs-1" is'
        " already in progress",
        "kubernetes-sigs/aws-fsx-csi-driver#369",
        on_node(
            *_mount(
                "Internal desc = mount failed: exit status 32",
                'Aborted desc = An operation with the given volume="fs-1" is already in progress',
            )
        ),
        Stage.MOUNT,
        Reason.MOUNT_FAILED,
        "exit status 32",
    ),
    Row(
        "Internal desc = unknown Attach error: googleapi: Error 403: Too many pending operations on a resource.,"
        " rateLimitExceeded → Unavailable desc = ControllerPublish not permitted on node due to backoff condition",
        "kubernetes-sigs/gcp-compute-persistent-disk-csi-driver#1129",
        on_node(
            *(
                (
                    "FailedAttachVolume",
                    f'AttachVolume.Attach failed for volume "{VOLUME}" : rpc error: code = {text}',
                )
                for text in (
                    (
                        "Internal desc = unknown Attach error: googleapi: Error 403: Too many pending operations on a"
                        " resource., rateLimitExceeded"
                    ),
                    'Unavailable desc = ControllerPublish not permitted on node "n1" due to backoff condition',
                )
            )
        ),
        Stage.ATTACH,
        Reason.ATTACH_FAILED,
        "rateLimitExceeded",
    ),
    Row(
        "attachment timeout for volume → Aborted desc = The volume k8s-pod-data is attaching",
        "rancher/rancher#20485",
        on_node(
            (
                "FailedAttachVolume",
                f'AttachVolume.Attach failed for volume "{VOLUME}" : attachment timeout for volume',
            ),
            (
                "FailedAttachVolume",
                (
                    f'AttachVolume.Attach failed for volume "{VOLUME}" : rpc error: code = Aborted desc = The volume'
                    " k8s-pod-data is attaching"
                ),
            ),
        ),
        Stage.ATTACH,
        Reason.ATTACH_FAILED,
        "attachment timeout",
    ),
    Row(
        "InvalidArgument desc = unknown pool (last said before this run: the provisioner is in back-off)",
        "openebs/lvm-localpv#31, kubernetes-csi/external-provisioner#849",
        unprovisioned(f"{FAILED}InvalidArgument desc = unknown pool", ago=600),
        Stage.PROVISION,
        Reason.PROVISIONING_FAILED,
        "unknown pool",
    ),
)

PASSING = (
    Row(
        'running Bind plugin "DefaultBinder": Operation cannot be fulfilled on pods/binding "pod": pod pod is being'
        " deleted, cannot be assigned to a host (and no volume was created)",
        f"{K8S}/registry/core/pod/storage/storage.go",
        unscheduled(
            'running Bind plugin "DefaultBinder": Operation cannot be fulfilled on pods/binding "pod": pod pod is'
            " being deleted, cannot be assigned to a host",
            claim=claim(),
        ),
        Stage.PROVISION,
        Reason.PROVISIONER_SILENT,
    ),
    Row(
        'binding rejected: running Bind plugin "DefaultBinder": pods "pod" not found (and no volume was created)',
        f"{K8S}/scheduler/framework/plugins/defaultbinder/default_binder.go",
        unscheduled(
            'binding rejected: running Bind plugin "DefaultBinder": pods "pod" not found', claim=claim()
        ),
        Stage.PROVISION,
        Reason.PROVISIONER_SILENT,
    ),
    Row(
        '0/3 nodes are available: persistentvolumeclaim "data" not found. (and the PVC is there)',
        "kubernetes/kubernetes#95541",
        unscheduled('0/3 nodes are available: persistentvolumeclaim "data" not found.', MOUNT),
        Stage.SCHEDULE,
        Reason.NOT_SCHEDULED,
    ),
    Row(
        "0/2 nodes are available: 2 pod has unbound immediate PersistentVolumeClaims. (and the PVC is bound)",
        "kubernetes-sigs/azuredisk-csi-driver#1097",
        unscheduled("0/2 nodes are available: 2 pod has unbound immediate PersistentVolumeClaims.", MOUNT),
        Stage.SCHEDULE,
        Reason.NOT_SCHEDULED,
    ),
    Row(
        "error syncing claim: Operation cannot be fulfilled on persistentvolumeclaims: the object has been modified;"
        " please apply your changes to the latest version (then nothing)",
        "kubernetes-sigs/sig-storage-lib-external-provisioner controller/controller.go",
        unprovisioned(
            'Operation cannot be fulfilled on persistentvolumeclaims "data": the object has been modified; please'
            " apply your changes to the latest version and try again"
        ),
        Stage.PROVISION,
        Reason.PROVISIONER_SILENT,
    ),
    Row(
        "Unable to attach or mount volumes: … failed to fetch PVC from API server: persistentvolumeclaims is forbidden:"
        " no relationship found between node and this object (then nothing)",
        "kubernetes-sigs/aws-ebs-csi-driver#1992",
        on_node(
            (
                "FailedMount",
                (
                    "Unable to attach or mount volumes: unmounted volumes=[volume], failed to process volumes=[volume]:"
                    ' failed to fetch PVC from API server: persistentvolumeclaims "data" is forbidden: no relationship'
                    " found between node 'n1' and this object"
                ),
            )
        ),
        Stage.MOUNT,
        Reason.MOUNT_SLOW,
        "the volume is not mounted",
    ),
    Row(
        'MountVolume.SetUp failed for volume "kube-api-access-xp98b" : object "pie"/"kube-root-ca.crt" not registered'
        " (then nothing)",
        "kubernetes/kubernetes#105204",
        on_node(
            (
                "FailedMount",
                (
                    'MountVolume.SetUp failed for volume "kube-api-access-xp98b" : object "pie"/"kube-root-ca.crt" not'
                    " registered"
                ),
            )
        ),
        Stage.MOUNT,
        Reason.MOUNT_SLOW,
        "the volume is not mounted",
    ),
)

_PATH = f"/var/lib/kubelet/plugins/kubernetes.io/csi/csi.example.com/{'3f' * 32}/globalmount"


def _formatted(output: str, fs: str = "xfs") -> str:
    return (
        f'Internal desc = format of disk "/dev/sdh" failed: type:("{fs}") target:("{_PATH}") options:("defaults")'
        f" errcode:(exit status 1) output:({output})"
    )


LONG = (
    Row(
        "Internal desc = format of disk … output:(Filesystem must be larger than 300MB.)",
        "sergelogvinov/proxmox-csi-plugin#295",
        on_node(*_mount(_formatted("Filesystem must be larger than 300MB."))),
        Stage.MOUNT,
        Reason.MOUNT_FAILED,
        "must be larger than 300MB",
    ),
    Row(
        "Internal desc = failed to stage volume: format of disk … output:(mke2fs 1.45.6 (20-Mar-2020) The file"
        " /dev/disk/by-id/scsi-0HC_Volume_13308008 does not exist and no size was specified.)",
        "hetznercloud/csi-driver#197",
        on_node(
            *_mount(
                _formatted(
                    "mke2fs 1.45.6 (20-Mar-2020) The file /dev/disk/by-id/scsi-0HC_Volume_13308008 does not exist and"
                    " no size was specified.",
                    "ext4",
                )
            )
        ),
        Stage.MOUNT,
        Reason.MOUNT_FAILED,
        "does not exist and no size was specified",
    ),
    Row(
        "Internal desc = mount failed: exit status 32 Mounting command: mount … Output: mount: …: wrong fs type, bad"
        " option, bad superblock on /dev/longhorn/pvc-1",
        "longhorn/longhorn#8488",
        on_node(
            *_mount(
                "Internal desc = mount failed: exit status 32 Mounting command: mount Mounting arguments: -t ext4 -o"
                f" defaults /dev/longhorn/pvc-1 {_PATH} Output: mount: {_PATH}: wrong fs type, bad option, bad"
                " superblock on /dev/longhorn/pvc-1, missing codepage or helper program."
            )
        ),
        Stage.MOUNT,
        Reason.MOUNT_FAILED,
        "bad superblock",
    ),
)
