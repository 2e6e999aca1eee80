"""Keep a data directory of this version, for the tests of upgrades from it: before each release.

    python scripts/keep_data_dir.py tests/data_dirs/VERSION.tar.xz

A cloud with fake guests runs for a moment, gets one of everything, and is packed. Its keys are nobody's.
"""

import json
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.api.cloud_box import CloudBox, running_cloud

LEFT_OUT = ("logs", "libvirt", "demo", "backups")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with running_cloud(Path(folder)) as box:
            facts = fill(box)
        data = Path(folder) / "data"
        (data / "facts.json").write_text(json.dumps(facts, indent=1))
        pack(data, Path(sys.argv[1]))


def fill(box: CloudBox) -> dict[str, object]:
    """What tests/api/test_upgrade.py looks for."""
    s3, ec2 = box.client("s3"), box.ec2()
    s3.create_bucket(Bucket="kept-bucket")
    s3.put_object(
        Bucket="kept-bucket", Key="small", Body=b"small", ContentType="text/plain", Metadata={"a": "b"}
    )
    s3.put_object(Bucket="kept-bucket", Key="large", Body=b"\x07" * 700_000)
    image = box.register_images()[2]
    ec2.create_key_pair(KeyName="kept-key")
    [instance_id] = box.run_instances(image, KeyName="kept-key")
    box.until_state(instance_id, "running")
    volume_id = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    box.until_volume(volume_id, "available")
    keys = {user: box.keys[user] for user in ("admin", "alice")}
    return {"keys": keys, "image": image, "instance": instance_id, "volume": volume_id}


def pack(data: Path, target: Path) -> None:
    with tarfile.open(target, "w:xz", preset=9) as tar:
        for path in sorted(data.rglob("*")):
            name = path.relative_to(data)
            if path.is_file() and name.parts[0] not in LEFT_OUT and path.name not in (".lock", "ballast"):
                tar.add(path, str(name))


if __name__ == "__main__":
    main()
