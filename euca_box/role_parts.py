"""What each role adds to the operator's desk: stories of its things, and what is wrong with it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from euca_box.model.findings import Finding
from euca_box.model.stories import Story
from euca_box.roles.cc import examination as cc_examination
from euca_box.roles.cc import stories as cc_stories
from euca_box.roles.clc import examination as clc_examination
from euca_box.roles.clc import stories as clc_stories
from euca_box.roles.nc import examination as nc_examination
from euca_box.roles.nc import stories as nc_stories
from euca_box.roles.sc import examination as sc_examination
from euca_box.roles.sc import stories as sc_stories
from euca_box.roles.walrus import examination as walrus_examination
from euca_box.roles.walrus import stories as walrus_stories


@dataclass(frozen=True)
class Parts:
    tell: Callable[[Any, str], Awaitable[Story]]
    examine: Callable[[Any], Awaitable[list[Finding]]]


PARTS: Mapping[str, Parts] = {
    "clc": Parts(clc_stories.tell, clc_examination.examine),
    "walrus": Parts(walrus_stories.tell, walrus_examination.examine),
    "cc": Parts(cc_stories.tell, cc_examination.examine),
    "sc": Parts(sc_stories.tell, sc_examination.examine),
    "nc": Parts(nc_stories.tell, nc_examination.examine),
}
