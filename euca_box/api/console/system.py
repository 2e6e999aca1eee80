"""For administrators of the cloud: components and nodes, VM types, what needs attention."""

import contextlib
from typing import Any

from quart import Quart, Response

from euca_box.api import audit
from euca_box.api.console.web import LOOKING, Web, back, call, done, form, page, session
from euca_box.messages import admin, service
from euca_box.messages import components as components_messages
from euca_box.messages.base import Op
from euca_box.model.errors import EucaError
from euca_box.model.findings import OK, fail
from euca_box.settings import as_typed


def routes(app: Quart, web: Web) -> None:
    @app.get("/components", endpoint="components")
    async def components() -> Any:
        if not session().principal.admin:
            return await page("refused.html", what="403"), 403
        cloud = await web.look(admin.DescribeCloud())
        rows = (await web.look(components_messages.DescribeComponents())).components
        return await page("components.html", cloud=cloud, status=web.status(), rows=rows)

    @app.get("/warnings", endpoint="warnings")
    async def warnings() -> Any:
        if not session().principal.admin:
            return await page("refused.html", what="403"), 403
        return await page("warnings.html", rows=await _found(web))

    @app.get("/settings", endpoint="settings")
    async def settings() -> Any:
        if not session().principal.admin:
            return await page("refused.html", what="403"), 403
        return await page("settings.html", rows=web.settings(), kept=await _kept(web))

    @app.post("/settings", endpoint="settings_act")
    async def change_setting() -> Any:
        """The role itself refuses who is no administrator, and wrong values."""
        given = await form()
        name, at = given.get("name", ""), given.get("at", "")
        op: Op[Any] = service.ChangeSettings(((name, given.get("value", "")),))
        if given.get("do") == "reset":
            op = service.ResetSettings((name,))
        if at not in web.addresses():
            return back("/settings", error="This component is not known.")
        try:
            found = await audit.asked(web.ask, at, op, call())
        except EucaError as error:
            return back("/settings", error=f"{error.code}: {error.message}")
        if any(row.waits for row in found.settings):
            return back("/settings", said="The setting is kept, and in force from the next start on.")
        return back("/settings", said="The setting is changed.")

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


async def _found(web: Web) -> list[dict[str, Any]]:
    """What is not as it should be, of every role and host: as `euca-box doctor` tells it."""
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    for at in web.addresses():
        try:
            answer = await web.ask(at, service.Examine(process=False), call(LOOKING))
            if answer.host not in seen:
                seen.add(answer.host)
                answer = await web.ask(at, service.Examine(), call(LOOKING))
        except EucaError as error:
            silent = fail("components", f"{at} does not answer: {error.message}", f"euca-box why {at}")
            found.append({"host": "", "row": silent.at(at.partition("@")[0])})
            continue
        found += [{"host": answer.host, "row": row} for row in answer.findings if row.state != OK]
    return found


async def _kept(web: Web) -> list[dict[str, Any]]:
    """Settings that roles keep, of all that answer."""
    found: list[dict[str, Any]] = []
    for at in web.addresses():
        with contextlib.suppress(EucaError):
            answer = await web.ask(at, service.GetSettings(), call(LOOKING))
            found += [{"at": at, "row": row, "value": as_typed(row.value)} for row in answer.settings]
    return found


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
