"""The Debian image of the catalogue, made once for a machine, in two minutes."""

from pathlib import Path

from euca_box.images.debian import DebianImage, build_debian

FOLDER = Path("/var/tmp/euca-box-test-debian")


def debian_image() -> DebianImage:
    return build_debian(FOLDER, lambda words: None)
