"""What the error texts of drivers mean: words that drivers use, and words that are near to them."""

import pytest

from pie.core.causes import drivererrors
from pie.core.causes.drivererrors import Words, is_echo, no_capacity, not_offered, too_many_attached
from tests.core.cases.page import KINDS

FULL = """\
code = Internal desc = Failed to create volume: Error creating volume: {"error":"insufficient-space"}
code = Unknown desc = failed to create LV: exit status 5: Insufficient free space: 256 extents needed, but only 0 available
code = Internal desc = Volume group "vg" has insufficient free space (0 extents): 25 required
code = Internal desc = thin pool vg/thin is full
code = Internal desc = Thin pool vg-thin data is 100% full
code = Internal desc = thin pool usage 97.5% is above the threshold 95%
code = Internal desc = Free space in pool vg/thinpool is above threshold, new volumes are not allowed
code = OutOfRange desc = no enough space left on VG myvg1
code = OutOfRange desc = not enough space left on VG
code = OutOfRange desc = requested size 1GiB exceeds free capacity of pool 100MiB
code = OutOfRange desc = Requested volume size exceeds the available capacity
code = Unavailable desc = zpool create failed: cannot create 'tank/pvc': out of space
code = Internal desc = ZONE_RESOURCE_POOL_EXHAUSTED: The zone does not have enough resources available
code = Internal desc = VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. Requested 10G, quota is 1000G and 995G has been consumed.
code = Internal desc = failed to create cns volume. Error: "failed to create volume. fault: "(*types.LocalizedMethodFault) NoDiskSpace Insufficient disk space on datastore 'ds1'"
code = ResourceExhausted desc = failed to provision volume: Could not find any datastore with enough free space
code = Internal desc = Disk capacity quota reached for project
code = Internal desc = volume limit reached: account may have at most 100 volumes
code = Internal desc = You have reached the maximum number of volumes for your account
code = Internal desc = [400] [Limit exceeded: Block Storage Volumes limit reached for this account]
code = Internal desc = MaxIOPSLimitExceeded: You have exceeded your maximum provisioned IOPS
code = Internal desc = googleapi: Error 403: QUOTA_EXCEEDED
code = Internal desc = InsufficientVolumeCapacity: There is not enough capacity to fulfil the request
code = Internal desc = The storage pool has no free space
code = Internal desc = pool 'rbd' is full
code = Internal desc = cannot allocate: ENOSPC
code = Internal desc = write error: disk quota exceeded
code = FailedPrecondition desc = aggregate is full
code = Internal desc = storage pool exhausted
code = Internal desc = Can't find any available storage node with enough capacity
code = Internal desc = no node with sufficient capacity found
code = Internal desc = The specified size 20G exceeds the remaining space of the array
code = ResourceExhausted desc = not enough disk space on node
code = Internal desc = file system has no inodes left
code = Internal desc = over quota
"""

OF_SOMETHING_ELSE = """\
code = ResourceExhausted desc = grpc: received message larger than max (5 vs. 4)
code = ResourceExhausted desc = grpc: trying to send message larger than max (5 vs. 4)
code = ResourceExhausted desc = API rate limit exceeded, retry in 30 s
code = ResourceExhausted desc = Too Many Requests
code = ResourceExhausted desc = request throttled
code = ResourceExhausted desc = client rate limiter Wait returned an error
code = ResourceExhausted desc = number of concurrent operations exceeded
code = ResourceExhausted desc = too many in-flight CreateVolume calls
code = ResourceExhausted desc = session limit reached on storage controller
code = ResourceExhausted desc = connection pool exhausted
code = ResourceExhausted desc = out of memory
code = ResourceExhausted desc = grpc: stream window exhausted
code = ResourceExhausted desc = maximum number of sessions reached
code = ResourceExhausted desc = 429: slow down
code = Internal desc = connection pool is exhausted
code = InvalidArgument desc = capacity must be a multiple of 1Gi
code = OutOfRange desc = volume size limit is 16TiB
code = OutOfRange desc = minimum volume size is 1GiB
code = OutOfRange desc = requested size 100Mi is below the minimum
code = InvalidArgument desc = no storage pool named x
code = NotFound desc = volume group vg not found
code = Internal desc = no available topology found
code = Unauthenticated desc = storage account key expired
code = Unavailable desc = no storage nodes available
code = Internal desc = RequestLimitExceeded
code = DeadlineExceeded desc = context deadline exceeded
code = Internal desc = cannot read free space of pool: timeout
error generating accessibility requirements: no topology key found on CSINode n1
code = Internal desc = snapshot quota is unlimited, but pool is offline
"""

