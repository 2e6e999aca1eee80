"""What the web console asks beside the APIs: people, events, accounts, and whether anything has changed."""

from typing import TYPE_CHECKING, Any

from euca_box.bus.bus import Operations
from euca_box.messages import admin
from euca_box.messages import events as event_messages
from euca_box.messages import logins as login_messages
from euca_box.messages.base import Call
from euca_box.roles.clc import events, logins, recovery, signups
from euca_box.roles.clc.records import Records

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


async def get_changes(clc: "Clc", call: Call, op: login_messages.GetChanges) -> login_messages.Changes:
    kinds: dict[str, Records[Any]] = {
        "instances": clc.instances,
        "images": clc.images,
        "volumes": clc.volumes,
        "snapshots": clc.snapshots,
        "addresses": clc.addresses,
        "groups": clc.groups,
        "keys": clc.key_pairs,
    }
    return login_messages.Changes({name: records.changes_of(op.account) for name, records in kinds.items()})


async def describe_accounts(clc: "Clc", call: Call, op: admin.DescribeAccounts) -> admin.Accounts:
    rows = await clc.store.read(
        "SELECT account.account, account.name, account.created_at, count(user.id) AS users "
        "FROM account LEFT JOIN user ON user.account = account.account "
        "GROUP BY account.account, account.name, account.created_at ORDER BY account.name"
    )
    return admin.Accounts(
        tuple(
            admin.AccountRow(
                row["account"],
                row["name"],
                row["created_at"],
                row["users"],
                sum(1 for i in clc.instances.of(row["account"]) if i.ended_at is None),
            )
            for row in rows
        )
    )


OPERATIONS: Operations = {
    login_messages.LogIn: logins.log_in,
    login_messages.ResumeSession: logins.resume,
    login_messages.LogOut: logins.log_out,
    login_messages.ListSessions: logins.list_sessions,
    login_messages.EndSessions: logins.end_sessions,
    login_messages.ChangeOwnPassword: logins.change_password,
    login_messages.SecondFactor: logins.new_second_factor,
    login_messages.UseSecondFactor: logins.use_second_factor,
    login_messages.SignUp: signups.sign_up,
    login_messages.AskRecovery: recovery.ask,
    login_messages.UseRecovery: recovery.use,
    login_messages.GetChanges: get_changes,
    admin.ListSignUps: signups.list_signups,
    admin.DecideSignUp: signups.decide,
    admin.DescribeAccounts: describe_accounts,
    event_messages.ListEvents: events.list_events,
    event_messages.NoteEvent: events.note_event,
}
