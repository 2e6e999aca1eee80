"""A cloud of three hosts on this machine for a person to play with: `make demo-cluster`. Ctrl-C ends it.

Nothing of the machine's own network is touched: the hosts are network namespaces on a bridge of their own.
"""

import signal
import tempfile
from pathlib import Path

from tests.cluster.cluster import Box, Cluster
from tests.cluster.guests import User

TEXT = """
A cloud of three hosts runs:

    a  {a}   clc, walrus, cc, sc
    b  {b}   nc
    c  {c}   nc

A shell of a client of it, with everything set (aws, euca2ools, boto3):

    ip netns exec {client} bash --rcfile {rc}

Commands of the operator, on host a:

    {command}

Break something:  kill -9 {pids} ; ip netns exec {namespace} ip link set eth0 down
What each host says: {folder}/a.out, b.out, c.out. Image {image}. Ctrl-C ends it all.
"""


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="euca-demo-", dir="/var/tmp"))
    with Cluster(folder, 'scheduler = "ROUNDROBIN"\n') as cluster:
        print("starting host a", flush=True)
        first = cluster.start_first("clc,walrus,cc,sc")
        for name in ("b", "c"):
            print(f"host {name} joins", flush=True)
            cluster.add(name, "nc")
        cluster.until_up("nc@b", "nc@c")
        print("making the demo image", flush=True)
        user = User(cluster)
        image = user.import_demo()
        user.end()
        print(_text(cluster, first, image), flush=True)
        wait_for_the_end()


def _text(cluster: Cluster, first: Box, image: str) -> str:
    rc = cluster.folder / "client.rc"
    env = first.run("credentials", "--format", "env")
    rc.write_text(env.replace("http://127.0.0.1:8773", f"https://{first.address}:8773"))
    rc.write_text(rc.read_text() + f"\nexport AWS_CA_BUNDLE={first.data.path}/ca.pem\n")
    rc.chmod(0o600)
    boxes = cluster.boxes
    return TEXT.format(
        a=boxes["a"].address, b=boxes["b"].address, c=boxes["c"].address,
        client=cluster.client, rc=rc, image=image, folder=cluster.folder,
        command=" ".join(first.command("component", "list")),
        pids=boxes["b"].process.pid if boxes["b"].process else "PID",
        namespace=boxes["c"].namespace,
    )  # fmt: skip


def wait_for_the_end() -> None:
    """SIGTERM is as good as Ctrl-C."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("\nending the three hosts", flush=True)


if __name__ == "__main__":
    main()
