"""Images that boot by UEFI: with the firmware of the node, or a reason."""

from dataclasses import replace

import pytest

from euca_box.messages import ec2_instances as ec2
from tests.sim.cloud import ALICE, cloud, image_data

pytestmark = pytest.mark.trio


async def launch(c, boot_mode):
    """An instance of an image with this boot mode."""
    known = c.clc.images.find("emi-00000001")
    image = replace(
        known, image_id="emi-0000000a", name="disk", boot_mode=boot_mode, kernel_id=None,
        data=image_data("disk", bootable=True), account=ALICE.account,
    )  # fmt: skip
    await c.clc.images.add([image])
    reply = await c.ask(ec2.RunInstances("emi-0000000a", 1, 1))
    return reply.instances[0].instance_id


async def test_a_uefi_image_on_a_node_without_firmware_ends_with_the_reason(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        ended = await c.until(await launch(c, "uefi"), "terminated")
        assert "no firmware for that (Debian's package ovmf)" in ended.state_reason.message
        assert await c.leftovers() == []


@pytest.mark.parametrize(
    ("boot_mode", "has_firmware", "by_uefi"),
    [
        ("uefi", True, True),
        ("uefi-preferred", True, True),
        ("uefi-preferred", False, False),
        ("legacy-bios", True, False),
        ("", True, False),
    ],
)
async def test_a_guest_boots_as_its_image_says(tmp_path, autojump_clock, boot_mode, has_firmware, by_uefi):
    async with cloud(tmp_path) as c:
        c.workbench.firmware = tmp_path / "code.fd" if has_firmware else None
        instance_id = await launch(c, boot_mode)
        shown = await c.until(instance_id, "running")
        assert shown.boot_mode == (boot_mode or None)
        assert (c.hypervisor.machines[instance_id].uefi is not None) is by_uefi
