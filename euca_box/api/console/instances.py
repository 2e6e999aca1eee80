"""Instances: list, one of them, launch, and what can be done with them."""

import base64
import shlex
from typing import Any

from quart import Quart, Response, request

from euca_box.api.console import graphs
from euca_box.api.console.web import Web, back, chosen, done, form, page
from euca_box.messages import admin, ec2_groups, ec2_images, ec2_instances, ec2_keypairs, ec2_places, ec2_tags
from euca_box.messages import ec2_instances as ec2
from euca_box.messages.base import Op, system_call
from euca_box.messages.ec2_common import Filter, Tag, TagSpecification
from euca_box.messages.ec2_instances import IamInstanceProfileSpecification
from euca_box.messages.iam_instance_profiles import ListInstanceProfiles
from euca_box.model.errors import EucaError

PAGE_SIZE = 100
MINUTES = ("60", "360", "1440")


def routes(app: Quart, web: Web) -> None:
    @app.get("/instances", endpoint="instances")
    async def instances() -> str:
        found = await web.look(
            ec2.DescribeInstances(
                filters=_filters(request.args),
                max_results=PAGE_SIZE,
                next_token=request.args.get("next") or None,
            )
        )
        rows = [i for r in found.reservations for i in r.instances]
        return await page("instances.html", rows=rows, next_token=found.next_token, args=request.args)

    @app.post("/instances", endpoint="instances_act")
    async def act() -> Response:
        ids, wanted = await chosen(), (await form()).get("do", "")
        op = _action(wanted, ids)
        if op is None or not ids:
            return back("/instances", error="Choose an action, and tick the instances it is for.")
        return await done(web, op, "/instances", f"{wanted}: {', '.join(ids)}")

    @app.get("/instances/<instance_id>", endpoint="instance")
    async def instance(instance_id: str) -> Any:
        return await _one(web, instance_id)

    @app.post("/instances/<instance_id>", endpoint="instance_act")
    async def act_on_one(instance_id: str) -> Response:
        given = await form()
        where = f"/instances/{instance_id}"
        wanted = given.get("do", "")
        if wanted == "tag":
            tags = (Tag(given.get("key", ""), given.get("value", "")),)
            return await done(web, ec2_tags.CreateTags((instance_id,), tags), where, "The tag is set.")
        op = _action(wanted, (instance_id,))
        if op is None:
            return back(where, error="There is no such action.")
        return await done(web, op, where, f"{wanted}: {instance_id}")

    @app.get("/instances/<instance_id>/log", endpoint="instance_log")
    async def console_log(instance_id: str) -> Response:
        found = await web.look(ec2.GetConsoleOutput(instance_id))
        text = base64.b64decode(found.output or "")
        headers = {"Content-Disposition": f'attachment; filename="{instance_id}.log"'}
        return Response(text, content_type="text/plain; charset=utf-8", headers=headers)

    @app.route("/launch", methods=["GET", "POST"], endpoint="launch")
    async def launch() -> Any:
        if request.method == "GET":
            return await _form(web, request.args.to_dict())
        return await _launch(web)


def _filters(args: Any) -> tuple[Filter, ...]:
    found = []
    if state := args.get("state", "")[:40]:
        found.append(Filter("instance-state-name", (state,)))
    if text := args.get("q", "").strip()[:100]:
        name = "instance-id" if text.startswith("i-") else "tag:Name"
        found.append(Filter(name, (f"*{text}*",)))
    return tuple(found)


def _action(wanted: str, ids: tuple[str, ...]) -> Op[Any] | None:
    kinds: dict[str, Any] = {
        "start": ec2.StartInstances,
        "stop": ec2.StopInstances,
        "reboot": ec2.RebootInstances,
        "terminate": ec2.TerminateInstances,
    }
    kind = kinds.get(wanted)
    return kind(ids) if kind is not None else None


async def _one(web: Web, instance_id: str) -> Any:
    try:
        found = await web.look(ec2.DescribeInstances((instance_id,)))
    except EucaError as error:
        return await page("refused.html", what=error.message), 404
    [record] = [i for r in found.reservations for i in r.instances]
    try:
        output = (await web.look(ec2.GetConsoleOutput(instance_id))).output or ""
    except EucaError:
        output = ""
    log = base64.b64decode(output).decode("utf-8", "replace")
    tab = request.args.get("tab", "overview")
    drawn = await _graphs(web, instance_id) if tab == "metrics" else []
    size = {"width": graphs.WIDTH, "height": graphs.HEIGHT}
    return await page("instance.html", i=record, log=log[-65536:], tab=tab, graphs=drawn, size=size)


async def _graphs(web: Web, instance_id: str) -> list[graphs.Graph]:
    """Of an instance that the person was shown before: the measures themselves are the operator's to ask."""
    minutes = request.args.get("minutes", "60")
    asked = int(minutes) if minutes in MINUTES else 60
    try:
        found = await web.ask("clc", admin.GetUsage(instance_id, asked), system_call("console"))
    except EucaError:
        return []
    return graphs.graphs(found.samples)


