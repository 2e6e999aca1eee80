#!/usr/bin/env python3
"""Run the external conformance suite ceph/s3-tests against an S3 of ours, and count by topic.

    EUCA_BOX_S3_TESTS=/path/to/s3-tests EUCA_BOX_S3_TESTS_PYTHON=/path/to/its/python \\
        python scripts/run_s3_tests.py [-k EXPRESSION] [-m EXTRA_MARKS] [--failures FILE]

The suite is a checkout of its repository with its requirements installed for that Python. The server
is started here, on a free port of loopback, in a folder that is removed afterwards.
"""

import argparse
import asyncio
import configparser
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from euca_box.model.accounts import AccessKey, Principal  # noqa: E402
from tests.api.s3_box import S3Box, running_s3  # noqa: E402

MODULES = ("s3tests/functional/test_s3.py", "s3tests/functional/test_headers.py")
# What AWS itself fails, and services of Ceph that are none of S3.
LEFT_OUT = """fails_on_aws s3select sns bucket_logging cloud_transition cloud_restore lifecycle_expiration
    lifecycle_transition test_of_sts webidentity_test iam_account iam_tenant iam_user iam_role user_policy
    group storage_class""".split()  # noqa: SIM905
DAY_SECONDS = 10.0  # what the suite takes a day to be
USERS = {
    name: AccessKey(
        f"AKIA{name.upper().replace(' ', '')}",
        f"secret-of-{name.replace(' ', '-')}",
        Principal(f"{number:012}", name.replace(" ", "-"), f"{number:064x}", name.replace(" ", "-"), email),
    )
    for number, (name, email) in enumerate(
        {
            "s3 main": "main@example.com",
            "s3 alt": "alt@example.com",
            "s3 tenant": "tenant@example.com",
            "iam": "iam@example.com",
            "iam root": "root@example.com",
            "iam alt root": "altroot@example.com",
        }.items(),
        start=100,
    )
}
# The first that matches the name of a test is its topic.
TOPICS = (
    ("POST object", "post_object"),
    ("CORS", "cors"),
    ("lifecycle config", "lifecycle"),
    ("object lock", "object_lock"),
    ("SSE", "encrypt|sse_"),
    ("policy, PAB, ownership", "policy|public_access|block_public|ownership|object_writer|owner_enforced"),
    ("tagging", "tagging|tagset|_tags"),
    ("conditional", "ifmatch|if_match|ifnonmatch|conditional|if_none"),
    ("multipart", "multipart|upload_part|part_number|list_parts"),
    ("versioning", "version"),
    ("checksum, attributes", "checksum|attributes"),
    ("copy", "copy"),
    ("list", "list"),
    ("ACL, anonymous", "acl|access_bucket|anon|grant|object_raw|bucket_raw|logging"),
    ("bucket create, name, head", "bucket"),
    ("objects", ""),
)


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        options = {"day_seconds": DAY_SECONDS} if arguments.lifecycle else {}
        with running_s3(folder / "data", keys=USERS.values(), **options) as box:
            _write_config(folder / "s3tests.conf", box.port)
            if arguments.lifecycle:
                asyncio.run_coroutine_threadsafe(_expire(box), box.loop)
            report = _run_suite(arguments, folder)
    results = _results(report)
    _print(results)
    failed = sorted(f"{name}: {why}" for name, why in results.items() if why)
    arguments.failures.write_text("".join(line + "\n" for line in failed))
    print(f"failures: {arguments.failures}")
    return 0


async def _expire(box: S3Box) -> None:
    """Carry out lifecycle rules all the time, as Walrus does some times a day."""
    while True:
        await box.objects.expiry.run()
        await asyncio.sleep(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("-k", default="", help="only tests whose names match, as pytest -k")
    parser.add_argument("-m", default="", help="only tests with these marks, as pytest -m")
    parser.add_argument("--everything", action="store_true", help="also what AWS fails and what is not S3")
    parser.add_argument("--lifecycle", action="store_true", help="only expiration, in days of ten seconds")
    parser.add_argument("--failures", type=Path, default=Path("s3-tests-failures.txt"))
    return parser.parse_args()


def _write_config(path: Path, port: int) -> None:
    config = configparser.RawConfigParser()
    config["DEFAULT"] = {"host": "127.0.0.1", "port": str(port), "is_secure": "False"}
    config["fixtures"] = {"bucket prefix": "box-{random}-"}
    for section, key in USERS.items():
        who = key.principal
        config[section] = {
            "user_id": who.canonical_id,
            "display_name": who.display_name,
            "email": who.email,
            "access_key": key.access_key_id,
            "secret_key": key.secret_access_key,
            "tenant": "",
        }
    with path.open("w") as file:
        config.write(file)


def _run_suite(arguments: argparse.Namespace, folder: Path) -> ElementTree.Element:
    left_out = set(LEFT_OUT) - ({"lifecycle_expiration"} if arguments.lifecycle else set())
    marks = [] if arguments.everything else [f"not {mark}" for mark in LEFT_OUT if mark in left_out]
    marks += ["lifecycle_expiration"] if arguments.lifecycle else []
    marks += [f"({arguments.m})"] if arguments.m else []
    report = folder / "report.xml"
    command = [os.environ.get("EUCA_BOX_S3_TESTS_PYTHON", sys.executable), "-m", "pytest", "-q", *MODULES]
    command += ["-m", " and ".join(marks), "-k", f"not kms and ({arguments.k})" if arguments.k else "not kms"]
    command += ["--tb=line", f"--junitxml={report}", "-p", "no:cacheprovider"]
    environment = {**os.environ, "S3TEST_CONF": str(folder / "s3tests.conf")}
    environment.pop("PYTHONPATH", None)
    with open(arguments.failures.with_suffix(".log"), "w") as log:
        suite = os.environ["EUCA_BOX_S3_TESTS"]
        subprocess.run(command, cwd=suite, env=environment, stdout=log, stderr=log, check=False)
    if not report.exists():
        sys.exit(f"the suite did not run: see {log.name}")
    return ElementTree.parse(report).getroot()


def _results(report: ElementTree.Element) -> dict[str, str]:
    """Test -> "" when it passed, else the first line of what went wrong. Skipped ones are not in it."""
    results: dict[str, str] = {}
    for case in report.iter("testcase"):
        if case.find("skipped") is not None:
            continue
        wrong = [child for child in case if child.tag in ("failure", "error")]
        why = (wrong[0].get("message") or "failed").splitlines()[0] if wrong else ""
        name = f"{(case.get('classname') or '').rpartition('.')[2]}::{case.get('name')}"
        results[name] = results.get(name) or why
    return results


def _topic(name: str) -> str:
    if name.startswith("test_headers"):
        return "headers, authentication"
    return next(topic for topic, pattern in TOPICS if re.search(pattern, name))


def _print(results: dict[str, str]) -> None:
    total, passed = Counter(map(_topic, results)), Counter(_topic(n) for n, why in results.items() if not why)
    print(f"{'topic':28}{'tests':>6}{'passed':>8}")
    for topic, count in total.most_common():
        print(f"{topic:28}{count:6}{passed[topic]:8}")
    print(f"{'all':28}{total.total():6}{passed.total():8}")


if __name__ == "__main__":
    sys.exit(main())
