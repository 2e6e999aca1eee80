"""/metrics: what a Prometheus server asks for. Text exposition format 0.0.4, by prometheus_client.

Counters of an instance end with it and begin anew when it is started again. Labels are ids of instances
and names of nodes and roles, so there are as many series as things that run.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from quart import Quart, Response, request

import euca_box
from euca_box.messages import admin
from euca_box.messages.base import Call, Op, system_call
from euca_box.messages.cc import InstanceUsage, Node
from euca_box.model.errors import EucaError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MIB, GIB = 1 << 20, 1 << 30

Ask = Callable[[str, Op[Any], Call], Awaitable[Any]]

# Name, what it says, field of Counters or of Node, factor to the base unit.
_COUNTERS = (
    ("cpu_seconds", "Processor time that the instance has used since it was started.", "cpu_seconds"),
    ("disk_read_bytes", "Bytes that it has read from its disks.", "disk_read_bytes"),
    ("disk_written_bytes", "Bytes that it has written to its disks.", "disk_written_bytes"),
    ("network_received_bytes", "Bytes that it has received.", "net_in_bytes"),
    ("network_sent_bytes", "Bytes that it has sent.", "net_out_bytes"),
)
_CAPACITY = (
    ("cores", "Processors of the node.", "cores", 1),
    ("cores_free", "Processors that are not promised to instances, overcommit counted in.", "cores_free", 1),
    ("memory_bytes", "Memory of the node for instances.", "memory_mib", MIB),
    ("memory_free_bytes", "Memory that is not promised to instances.", "memory_free_mib", MIB),
    ("disk_bytes", "Disk of the node for instances.", "disk_gib", GIB),
    ("disk_free_bytes", "Disk that is not promised to instances.", "disk_free_gib", GIB),
)


def add_metrics(app: Quart, ask: Ask, status: Callable[[], dict[str, Any]], allowed: Sequence[str]) -> None:
    """The route, for callers within the `allowed` networks (CIDR); for others it does not exist."""
    networks = [ipaddress.ip_network(text) for text in allowed]

    @app.get("/metrics")
    async def metrics() -> Response:
        if not _is_within(request.remote_addr or "", networks):
            return Response("Not Found\n", 404, content_type="text/plain")
        cloud, usages = await _asked(ask)
        return Response(exposition(status(), cloud, usages), content_type=CONTENT_TYPE)


async def _asked(ask: Ask) -> tuple[admin.CloudStatus | None, tuple[InstanceUsage, ...]]:
    """What the CLC knows; nothing where none answers."""
    call = system_call("metrics")
    try:
        cloud: admin.CloudStatus = await ask("clc", admin.DescribeCloud(), call)
        usages = await ask("clc", admin.ListUsage(), call)
    except EucaError:
        return None, ()
    return cloud, usages.instances


def exposition(
    status: dict[str, Any], cloud: admin.CloudStatus | None, usages: Iterable[InstanceUsage]
) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found(status, cloud, tuple(usages)))
    return generate_latest(registry)


class _Found:
    def __init__(
        self, status: dict[str, Any], cloud: admin.CloudStatus | None, usages: tuple[InstanceUsage, ...]
    ) -> None:
        self._status, self._cloud, self._usages = status, cloud, usages

    def collect(self) -> Iterator[Metric]:
        yield _gauge("info", "The version that runs.", ("version",), [((euca_box.__version__,), 1)])
        ready = [((role,), float(state == "runs")) for role, state in self._status["roles"].items()]
        yield _gauge("role_ready", "1 where the role of this host works.", ("role",), ready)
        if self._cloud is None:
            return
        cloud = self._cloud
        yield _gauge("instances", "Instances that are not terminated.", (), [((), cloud.instances)])
        yield _gauge("images", "Registered images.", (), [((), cloud.images)])
        yield _gauge("users", "Users.", (), [((), cloud.users)])
        yield _gauge("problems", "Things that need attention.", (), [((), len(cloud.problems))])
        yield from _of_nodes(cloud.nodes)
        yield from _of_instances(self._usages)


def _of_nodes(nodes: Iterable[Node]) -> Iterator[Metric]:
    nodes = tuple(nodes)
    up = [((node.name,), float(node.state == "UP")) for node in nodes]
    yield _gauge("node_up", "1 where the node answers.", ("node",), up)
    for name, says, field, factor in _CAPACITY:
        rows = [((node.name,), getattr(node, field) * factor) for node in nodes]
        yield _gauge(f"node_{name}", says, ("node",), rows)


def _of_instances(usages: Iterable[InstanceUsage]) -> Iterator[Metric]:
    last = [(usage.instance_id, usage.samples[-1].counters) for usage in usages if usage.samples]
    memory = [((instance_id,), counters.memory_mib * MIB) for instance_id, counters in last]
    says = "Memory that the instance takes of its node."
    yield _gauge("instance_memory_bytes", says, ("instance_id",), memory)
    for name, says, field in _COUNTERS:
        metric = CounterMetricFamily(f"euca_box_instance_{name}", says, labels=("instance_id",))
        for instance_id, counters in last:
            metric.add_metric((instance_id,), getattr(counters, field))
        yield metric


def _gauge(
    name: str, says: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float]]
) -> Metric:
    metric = GaugeMetricFamily(f"euca_box_{name}", says, labels=labels)
    for values, number in rows:
        metric.add_metric(values, number)
    return metric


def _is_within(address: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or found
    return any(mapped in network for network in networks)
