"""A token's answer dies behind as many routers as the instance's hop limit says; read off the packets."""

import http.client
import os
import socket

import pytest

from tests.api.cloud_box import SUBNET, running_cloud
from tests.api.test_http1 import payloads

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a packet socket needs root")


def test_the_hop_limit_is_the_ttl_of_the_token_and_of_nothing_else(tmp_path):
    with running_cloud(tmp_path) as box:
        options = {"HttpPutResponseHopLimit": 2}
        [instance_id] = box.run_instances(box.register_images()[2], MetadataOptions=options)
        guest = box.until_state(instance_id, "running")["PrivateIpAddress"]
        gateway = str(SUBNET.network_address + 1)
        connection = http.client.HTTPConnection(gateway, box.metadata_port, 10, source_address=(guest, 0))
        seconds = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}

        def ask(method: str, path: str, headers: dict[str, str]) -> None:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            assert "x-euca-box-hop-limit" not in answer.headers

        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as wire:
            wire.bind(("lo", 0))
            wire.settimeout(10)
            ask("PUT", "/latest/api/token", seconds)
            ask("GET", "/latest/meta-data/instance-id", {})
            box.ec2().modify_instance_metadata_options(InstanceId=instance_id, HttpPutResponseHopLimit=1)
            ask("PUT", "/latest/api/token", seconds)
            assert [hops for hops, _ in payloads(wire, box.metadata_port, 3)] == [2, 64, 1]
        connection.close()
