"""Logging in and out, signing up, one's own password, second factor and sessions."""

from typing import Any

from quart import Quart, Response, g, request

from euca_box.api.console.guard import COOKIE
from euca_box.api.console.languages import LANGUAGES
from euca_box.api.console.web import Web, back, form, page, session
from euca_box.messages import logins
from euca_box.messages.base import Op, system_call
from euca_box.model.errors import EucaError

HONEYPOT = "website"  # people do not see this field; programs that fill in forms do


def routes(app: Quart, web: Web) -> None:
    @app.route("/login", methods=["GET", "POST"], endpoint="log_in")
    async def log_in() -> Any:
        if request.method == "GET":
            return await page("login.html", needs_code=False, name="")
        return await _log_in(web)

    @app.post("/logout", endpoint="log_out")
    async def log_out() -> Response:
        await _ask(web, logins.LogOut(g.token))
        answer = back("/login")
        answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
        return answer

    @app.route("/signup", methods=["GET", "POST"], endpoint="sign_up")
    async def sign_up() -> Any:
        if not web.sign_up:
            return await page("refused.html", what="sign-up"), 404
        if request.method == "GET":
            return await page("signup.html", given={})
        return await _sign_up(web)

    @app.route("/recover", methods=["GET", "POST"], endpoint="recover")
    async def recover() -> Any:
        if not web.mail:
            return await page("refused.html", what="404"), 404
        if request.method == "GET":
            return await page("recover.html")
        given = await form()
        op = logins.AskRecovery(given.get("name", ""), given.get("email", ""), request.remote_addr or "")
        try:
            await _ask(web, op)
        except EucaError as error:
            return await page("recover.html", error=error.message), error.http_status
        return back("/login", said="If name and address belong together, a mail is on its way.")

    @app.route("/recover/<token>", methods=["GET", "POST"], endpoint="recover_use")
    async def recover_use(token: str) -> Any:
        if request.method == "GET":
            return await page("recover_use.html", link=token)
        raw = await request.form
        if raw.get("new", "") != raw.get("again", ""):
            return await page("recover_use.html", link=token, error="The two passwords differ."), 400
        try:
            await _ask(web, logins.UseRecovery(token[:200], raw.get("new", "")))
        except EucaError as error:
            return await page("recover_use.html", link=token, error=error.message), error.http_status
        return back("/login", said="The password was changed.")

    @app.route("/password", methods=["GET", "POST"], endpoint="password")
    async def password() -> Any:
        if request.method == "GET":
            return await page("password.html")
        return await _change_password(web)

    @app.get("/me", endpoint="me")
    async def me() -> str:
        found = await _ask(web, logins.ListSessions(g.token))
        return await page("me.html", sessions=found.sessions)

    @app.post("/me/sessions", endpoint="end_sessions")
    async def end_sessions() -> Response:
        given = await form()
        await _ask(web, logins.EndSessions(g.token, given.get("session_id") or None))
        return back("/me", said="The sessions have ended.")

    @app.route("/me/second-factor", methods=["GET", "POST"], endpoint="second_factor")
    async def second_factor() -> Any:
        if request.method == "GET":
            return await page("second_factor.html", new=await _ask(web, logins.SecondFactor(g.token)))
        given = await form()
        op = logins.UseSecondFactor(
            g.token, given.get("password", ""), given.get("secret", ""), given.get("code", "")
        )
        try:
            await _ask(web, op)
        except EucaError as error:
            return back("/me/second-factor" if op.secret else "/me", error=error.message)
        return back("/me", said="The second factor is in use." if op.secret else "It is off.")

    @app.post("/language", endpoint="language")
    async def language() -> Response:
        given = await form()
        answer = back(request.headers.get("referer") or "/")
        if given.get("language") in LANGUAGES:
            answer.set_cookie("language", given["language"], max_age=31_536_000, secure=True, samesite="Lax")
        if given.get("theme") in ("light", "dark", "auto"):
            answer.set_cookie("theme", given["theme"], max_age=31_536_000, secure=True, samesite="Lax")
        return answer


async def _ask(web: Web, op: Op[Any]) -> Any:
    return await web.ask("clc", op, system_call("console"))


async def _log_in(web: Web) -> Any:
    given = await form()
    name, code = given.get("name", ""), given.get("code", "").replace(" ", "")
    agent = request.user_agent.string or ""
    # A password may begin or end with blanks.
    secret = (await request.form).get("password", "")
    op = logins.LogIn(name, secret, code, request.remote_addr or "", agent)
    try:
        found = await _ask(web, op)
    except EucaError as error:
        return await page("login.html", needs_code=bool(code), name=name, error=error.message), 403
    if found.token is None:
        return await page("login.html", needs_code=True, name=name, password=secret)
    if g.token:
        await _ask(web, logins.LogOut(g.token))  # the one before ends: a planted cookie is worth nothing
    answer = back("/")
    answer.set_cookie(COOKIE, found.token, path="/", secure=True, httponly=True, samesite="Strict")
    return answer


async def _sign_up(web: Web) -> Any:
    given = await form()
    thanks = await page("signed_up.html")
    if given.get(HONEYPOT):
        return thanks
    raw = await request.form
    if raw.get("password", "") != raw.get("again", ""):
        return await page("signup.html", given=given, error="The two passwords differ."), 400
    op = logins.SignUp(
        given.get("account_name", "").lower(),
        given.get("email", ""),
        raw.get("password", ""),
        given.get("real_name", ""),
        given.get("reason", ""),
        request.remote_addr or "",
    )
    try:
        await _ask(web, op)
    except EucaError as error:
        return await page("signup.html", given=given, error=error.message), error.http_status
    return thanks


async def _change_password(web: Web) -> Any:
    raw = await request.form
    old, new = raw.get("old", ""), raw.get("new", "")
    if new != raw.get("again", ""):
        return await page("password.html", error="The two passwords differ."), 400
    try:
        await _ask(web, logins.ChangeOwnPassword(g.token, old, new))
    except EucaError as error:
        return await page("password.html", error=error.message), error.http_status
    return back("/me", said="The password was changed. Other sessions have ended.")


async def refusal(status: int) -> str:
    g.setdefault("session", None)
    g.setdefault("token", "")
    if g.session is not None:
        session()
    return await page("refused.html", what=str(status))
