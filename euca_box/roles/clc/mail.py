"""Mail: texts that wait in rows, committed with what they tell of, and a loop that sends them.

Without an SMTP server (`mail.smtp_host`) no mail is written: what would stand in it, an administrator sees in
the console.
"""

import logging
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from euca_box.store.store import Row, Statement, insert

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

LOOK_SECONDS, SMTP_SECONDS = 60.0, 30.0
MOST_TRIES, LONGEST_PAUSE = 12, 3600.0


@dataclass(frozen=True)
class MailSettings:
    """`tls`: starttls, tls or none. `console` is the URL of the web console, for links."""

    host: str = ""
    port: int = 587
    tls: str = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = ""
    admin: str = ""
    console: str = ""
    ca_file: Path | None = None


TEXTS = {
    "signup": (
        "euca-box: {name} asks for an account",
        "{real_name} <{email}> asks for the account {name}.\n\n{reason}\n\n"
        "Approve or reject it: {console}/accounts\n",
    ),
    "approved": (
        "euca-box: your account {name}",
        "Your account {name} is approved. Log in with the password that you chose: {console}/login\n",
    ),
    "rejected": ("euca-box: your account {name}", "Your request for the account {name} was not approved.\n"),
    "recovery": (
        "euca-box: another password for {name}",
        "Somebody asked for another password for the user {name}. If it was you, choose one within an hour:\n"
        "{console}/recover/{token}\n\nIf it was not you, do nothing: the password stays as it is.\n",
    ),
}


def rows(clc: "Clc", kind: str, recipient: str, **words: str) -> list[Statement]:
    """What a transaction adds so that the mail is sent; nothing without an SMTP server or an address."""
    settings = clc.settings.mail
    if not settings.host or not recipient:
        return []
    subject, body = (text.format(console=settings.console, **words) for text in TEXTS[kind])
    return [
        insert(
            "mail",
            {
                "id": f"{clc.randomness.getrandbits(64):016x}",
                "recipient": recipient,
                "subject": " ".join(subject.split())[:200],  # a line break would begin another header
                "body": body,
                "created_at": clc.now(),
            },
        )
    ]


async def send_mail(clc: "Clc") -> None:
    """Everything that waits; what cannot be sent is tried again, later each time, and given up at last."""
    while True:
        if clc.settings.mail.host:
            now = clc.now()
            waiting = await clc.store.read(
                "SELECT * FROM mail WHERE tries < ? AND next_at <= ? ORDER BY created_at", MOST_TRIES, now
            )
            for row in waiting:
                await _send(clc, row)
        await clc.mail_bell.wait(LOOK_SECONDS)


async def _send(clc: "Clc", row: Row) -> None:
    message = EmailMessage()
    message["From"], message["To"] = clc.settings.mail.sender, row["recipient"]
    message["Subject"], message["Date"] = row["subject"], formatdate(clc.now())
    message["Message-ID"] = make_msgid(row["id"], "euca-box")  # the same for each try
    message.set_content(row["body"])
    try:
        await trio.to_thread.run_sync(clc.deliver, clc.settings.mail, message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        tries = row["tries"] + 1
        pause = min(30.0 * 2**tries, LONGEST_PAUSE)
        sql = "UPDATE mail SET tries = ?, next_at = ?, error = ? WHERE id = ?"
        await clc.store.write(Statement(sql, (tries, clc.now() + pause, str(error)[:500], row["id"])))
        clc.problems["mail"] = f"Mail cannot be sent by {clc.settings.mail.host}: {error}"
        log.warning("mail %s to %s: %s", row["id"], row["recipient"], error)
        return
    await clc.store.write(Statement("DELETE FROM mail WHERE id = ?", (row["id"],)))
    clc.problems.pop("mail", None)


Deliver = Callable[[MailSettings, EmailMessage], None]


def deliver(settings: MailSettings, message: EmailMessage) -> None:
    """By SMTP, in a thread. Raises OSError, SMTPException."""
    context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    if settings.tls == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.host, settings.port, timeout=SMTP_SECONDS, context=context
        )
    else:
        server = smtplib.SMTP(settings.host, settings.port, timeout=SMTP_SECONDS)
    with server:
        if settings.tls == "starttls":
            server.starttls(context=context)
        if settings.user:
            server.login(settings.user, settings.password)
        server.send_message(message)
