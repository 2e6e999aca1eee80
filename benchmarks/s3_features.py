"""What features of a bucket cost: server CPU for a PUT and a GET of 4 KiB, beside those of a plain bucket.

    python -m benchmarks s3 --features

Each feature has a bucket of its own on one server; rounds go over all of them, and medians are shown, since
other work on the machine is not the same at all times.
"""

import http.server
import multiprocessing
import os
import shutil
import statistics
import tempfile
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from benchmarks.load import Load, measure
from benchmarks.s3 import signed
from benchmarks.s3_servers import HOOK, KEY, METERED, OTHER, Running, free_port, running, servers
from euca_box.model.accounts import AccessKey

ROUNDS = 5
KEYS = 200
CONNECTIONS = 16
BODY = bytes(4096)
CRC32 = b64encode(crc32(BODY).to_bytes(4, "big")).decode()
POLICY = """{"Version": "2012-10-17", "Statement": [
 {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::f-policy/*",
  "Condition": {"NotIpAddress": {"aws:SourceIp": ["127.0.0.0/8", "10.0.0.0/8"]}}},
 {"Effect": "Allow", "Principal": {"AWS": "000000000003"}, "Action": ["s3:GetObject", "s3:PutObject"],
  "Resource": "arn:aws:s3:::f-policy/k*", "Condition": {"StringLike": {"s3:authType": ["REST-*"]}}}]}"""


@dataclass(frozen=True)
class Feature:
    name: str
    prepare: Callable[[Any, str], object] = lambda s3, bucket: None
    key: AccessKey = KEY
    put_headers: Mapping[str, str] = field(default_factory=dict)
    get_headers: Mapping[str, str] = field(default_factory=dict)


def _grant(s3: Any, bucket: str) -> None:
    ids = [f'id="{key.principal.canonical_id}"' for key in (KEY, METERED, OTHER)]
    s3.put_bucket_acl(Bucket=bucket, GrantWrite=",".join(ids), GrantRead=",".join(ids))


def _log(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=f"{bucket}-to", ACL="log-delivery-write")
    enabled = {"TargetBucket": f"{bucket}-to", "TargetPrefix": ""}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})


def _notify(s3: Any, bucket: str) -> None:
    rule = {"QueueArn": "arn:aws:sqs:us-east-1:000000000002:hook", "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [rule]}
    )


def _versions(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def _lifecycle(s3: Any, bucket: str) -> None:
    rules = [
        {"ID": f"{n}", "Status": "Enabled", "Filter": {"Prefix": f"x{n}"}, "Expiration": {"Days": 9}}
        for n in range(3)
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


FEATURES = (
    Feature("plain"),
    Feature("acl of six grants, another account", _grant, OTHER),
    Feature(
        "policy of two statements, another account",
        lambda s3, bucket: s3.put_bucket_policy(Bucket=bucket, Policy=POLICY),
        OTHER,
    ),
    Feature("versions", _versions),
    Feature("quota", key=METERED),
    Feature("lifecycle of three rules", _lifecycle),
    Feature("tags, two", put_headers={"x-amz-tagging": "a=b&c=d"}),
    Feature("SSE-S3", put_headers={"x-amz-server-side-encryption": "AES256"}),
    Feature(
        "checksum CRC32",
        put_headers={"x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-checksum-crc32": CRC32},
        get_headers={"x-amz-checksum-mode": "ENABLED"},
    ),
    Feature("notifications", _notify),
    Feature("access log", _log),
)


class _Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def _hook(port: int) -> None:
    http.server.ThreadingHTTPServer(("127.0.0.1", port), _Hook).serve_forever()


def _client(port: int, key: AccessKey) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        region_name="us-east-1",
    )


def _bucket(feature: Feature) -> str:
    return f"f-{feature.name.split()[0].strip(',').lower()}"


def _loads(port: int, feature: Feature) -> tuple[Load, Load]:
    names = [f"/{_bucket(feature)}/k{n:04}" for n in range(KEYS)]
    put = [(signed("PUT", port, n, len(BODY), feature.key, feature.put_headers), BODY) for n in names]
    get = [(signed("GET", port, n, 0, feature.key, feature.get_headers), b"") for n in names]
    return Load("put4k", put, len(BODY)), Load("get4k", get, len(BODY))


def _measure(at: Running, seconds: float) -> None:
    loads = {}
    for feature in FEATURES:
        owner = METERED if feature.key is METERED else KEY
        s3, bucket = _client(at.port, owner), _bucket(feature)
        s3.create_bucket(Bucket=bucket)
        feature.prepare(s3, bucket)
        loads[feature.name] = _loads(at.port, feature)
        for load in loads[feature.name]:
            measure(at.port, at.pid, load, 4, max(0.5, seconds / 4))
    found: dict[str, list[list[tuple[float, float]]]] = {name: [[], []] for name in loads}
    for _ in range(ROUNDS):
        for name, pair in loads.items():
            for figures, load in zip(found[name], pair, strict=True):
                f = measure(at.port, at.pid, load, CONNECTIONS, seconds / 2)
                figures.append((f.server_us, f.per_second))
    plain = [statistics.median(us for us, _ in figures) for figures in found["plain"]]
    print(f"{'':42}{'PUT us':>8}{'more':>8}{'PUT/s':>8}{'GET us':>8}{'more':>8}{'GET/s':>8}")
    for name, pair_of_figures in found.items():
        line = f"{name:42}"
        for figures, base in zip(pair_of_figures, plain, strict=True):
            us, rate = (statistics.median(column) for column in zip(*figures, strict=True))
            line += f"{us:8.1f}{us - base:+8.1f}{rate:8.0f}"
        print(line, flush=True)


def main(seconds: float) -> None:
    hook_port = free_port()
    hook = multiprocessing.get_context("spawn").Process(target=_hook, args=(hook_port,), daemon=True)
    hook.start()
    os.environ[HOOK] = f"http://127.0.0.1:{hook_port}/"
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir="."))
    try:
        with running(servers([])[0], folder.resolve()) as at:
            _measure(at, seconds)
    finally:
        hook.terminate()
        shutil.rmtree(folder, ignore_errors=True)
