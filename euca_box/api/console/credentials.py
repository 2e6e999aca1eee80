"""One's own access keys, and the zip with files for every client."""

import io
from dataclasses import replace
from typing import Any

from quart import Quart, send_file

from euca_box.api.console.web import Web, back, done, endpoint_of, form, page, session
from euca_box.messages import admin, iam_access_keys
from euca_box.messages.base import system_call
from euca_box.model.credential_files import Credentials, as_zip, files
from euca_box.model.errors import EucaError

WHERE = "/credentials"
SHOWN = ("env.sh", "aws/config", "aws/credentials", "s3cfg", "rclone.conf", "provider_override.tf")


def routes(app: Quart, web: Web) -> None:
    @app.get(WHERE, endpoint="credentials")
    async def credentials() -> str:
        keys: Any = ()
        try:
            found = await web.look(iam_access_keys.ListAccessKeys())
            keys = found.access_key_metadata
        except EucaError:
            pass  # a policy keeps it from its user
        return await page("credentials.html", keys=keys, endpoint=endpoint_of(web))

    @app.post(WHERE, endpoint="credentials_act")
    async def act() -> Any:
        given = await form()
        wanted, value = given.get("do", ""), given.get("value", "")
        if wanted == "new-key":
            return await _new(web)
        if wanted == "off":
            op: Any = iam_access_keys.UpdateAccessKey(value, "Inactive")
        elif wanted == "on":
            op = iam_access_keys.UpdateAccessKey(value, "Active")
        else:
            op = iam_access_keys.DeleteAccessKey(value)
        return await done(web, op, WHERE, "It is done.")

    @app.post("/credentials/zip", endpoint="credentials_zip")
    async def pack() -> Any:
        who = session().principal
        name = f"{who.account}/{who.user}"
        call = system_call("console")
        try:
            await web.do(iam_access_keys.ListAccessKeys())  # his policies let him, and it is noted
            found = await _found(web, name)
            made = await web.ask("clc", admin.AddCertificate(name), call)
        except EucaError as error:
            return back(WHERE, error=f"{error.code}: {error.message}")
        whole = replace(
            found,
            certificate=made.certificate.pem,
            private_key=made.private_key,
            cloud_certificate=made.cloud_certificate,
        )
        return await send_file(
            io.BytesIO(as_zip(whole)),
            mimetype="application/zip",
            as_attachment=True,
            attachment_filename=f"euca-box-{who.user}.zip",
        )


async def _found(web: Web, name: str) -> Credentials:
    call = system_call("console")
    keys = await web.ask("clc", admin.GetUserKeys(name), call)
    cloud = await web.ask("clc", admin.DescribeCloud(), call)
    return Credentials(
        user=keys.user_name,
        account=keys.account_id,
        account_name=keys.account_name,
        access_key_id=keys.access_key_id,
        secret_access_key=keys.secret_access_key,
        endpoint=endpoint_of(web),
        region=cloud.region,
        ca_pem=web.ca_pem(),
    )


async def _new(web: Web) -> Any:
    try:
        made = await web.do(iam_access_keys.CreateAccessKey())
    except EucaError as error:
        return back(WHERE, error=f"{error.code}: {error.message}")
    who = session().principal
    cloud = await web.ask("clc", admin.DescribeCloud(), system_call("console"))
    given = Credentials(
        user=who.user,
        account=who.account,
        account_name=session().account_name,
        access_key_id=made.access_key.access_key_id,
        secret_access_key=made.access_key.secret_access_key,
        endpoint=endpoint_of(web),
        region=cloud.region,
    )
    texts = files(given)
    return await page("new_credentials.html", key=made.access_key, texts={n: texts[n] for n in SHOWN})
