"""A cloud from before IAM keeps what its users had."""

import shutil
import sqlite3
from pathlib import Path

from euca_box.roles.clc.role import MIGRATIONS
from euca_box.store import engine


def test_first_users_become_roots_and_others_administrators_of_their_account(tmp_path: Path) -> None:
    before = tmp_path / "before"
    before.mkdir()
    for script in MIGRATIONS.glob("000[1-6]_*.sql"):
        shutil.copy(script, before)
    db = sqlite3.connect(tmp_path / "clc.db", isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA foreign_keys = ON")
    engine.migrate(db, before, "clc.db")
    db.executemany("INSERT INTO account VALUES (?, ?, 0)", [("1", "eucalyptus"), ("2", "alice")])
    users = [("1", "admin", "aa", 1, 5.0), ("2", "alice", "bb", 0, 6.0), ("2", "bob", "cc", 0, 7.0)]
    for account, name, digits, admin, at in users:
        db.execute(
            "INSERT INTO user VALUES (?, ?, ?, '', ?, 'active', 'scrypt$x$y', ?)",
            (account, name, digits * 32, admin, at),
        )
        db.execute(
            "INSERT INTO access_key VALUES (?, ?, ?, 's', 'active', 0)", (f"AKIA{name}", account, name)
        )
        db.execute(
            "INSERT INTO signing_certificate VALUES (?, ?, ?, 'p', 'active', 0)", (f"C{name}", account, name)
        )

    engine.migrate(db, MIGRATIONS, "clc.db")

    found = {row["name"]: row for row in db.execute("SELECT * FROM user")}
    assert {name: row["root"] for name, row in found.items()} == {"admin": 1, "alice": 1, "bob": 0}
    assert len({row["id"] for row in found.values()}) == 3
    assert all(row["id"].startswith("AIDA") and row["password_hash"] for row in found.values())
    held = [tuple(row) for row in db.execute("SELECT owner, policy_arn FROM attached_policy")]
    assert held == [(found["bob"]["id"], "arn:aws:iam::aws:policy/AdministratorAccess")]
    assert db.execute("SELECT count(*) FROM access_key").fetchone()[0] == 3
    assert db.execute("SELECT count(*) FROM signing_certificate").fetchone()[0] == 3
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
