"""/metrics on the console's port, read by Prometheus' own parser."""

import json
import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from euca_box.api.console.metrics import exposition
from euca_box.messages.admin import CloudStatus
from euca_box.messages.cc import InstanceUsage, Node, Sample
from euca_box.model.usage import Counters
from tests.api.cloud_box import running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        yield box


def get(box, path="/metrics"):
    port = box.app.consoles[0].port
    trust = ssl.create_default_context(cafile=box.data_dir / "ca.pem")
    with urllib.request.urlopen(f"https://127.0.0.1:{port}{path}", context=trust, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return samples(answer.read().decode())


def samples(text):
    """(name, labels) -> value"""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_roles_nodes_and_instances_are_told(box):
    box.register_images()
    found = get(box)
    assert found["euca_box_role_ready", "clc"] == 1
    assert found[("euca_box_images",)] >= 1
    [node] = [labels[0] for name, *labels in found if name == "euca_box_node_up"]
    assert found["euca_box_node_memory_bytes", node] >= found["euca_box_node_memory_free_bytes", node] > 0


def test_counters_of_an_instance_are_in_base_units():
    counters = Counters(1.5, 128, 10, 20, 30, 40)
    usage = InstanceUsage("i-12345678", (Sample(1.0, Counters()), Sample(61.0, counters)))
    status = {"roles": {"clc": "runs", "sc": "does not run: x"}}
    cloud = CloudStatus("us-east-1", "us-east-1a", 1, 1, 1, (), ())
    found = samples(exposition(status, cloud, [usage, InstanceUsage("i-00000000", ())]).decode())
    told = {name: value for (name, *labels), value in found.items() if labels == ["i-12345678"]}
    assert told == {
        "euca_box_instance_memory_bytes": 128 * 1024 * 1024,
        "euca_box_instance_cpu_seconds_total": 1.5,
        "euca_box_instance_disk_read_bytes_total": 10,
        "euca_box_instance_disk_written_bytes_total": 20,
        "euca_box_instance_network_received_bytes_total": 30,
        "euca_box_instance_network_sent_bytes_total": 40,
    }
    assert found["euca_box_role_ready", "sc"] == 0


def test_without_a_cloud_controller_its_own_roles_are_told():
    found = samples(exposition({"roles": {"nc": "runs"}}, None, []).decode())
    assert ("euca_box_role_ready", "nc") in found and ("euca_box_instances",) not in found


def test_for_others_there_is_no_such_page(tmp_path):
    with running_cloud(tmp_path, api={"metrics_from": ["10.0.0.0/8"]}) as box:
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(box)
        assert caught.value.code == 404


def test_the_guide_and_the_dashboard_know_every_metric_and_no_other():
    counters = Counters(1.5, 128, 10, 20, 30, 40)
    usage = InstanceUsage("i-12345678", (Sample(1.0, Counters()), Sample(61.0, counters)))
    node = Node("nc@n", "UP", 1, 1.0, 1, 1, 1, 1, "tcg", "")
    cloud = CloudStatus("us-east-1", "us-east-1a", 1, 1, 1, (node,), ())
    told = {name for name, *_ in samples(exposition({"roles": {"clc": "runs"}}, cloud, [usage]).decode())}
    root = Path(__file__).parent.parent.parent
    guide = set(re.findall(r"`(euca_box_[a-z_]+)`", (root / "docs/operator-guide.md").read_text()))
    assert guide == told
    board = (root / "euca_box/deployment/grafana-dashboard.json").read_text()
    assert json.loads(board)["title"] == "euca-box"
    assert set(re.findall(r"euca_box_[a-z_]+", board)) <= told
