"""Users of the account, by IAM; for administrators of the cloud also accounts and who asks for one."""

from typing import Any

from quart import Quart, Response, request

from euca_box.api.console.web import Web, back, chosen, done, form, page, session
from euca_box.messages import (
    admin,
    iam_access_keys,
    iam_accounts,
    iam_grants,
    iam_groups,
    iam_logins,
    iam_policies,
    iam_users,
)
from euca_box.messages.base import Op
from euca_box.model.errors import EucaError

WHERE = "/users"


def routes(app: Quart, web: Web) -> None:
    @app.get(WHERE, endpoint="users")
    async def users() -> str:
        found = await web.look(iam_users.ListUsers(marker=request.args.get("next") or None, max_items=100))
        groups = await web.look(iam_groups.ListGroups(max_items=1000))
        return await page("users.html", rows=found.users, next_token=found.marker, groups=groups.groups)

    @app.post(WHERE, endpoint="users_act")
    async def act() -> Response:
        given = await form()
        name = given.get("name", "")
        kinds: dict[str, Op[Any]] = {
            "create": iam_users.CreateUser(name),
            "create-group": iam_groups.CreateGroup(name),
        }
        op = kinds.get(given.get("do", ""))
        if op is None:
            return back(WHERE, error="There is no such action.")
        return await done(web, op, WHERE, f"{name} is made.")

    @app.get("/users/<name>", endpoint="user")
    async def user(name: str) -> Any:
        return await _user(web, name)

    @app.post("/users/<name>", endpoint="user_act")
    async def user_act(name: str) -> Any:
        return await _act(web, name)

    @app.get("/accounts", endpoint="accounts")
    async def accounts() -> Any:
        if not session().principal.admin:
            return await page("refused.html", what="403"), 403
        found = await web.look(admin.DescribeAccounts())
        people = await web.look(admin.ListUsers())
        waiting = await web.look(admin.ListSignUps())
        return await page("accounts.html", rows=found.accounts, people=people.users, signups=waiting.signups)

    @app.post("/accounts", endpoint="accounts_act")
    async def accounts_act() -> Response:
        given = await form()
        name, wanted = given.get("name", ""), given.get("do", "")
        kinds: dict[str, Op[Any]] = {
            "create": iam_accounts.CreateAccount(name),
            "delete": iam_accounts.DeleteAccount(name, recursive=given.get("recursive") == "on"),
            "approve": admin.DecideSignUp(given.get("signup", ""), approve=True),
            "reject": admin.DecideSignUp(given.get("signup", ""), approve=False),
            "disable": admin.SetUserState(name, "disabled"),
            "enable": admin.SetUserState(name, "active"),
        }
        if wanted not in kinds:
            return back("/accounts", error="There is no such action.")
        return await done(web, kinds[wanted], "/accounts", "It is done.")


async def _user(web: Web, name: str, **more: Any) -> Any:
    try:
        found = (await web.look(iam_users.GetUser(name))).user
        keys = (await web.look(iam_access_keys.ListAccessKeys(name))).access_key_metadata
        attached = (await web.look(iam_grants.ListAttachedUserPolicies(name))).attached_policies
        inline = (await web.look(iam_grants.ListUserPolicies(name))).policy_names
        groups = (await web.look(iam_groups.ListGroupsForUser(name))).groups
        policies = (await web.look(iam_policies.ListPolicies(max_items=1000))).policies
        others = (await web.look(iam_groups.ListGroups(max_items=1000))).groups
    except EucaError as error:
        return await page("refused.html", what=error.message), error.http_status
    return await page(
        "user.html",
        user=found,
        keys=keys,
        attached=attached,
        inline=inline,
        groups=groups,
        policies=policies,
        all_groups=others,
        **more,
    )


async def _act(web: Web, name: str) -> Any:
    given, where = await form(), f"/users/{name}"
    wanted, value = given.get("do", ""), given.get("value", "")
    if wanted == "new-key":
        try:
            made = await web.do(iam_access_keys.CreateAccessKey(name))
        except EucaError as error:
            return back(where, error=f"{error.code}: {error.message}")
        return await _user(web, name, new_key=made.access_key)
    password = (await request.form).get("password", "")
    kinds: dict[str, Op[Any]] = {
        "key-on": iam_access_keys.UpdateAccessKey(value, "Active", name),
        "key-off": iam_access_keys.UpdateAccessKey(value, "Inactive", name),
        "key-delete": iam_access_keys.DeleteAccessKey(value, name),
        "attach": iam_grants.AttachUserPolicy(name, value),
        "detach": iam_grants.DetachUserPolicy(name, value),
        "inline-delete": iam_grants.DeleteUserPolicy(name, value),
        "inline-put": iam_grants.PutUserPolicy(name, value, given.get("document", "")),
        "group-add": iam_groups.AddUserToGroup(value, name),
        "group-remove": iam_groups.RemoveUserFromGroup(value, name),
        "password": iam_logins.CreateLoginProfile(name, password, password_reset_required=True),
        "new-password": iam_logins.UpdateLoginProfile(name, password, password_reset_required=True),
        "password-delete": iam_logins.DeleteLoginProfile(name),
    }
    if wanted == "delete":
        return (
            await done(web, iam_users.DeleteUser(name), WHERE, f"{name} is deleted.")
            if (await chosen("sure"))
            else back(where, error="Tick that you are sure.")
        )
    if wanted not in kinds:
        return back(where, error="There is no such action.")
    return await done(web, kinds[wanted], where, "It is done.")
