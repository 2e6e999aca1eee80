"""Take a test cloud's network away again: `python -m tests.kvm.remove_network BRIDGE DATA_DIR SUBNET`."""

import sys
from ipaddress import IPv4Network
from pathlib import Path

import trio

from euca_box.datadir import DataDir
from euca_box.net.host_network import HostNetwork
from euca_box.net.network import NetworkSettings


async def main(bridge: str, data: DataDir, subnet: IPv4Network) -> None:
    network = HostNetwork(
        NetworkSettings(
            subnet=subnet,
            gateway=subnet[1],
            state_dir=data.path / "nc" / "net",
            metadata_port=8775,
            api_port=8773,
            tap_uid=64055,
            bridge=bridge,
            run_dir=data.run_dir / "net",
        )
    )
    await network.prepare()
    await network.remove()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], DataDir(Path(sys.argv[2])), IPv4Network(sys.argv[3]))