TOO_MANY = """\
code = Internal desc = Failed to attach disk: Maximum number of disks attached
code = Internal desc = volume cannot be attached: droplet already has 7 volumes attached
code = ResourceExhausted desc = Max volumes attached
code = Internal desc = the limit of volumes attached per server was reached
code = Internal desc = too many disks attached to instance
code = Internal desc = Unable to attach more than 26 volumes
code = Internal desc = AttachmentLimitExceeded
code = Internal desc = Could not attach volume "vol-1" to node "i-1": could not attach volume: AttachVolume: all devices are in use: no available device names
code = Internal desc = CNS: Failed to attach disk when calling AttachDisk: The maximum number of devices has been exceeded
code = Internal desc = failed to attach: No free SCSI slot
code = Internal desc = InstanceDiskLimitExceeded: The amount of the disk on instance in question reach its limits.
code = FailedPrecondition desc = volume limit exceeded on node
code = Internal desc = Node has reached its attach limit
"""

NOT_TOO_MANY = """\
code = Internal desc = volume is already attached to another node
Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node and can't be attached to another
code = NotFound desc = Volume vol-1 not found
code = ResourceExhausted desc = API rate limit exceeded
code = FailedPrecondition desc = disk is attached to 1 instances, cannot attach to more than 1 instance
code = Internal desc = timed out after 120 seconds waiting for volume
code = Internal desc = server has reached its rate limit for volume actions
code = Internal desc = maximum retries exceeded attaching volume
code = Internal desc = exceeded retry limit for volume attach
"""

ECHOES = """\
code = Aborted desc = an operation with the given Volume ID pvc-1 already exists
code = Aborted desc = An operation with the given volume="vol-1" is already in progress
code = Aborted desc = operation pending for volume pvc-1
code = Internal desc = another operation is in progress for the volume
code = Aborted desc = volume is being created
code = Unavailable desc = Operation in progress, please retry
code = Aborted desc = The volume pvc-1 is attaching
code = FailedPrecondition desc = volume pvc-1 is locked by another request
code = Internal desc = request for volume pvc-1 is still being processed
code = Aborted desc = pending
code = Internal desc = create operation already in progress for pvc-1
code = AlreadyExists desc = operation with the given id already exists
code = Internal desc = A CreateVolume request for pvc-1 is in flight
code = Internal desc = volume with the same name is being created
"""

CAUSES = """\
code = AlreadyExists desc = volume pvc-1 already exists with different size
code = Internal desc = operation not permitted
code = Internal desc = mount failed: exit status 32
code = Internal desc = volume already exists and is not compatible
"""


@pytest.mark.parametrize("text", FULL.splitlines())
def test_a_back_end_without_room_or_quota_is_known_by_its_words(text: str) -> None:
    assert no_capacity(text)


@pytest.mark.parametrize("text", OF_SOMETHING_ELSE.splitlines())
def test_other_limits_are_no_lack_of_room(text: str) -> None:
    assert not no_capacity(text)


@pytest.mark.parametrize("text", TOO_MANY.splitlines())
def test_a_node_with_too_many_volumes_is_known_by_its_words(text: str) -> None:
    assert too_many_attached(text)


@pytest.mark.parametrize("text", NOT_TOO_MANY.splitlines())
def test_other_errors_of_attaching_are_no_limit_of_the_node(text: str) -> None:
    assert not too_many_attached(text)


@pytest.mark.parametrize("text", ECHOES.splitlines())
def test_what_only_says_that_an_earlier_call_is_not_done_is_an_echo(text: str) -> None:
    assert is_echo(text)


@pytest.mark.parametrize("text", CAUSES.splitlines())
def test_what_says_why_is_no_echo(text: str) -> None:
    assert not is_echo(text)


@pytest.mark.parametrize(
    "name", [name for name, each in vars(drivererrors).items() if isinstance(each, Words)]
)
def test_each_text_that_matches_has_one_of_the_words_that_are_looked_for_first(name: str) -> None:
    words: Words = getattr(drivererrors, name)
    here = f"{FULL}{OF_SOMETHING_ELSE}{TOO_MANY}{NOT_TOO_MANY}{ECHOES}{CAUSES}".splitlines()
    rows = [each.message for rows in KINDS.values() for row in rows for each in row.run.warnings]
    for text in here + rows:
        assert words.found_in(text) == bool(words.pattern.search(text.lower())), text


