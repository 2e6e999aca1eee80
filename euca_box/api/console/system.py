"""For administrators of the cloud: components and nodes, VM types, what needs attention."""

from typing import Any

from quart import Quart, Response

from euca_box.api.console.web import Web, back, done, form, page, session
from euca_box.messages import admin
from euca_box.messages import components as components_messages
from euca_box.messages.base import Op


def routes(app: Quart, web: Web) -> None:
    @app.get("/components", endpoint="components")
    async def components() -> Any:
        if not session().principal.admin:
            return await page("refused.html", what="403"), 403
        cloud = await web.look(admin.DescribeCloud())
        rows = (await web.look(components_messages.DescribeComponents())).components
        return await page("components.html", cloud=cloud, status=web.status(), rows=rows)

    @app.get("/settings", endpoint="settings")
    async def settings() -> Any:
        if not session().principal.admin:
            return await page("refused.html", what="403"), 403
        return await page("settings.html", rows=web.settings())

    @app.get("/vm-types", endpoint="vm_types")
    async def vm_types() -> Any:
        if not session().principal.admin:
            return await page("refused.html", what="403"), 403
        found = await web.look(admin.ListVmTypes())
        return await page("vm_types.html", rows=found.vm_types)

    @app.post("/vm-types", endpoint="vm_types_act")
    async def act() -> Response:
        given = await form()
        op = _changed(given)
        if op is None:
            return back("/vm-types", error="Cores, memory and disk must be numbers.")
        return await done(web, op, "/vm-types", "The VM type is changed.")


def _changed(given: dict[str, str]) -> Op[Any] | None:
    name, wanted = given.get("name", ""), given.get("do", "")
    if wanted == "remove":
        return admin.RemoveVmType(name)
    if wanted == "reset":
        return admin.ResetVmType(name)
    numbers = [given.get(field, "") for field in ("cpu", "memory", "disk")]
    if not all(n.isascii() and n.isdigit() and len(n) < 9 for n in numbers):
        return None
    cpu, memory, disk = map(int, numbers)
    return admin.SetVmType(name, cpu, memory, disk)
