"""EC2 actions on regions, zones and VM types (EC2 2016-11-15)."""

from dataclasses import dataclass

from euca_box.messages.base import Op
from euca_box.messages.ec2_common import Filter


@dataclass(frozen=True)
class AvailabilityZone:
    zone_name: str
    zone_id: str
    region_name: str
    state: str
    opt_in_status: str = "opt-in-not-required"
    group_name: str = ""
    network_border_group: str = ""
    zone_type: str = "availability-zone"


@dataclass(frozen=True)
class DescribeAvailabilityZonesResult:
    availability_zones: tuple[AvailabilityZone, ...] = ()


@dataclass(frozen=True)
class DescribeAvailabilityZones(Op[DescribeAvailabilityZonesResult], role="clc"):
    zone_names: tuple[str, ...] = ()
    zone_ids: tuple[str, ...] = ()
    all_availability_zones: bool = False
    filters: tuple[Filter, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class Region:
    region_name: str
    endpoint: str
    opt_in_status: str = "opt-in-not-required"


@dataclass(frozen=True)
class DescribeRegionsResult:
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class DescribeRegions(Op[DescribeRegionsResult], role="clc"):
    region_names: tuple[str, ...] = ()
    all_regions: bool = False
    filters: tuple[Filter, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class ProcessorInfo:
    supported_architectures: tuple[str, ...] = ("x86_64",)


@dataclass(frozen=True)
class VCpuInfo:
    default_v_cpus: int
    default_cores: int
    default_threads_per_core: int = 1


@dataclass(frozen=True)
class MemoryInfo:
    size_in_mi_b: int


@dataclass(frozen=True)
class DiskInfo:
    size_in_gb: int
    count: int = 1
    type: str = "hdd"


@dataclass(frozen=True)
class InstanceStorageInfo:
    total_size_in_gb: int
    disks: tuple[DiskInfo, ...] = ()


@dataclass(frozen=True)
class InstanceTypeInfo:
    instance_type: str
    processor_info: ProcessorInfo
    v_cpu_info: VCpuInfo
    memory_info: MemoryInfo
    instance_storage_info: InstanceStorageInfo
    current_generation: bool = True
    free_tier_eligible: bool = True
    supported_usage_classes: tuple[str, ...] = ("on-demand",)
    supported_root_device_types: tuple[str, ...] = ("ebs", "instance-store")
    supported_virtualization_types: tuple[str, ...] = ("hvm",)
    bare_metal: bool = False
    instance_storage_supported: bool = True
    burstable_performance_supported: bool = False
    dedicated_hosts_supported: bool = False
    auto_recovery_supported: bool = False


@dataclass(frozen=True)
class InstanceTypeOffering:
    instance_type: str
    location_type: str
    location: str


@dataclass(frozen=True)
class DescribeInstanceTypeOfferingsResult:
    instance_type_offerings: tuple[InstanceTypeOffering, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeInstanceTypeOfferings(Op[DescribeInstanceTypeOfferingsResult], role="clc"):
    location_type: str | None = None
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeInstanceTypesResult:
    instance_types: tuple[InstanceTypeInfo, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeInstanceTypes(Op[DescribeInstanceTypesResult], role="clc"):
    instance_types: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False