NOT_OFFERED = """\
rpc error: code = Unimplemented desc = unknown service csi.v1.Controller
rpc error: code = Unimplemented desc = method NodeStageVolume not implemented
code = InvalidArgument desc = block volumes are not supported
code = InvalidArgument desc = block volume capability not supported
code = InvalidArgument desc = Volume capability not supported
code = InvalidArgument desc = Volume capabilities not supported
code = InvalidArgument desc = volume capabilities are not supported: only filesystem volumes are supported
code = InvalidArgument desc = driver only supports mount access type volume capability
code = InvalidArgument desc = cannot do block access type with NFS
code = InvalidArgument desc = raw block mode is not supported by this storage class
code = InvalidArgument desc = Unsupported access mode for Block volume mode
code = InvalidArgument desc = the driver does not support block volumes
code = Internal desc = invalid volume mode Block
code = InvalidArgument desc = volumeMode Block isn't supported
rancher.io/local-path does not support block volume provisioning
example.com/nfs does not support block volume provisioning
MapVolume.SetUpDevice failed for volume "pv": block volumes not yet supported by this driver
CSI driver does not support clone operations: controller CLONE_VOLUME capability is not reported
CSI driver does not support snapshot restore: controller CREATE_DELETE_SNAPSHOT capability is not reported
failed to take snapshot of the volume pv: rpc error: code = Unimplemented desc = CreateSnapshot
code = InvalidArgument desc = volume content source is not supported
code = InvalidArgument desc = cloning is not supported
code = InvalidArgument desc = cloning volumes is not supported by this pool
code = InvalidArgument desc = unsupported volumeContentSource
code = InvalidArgument desc = volumeContentSource missing or not supported: creating clones is not supported
example.com/nfs does not support data sources
code = InvalidArgument desc = multi node access modes are only supported on rbd `block` type volumes
code = InvalidArgument desc = Volume capabilities MULTI_NODE_MULTI_WRITER not supported. Only AccessModes[ReadWriteOnce] supported.
code = InvalidArgument desc = unsupported access mode: MULTI_NODE_MULTI_WRITER
code = InvalidArgument desc = access mode MULTI_NODE_MULTI_WRITER is not served: a volume is on one node
code = InvalidArgument desc = VolumeCapabilities is invalid: specified multi writer with mount access type
code = InvalidArgument desc = mountVolume is not supported for access mode: MULTI_NODE_MULTI_WRITER
NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes
Only support ReadWriteOnce access mode
persistentvolumeclaims "x" is forbidden: volume mode Block is not allowed by policy
code = Unimplemented desc =
code = InvalidArgument desc = volume expansion is not supported
code = Unimplemented desc = method ControllerExpandVolume not implemented
code = FailedPrecondition desc = online expansion is not supported by this driver
code = Internal desc = the driver does not support resizing volumes
code = InvalidArgument desc = NodeExpandVolume is not supported
persistentvolumeclaims "x" is forbidden: the storageclass that provisions the pvc must support resize
"""

OFFERED_AND_BROKEN = """\
code = Internal desc = failed to open block device /dev/rbd0: no such device
code = Internal desc = rbd: map failed: (95) Operation not supported
code = Internal desc = failed to map block device /dev/rbd3: operation not supported
code = Internal desc = mapping of the block device failed: exit status 5
code = Internal desc = cannot open block device /dev/vdb: device or resource busy
code = DeadlineExceeded desc = context deadline exceeded
code = Unavailable desc = connection refused
code = ResourceExhausted desc = no space left in the pool of block volumes
code = Internal desc = block size 4096 does not match
code = Internal desc = failed to expand volume vol-1: the pool is offline
code = ResourceExhausted desc = cannot expand volume vol-1: the pool has 0 bytes free
code = Internal desc = resize2fs failed: Operation not supported
code = Aborted desc = an expansion of volume vol-1 is in progress
code = OutOfRange desc = the requested size is larger than the limit of the pool
code = FailedPrecondition desc = volume vol-1 cannot be resized while a snapshot exists
code = InvalidArgument desc = unknown parameters in the StorageClass: pool
code = Internal desc = could not allow access to the initiator group: timed out
code = Internal desc = failed to find supported filesystem
Multi-Attach error for volume "pv" Volume is already exclusively attached to one node and can't be attached to another
code = FailedPrecondition desc = volume vol-1 is attached to node node-1 already
code = Internal desc = multi-node volume vol-1: failed to start its NFS server
code = Internal desc = failed to clone volume: source image is locked
failed to take snapshot of the volume pv: rpc error: code = Internal desc = the pool is offline
cannot find default snapshot class
code = Aborted desc = clone from vol-1 is in progress
code = NotFound desc = the source volume of the clone does not exist
code = ResourceExhausted desc = no space left in the pool for the clone
code = Internal desc = rbd: clone failed: (95) Operation not supported
error getting handle for DataSource Type PersistentVolumeClaim by Name x: error getting PVC x (namespace "pie") from api server
MapVolume.SetUpDevice failed for volume "pv": driver name x not found in the list of registered CSI drivers
"""


@pytest.mark.parametrize("text", NOT_OFFERED.splitlines())
def test_words_that_say_that_a_feature_does_not_exist(text: str) -> None:
    assert not_offered(text)
    assert not_offered(f'failed to provision volume with StorageClass "c": rpc error: {text}')


@pytest.mark.parametrize("text", OFFERED_AND_BROKEN.splitlines())
def test_words_of_a_fault_do_not_say_that_a_feature_does_not_exist(text: str) -> None:
    assert not not_offered(text)