async def _form(web: Web, given: dict[str, str], error: str = "") -> str:
    """Everything that may be chosen, one question for each list."""
    images = (await web.look(ec2_images.DescribeImages())).images
    machines = [i for i in images if i.image_type == "machine" and i.state == "available"]
    types = (await web.look(ec2_places.DescribeInstanceTypes())).instance_types
    keys = (await web.look(ec2_keypairs.DescribeKeyPairs())).key_pairs
    groups = (await web.look(ec2_groups.DescribeSecurityGroups())).security_groups
    try:
        profiles = (await web.look(ListInstanceProfiles(max_items=1000))).instance_profiles
    except EucaError:
        profiles = ()  # a policy keeps them from the person
    more = {"error": error} if error else {}
    return await page(
        "launch.html",
        images=machines,
        types=types,
        keys=keys,
        groups=groups,
        profiles=profiles,
        given=given,
        **more,
    )


async def _launch(web: Web) -> Any:
    given = await form()
    groups = await chosen("group")
    count = given.get("count", "1")
    if not (count.isascii() and count.isdigit() and 1 <= int(count[:6]) <= 1000):
        return await _form(web, given, "The number of instances must be from 1 to 1000."), 400
    name = given.get("name", "")
    op = ec2_instances.RunInstances(
        image_id=given.get("image", ""),
        min_count=int(count),
        max_count=int(count),
        instance_type=given.get("type") or None,
        key_name=given.get("key") or None,
        security_group_ids=groups,
        user_data=base64.b64encode(given["user_data"].encode()).decode() if given.get("user_data") else None,
        iam_instance_profile=IamInstanceProfileSpecification(name=given["profile"])
        if given.get("profile")
        else None,
        tag_specifications=(TagSpecification("instance", (Tag("Name", name),)),) if name else (),
    )
    if given.get("do") == "show":
        return await page("same_as.html", **same_as(op, given.get("user_data", "")))
    try:
        made = await web.do(op)
    except EucaError as error:
        return await _form(web, given, f"{error.code}: {error.message}"), 400
    return back("/instances", said="Launched: " + ", ".join(i.instance_id for i in made.instances))


def same_as(op: ec2_instances.RunInstances, user_data: str) -> dict[str, str]:
    """The launch in the words of other tools."""
    words = ["aws", "ec2", "run-instances", "--image-id", op.image_id, "--count", str(op.max_count)]
    fields: dict[str, Any] = {"ImageId": op.image_id, "MinCount": op.min_count, "MaxCount": op.max_count}
    lines = [f"  ami           = {_hcl(op.image_id)}"]
    if op.max_count > 1:
        lines.append(f"  count         = {op.max_count}")
    for flag, argument, field, value in (
        ("--instance-type", "InstanceType", "instance_type", op.instance_type),
        ("--key-name", "KeyName", "key_name     ", op.key_name),
    ):
        if value:
            words += [flag, value]
            fields[argument] = value
            lines.append(f"  {field} = {_hcl(value)}")
    if (profile := op.iam_instance_profile) is not None and profile.name is not None:
        words += ["--iam-instance-profile", f"Name={profile.name}"]
        fields["IamInstanceProfile"] = {"Name": profile.name}
        lines.append(f"  iam_instance_profile = {_hcl(profile.name)}")
    if op.security_group_ids:
        words += ["--security-group-ids", *op.security_group_ids]
        fields["SecurityGroupIds"] = list(op.security_group_ids)
        listed = ", ".join(map(_hcl, op.security_group_ids))
        lines.append(f"  vpc_security_group_ids = [{listed}]")
    if user_data:
        words += ["--user-data", user_data]
        fields["UserData"] = user_data
        lines.append(f"  user_data = {_hcl(user_data)}")
    for specification in op.tag_specifications:
        [tag] = specification.tags
        words += ["--tag-specifications", f"ResourceType=instance,Tags=[{{Key=Name,Value={tag.value}}}]"]
        fields["TagSpecifications"] = [
            {"ResourceType": "instance", "Tags": [{"Key": tag.key, "Value": tag.value}]}
        ]
        lines.append(f"  tags = {{ Name = {_hcl(tag.value)} }}")
    arguments = ",\n".join(f"    {name}={value!r}" for name, value in fields.items())
    return {
        "cli": shlex.join(words),
        "boto3": f"import boto3\n\nboto3.client('ec2').run_instances(\n{arguments},\n)",
        "terraform": 'resource "aws_instance" "this" {\n' + "\n".join(lines) + "\n}",
    }


def _hcl(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("${", "$${")
    return '"' + quoted.replace("%{", "%%{") + '"'
