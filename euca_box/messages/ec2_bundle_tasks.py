"""EC2 actions on bundle tasks (EC2 2016-11-15): an instance becomes a bundle in the user's bucket."""

from dataclasses import dataclass, field
from datetime import datetime

from euca_box.messages.base import Op
from euca_box.messages.ec2_common import Filter


@dataclass(frozen=True)
class S3Storage:
    """`upload_policy` is a policy of POST Object that the user signed: what the node may upload."""

    bucket: str | None = None
    prefix: str | None = None
    aws_access_key_id: str | None = None
    upload_policy: bytes | None = None
    upload_policy_signature: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Storage:
    s3: S3Storage | None = None


@dataclass(frozen=True)
class BundleTaskError:
    code: str
    message: str


@dataclass(frozen=True)
class BundleTask:
    instance_id: str
    bundle_id: str
    state: str
    start_time: datetime
    update_time: datetime
    storage: Storage
    progress: str
    bundle_task_error: BundleTaskError | None = None


@dataclass(frozen=True)
class BundleInstanceResult:
    bundle_task: BundleTask


@dataclass(frozen=True)
class BundleInstance(Op[BundleInstanceResult], role="clc"):
    """Bundle the root disk of a running instance, as of one moment, or of a stopped one."""

    instance_id: str
    storage: Storage
    dry_run: bool = False


@dataclass(frozen=True)
class CancelBundleTaskResult:
    bundle_task: BundleTask


@dataclass(frozen=True)
class CancelBundleTask(Op[CancelBundleTaskResult], role="clc"):
    """Give it up. Parts that were uploaded stay in the bucket."""

    bundle_id: str
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeBundleTasksResult:
    bundle_tasks: tuple[BundleTask, ...] = ()


@dataclass(frozen=True)
class DescribeBundleTasks(Op[DescribeBundleTasksResult], role="clc"):
    """Tasks that go on, and for a time those that have ended."""

    bundle_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    dry_run: bool = False
