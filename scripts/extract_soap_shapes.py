#!/usr/bin/env python3
"""Write euca_box/api/soap/ec2_shapes.json: which elements each dated EC2 schema has, and in which order.

    python scripts/extract_soap_shapes.py FOLDER

FOLDER has the binding files of a Eucalyptus source tree (ec2-2008-02-01-binding.xml and what they include);
needed at development time only, and of them only names and order are taken. A tree is a list of
[element, kind, subtree]; kinds: v value, V required value, s structure, S required structure, l list of what
its one <item> holds. Trees that are the same in several versions are kept once.
"""

import json
import sys
from pathlib import Path
from typing import Any

from lxml import etree

TARGET = Path(__file__).resolve().parent.parent / "euca_box" / "api" / "soap" / "ec2_shapes.json"
FIRST, LAST = "2008-02-01", "2011-05-15"
ABSENT = "com.eucalyptus.compute.common.ComputeMessage"  # the request id, which is written by us


class Binding:
    """One dated binding with its includes."""

    def __init__(self, path: Path) -> None:
        self.messages: dict[str, etree._Element] = {}
        self._classes: dict[str, etree._Element] = {}
        for include in etree.parse(path).getroot().iter("include"):
            file = path.with_name(include.get("path").removeprefix("classpath:"))
            for mapping in etree.parse(file).getroot().iter("mapping"):
                if mapping.get("name"):
                    self.messages[mapping.get("name")] = mapping
                self._classes[mapping.get("class")] = mapping

    def tree(self, message: str) -> list[Any]:
        return self._members(self.messages[message])

    def _members(self, element: etree._Element) -> list[Any]:
        return [member for child in element if isinstance(child.tag, str) for member in self._member(child)]

    def _member(self, element: etree._Element) -> list[Any]:
        name, required = element.get("name"), element.get("usage") == "required"
        if element.tag == "value":
            return [[name, "V" if required else "v", None]]
        mapped = element.get("map-as") or (element.get("type") if element.tag == "structure" else None)
        if mapped == ABSENT:
            return []
        if element.tag == "collection":
            item = self._item(element)
            return [[name, "l", item]] if name else [["", "l", item]]
        if element.tag != "structure":
            raise SystemExit(f"{element.tag} is not understood")
        inner = self._members(element)
        if mapped:
            inner = self._members(self._classes[mapped]) + inner
        if not name:
            return inner
        if len(inner) == 1 and inner[0][0] == "":
            return [[name, "l", inner[0][2]]]
        return [[name, "S" if required else "s", inner]]

    def _item(self, collection: etree._Element) -> list[Any]:
        members = self._members(collection)
        if not members and collection.get("item-type") in self._classes:
            members = [["item", "s", self._members(self._classes[collection.get("item-type")])]]
        [[name, kind, sub]] = members
        return [name, kind.lower(), sub]


def main() -> None:
    trees: dict[str, int] = {}
    versions: dict[str, dict[str, list[int]]] = {}

    def place(tree: list[Any]) -> int:
        return trees.setdefault(json.dumps(tree, separators=(",", ":")), len(trees))

    for path in sorted(Path(sys.argv[1]).glob("ec2-20*-binding.xml")):
        version = path.name[4:14]
        if not FIRST <= version <= LAST:
            continue
        binding = Binding(path)
        versions[version] = {
            name: [place(binding.tree(name)), place(binding.tree(f"{name}Response"))]
            for name in sorted(binding.messages)
            if f"{name}Response" in binding.messages
        }
    lines = ",\n".join(trees)
    TARGET.write_text(f'{{"versions": {json.dumps(versions)},\n"trees": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
