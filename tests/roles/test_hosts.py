"""Hosts join by a token: once, for what it says, whatever dies in between; guesses lead nowhere."""

import json
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import trio
from cryptography.x509 import SubjectAlternativeName, load_pem_x509_certificates

from euca_box.auth.certificates import make_ca, private_key, request
from euca_box.auth.join_tokens import new_token, read_token
from euca_box.auth.keyring import Keyring
from euca_box.auth.notary import Notary
from euca_box.auth.secrets import Sealer
from euca_box.bus.bus import Bus, Desk
from euca_box.bus.memory import MemoryTransport
from euca_box.bus.peers import Peers
from euca_box.messages import components
from euca_box.messages.base import system_call
from euca_box.messages.cc import CcSyncNodes, NodesInForce
from euca_box.messages.hosts import AnnounceHost, HostAddress, HostConfigurePeers, JoinHost
from euca_box.model.errors import (
    EucaError,
    InvalidClientTokenId,
    InvalidParameterValue,
    RequestLimitExceeded,
    UnauthorizedOperation,
    Unavailable,
)
from euca_box.model.hosts import Component, Host, agent_of
from euca_box.observe import failpoints
from euca_box.roles.clc import host_loop
from euca_box.roles.clc import role as clc_role
from euca_box.roles.host import role as host_role
from euca_box.store.sync_store import SyncStore
from tests.contract.role_host import new_key

pytestmark = pytest.mark.trio

NOW = 1_800_000_000.0
CALL = replace(system_call("r-1"), source_ip="192.0.2.9")
ROLES = ("clc", "walrus", "cc@z1", "sc@z1")


async def forget(version, peers):
    """No file is kept."""


class Senders:
    """The bus of the cloud controller: agents of other hosts see who asks, and may be cut off."""

    def __init__(self, transport, host_id):
        self.transport, self.host_id, self.cut = transport, host_id, set()

    def reaches(self, address):
        return self.transport.reaches(address)

    async def send(self, address, op, call):
        if address in self.cut:
            raise Unavailable("the cable is cut")
        if address.startswith("host@") and address != agent_of(self.host_id):
            call = replace(call, host=self.host_id)
        return await self.transport.send(address, op, call)


@dataclass
class Cloud:
    folder: object
    nursery: trio.Nursery
    key: object = field(default_factory=new_key)
    store: SyncStore = field(default_factory=lambda: SyncStore(clc_role.MIGRATIONS))
    agents: dict = field(default_factory=dict)
    nodes: list = field(default_factory=list)  # as the cluster controller was told

    def now(self):
        return NOW + trio.current_time()

    async def start(self):
        """A new process of the cloud controller, on its rows."""
        self.transport = MemoryTransport(encoded=True)
        self.senders = Senders(self.transport, self.key.host_id)
        own = Host(
            self.key.host_id, self.key.public, "a", "192.0.2.1", 8774, "z1",
            tuple(map(Component, ROLES)), 0.0,
        )  # fmt: skip
        settings = clc_role.ClcSettings("r1", "z1", "000000000001", "http://x", ())
        self.clc = clc_role.Clc(
            settings, self.store, Bus(self.senders), Keyring(), Sealer(b"k" * 32), Notary(self.folder),
            self.now, random.Random(1), own,
        )  # fmt: skip
        await self.clc.load()
        self.scope = trio.CancelScope()
        await self.nursery.start(self._run)
        for key in self.agents:
            await self.run_agent(key)

    async def _run(self, task_status):
        with self.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.transport.serve, "clc", Desk(self.clc, clc_role.OPERATIONS))
                await nursery.start(self.transport.serve, "cc@z1", Desk(self, {CcSyncNodes: Cloud.sync}))
                own = self.agent(self.key)
                await nursery.start(host_role.run, own, self.transport)
                self.own = own
                self.serving = nursery
                nursery.start_soon(host_loop.watch_hosts, self.clc)
                nursery.start_soon(host_loop.push_nodes, self.clc)
                task_status.started()

    async def sync(self, call, op):
        self.nodes = [node.address for node in op.nodes]
        return NodesInForce(op.version)

    async def restart(self):
        self.scope.cancel()
        await self.start()

    def agent(self, key):
        return host_role.HostAgent(
            key.host_id, "1", self.key.public, Peers(), 0, forget, lambda: {"nc": "runs"}, dict
        )

    async def run_agent(self, key):
        agent = self.agents.setdefault(key, self.agent(key))
        await self.serving.start(host_role.run, agent, self.transport)
        return agent

    async def ask(self, op, call=CALL):
        with trio.fail_after(60):
            return await self.transport.send("clc", op, call)

    async def token(self, *roles, zone=""):
        made = await self.ask(components.CreateToken(roles or ("nc",), zone))
        return read_token(made.text)

    async def join(self, key, token, name="b", roles=("nc",), host="192.0.2.2", zone="", call=CALL):
        at = HostAddress(host, 8774, "1")
        return await self.ask(JoinHost(token.hash, key.public, name, roles, zone, at), call)

    async def states(self):
        found = (await self.ask(components.DescribeComponents())).components
        return {row.address: row.state for row in found}


@pytest.fixture(autouse=True)
def nothing_armed():
    yield
    failpoints.disarm_all()


@pytest.fixture
def folder(tmp_path):
    make_ca(tmp_path / "ca.pem", tmp_path / "ca.key")
    return tmp_path


@asynccontextmanager
async def running(folder):
    async with trio.open_nursery() as nursery:
        cloud = Cloud(folder, nursery)
        await cloud.start()
        yield cloud
        nursery.cancel_scope.cancel()


async def test_a_host_joins_and_both_sides_know_each_other(folder, autojump_clock):
    async with running(folder) as cloud:
        key = new_key()
        welcome = await cloud.join(key, await cloud.token())
        assert (welcome.name, welcome.zone, welcome.roles) == ("b", "z1", ("nc",))
        [clc] = welcome.peers
        assert clc.public_key == cloud.key.public
        assert cloud.own.peers.find(key.host_id).addresses == ("nc@b", agent_of(key.host_id))
        agent = await cloud.run_agent(key)
        await trio.sleep(5)
        assert agent.peers.find(cloud.key.host_id) is not None
        assert (await cloud.states())["nc@b"] == "ENABLED"
        assert cloud.nodes == ["nc@b"]


async def test_nodes_of_a_zone_do_not_know_each_other(folder, autojump_clock):
    async with running(folder) as cloud:
        one, two = new_key(), new_key()
        await cloud.join(one, await cloud.token())
        welcome = await cloud.join(two, await cloud.token(), "c", host="192.0.2.3")
        assert [peer.host_id for peer in welcome.peers] == [cloud.key.host_id]


async def test_a_token_is_good_once_for_an_hour_for_its_roles_and_zone(folder, autojump_clock):
    async with running(folder) as cloud:
        key, token = new_key(), await cloud.token("nc")
        for wrong in ({"roles": ("nc", "sc")}, {"roles": ("walrus",)}, {"zone": "z2"}):
            with pytest.raises(InvalidClientTokenId):
                await cloud.join(key, token, **wrong)
        await cloud.join(key, token)
        await cloud.join(key, token)  # the answer was lost
        with pytest.raises(InvalidClientTokenId):
            await cloud.join(new_key(), token, "c")
        late = await cloud.token()
        await trio.sleep(3601)
        with pytest.raises(InvalidClientTokenId):
            await cloud.join(new_key(), late, "c")
        rows = await cloud.store.read("SELECT * FROM join_token")
        assert late.secret.hex() not in json.dumps([dict(r) for r in rows])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"host": "127.0.0.1"}, "cannot reach"),
        ({"host": "169.254.1.1"}, "cannot reach"),
        ({"host": "224.0.0.1"}, "cannot reach"),
        ({"host": "b; rm -rf /"}, "no IP address"),
        ({"name": "b@c"}, "no name of a host"),
        ({"name": "a"}, "the name a already"),
        ({"roles": ("cc",)}, "cc@z1 already"),
        ({"roles": ("walrus",)}, "walrus already"),
    ],
)
async def test_what_would_lead_others_astray_does_not_join(folder, autojump_clock, wrong, words):
    async with running(folder) as cloud:
        token = await cloud.token("nc", "cc", "walrus")
        with pytest.raises(InvalidParameterValue, match=words):
            await cloud.join(new_key(), token, **wrong)
        assert await cloud.store.read("SELECT * FROM host") == []


async def test_guessing_tokens_becomes_slow_for_who_guesses(folder, autojump_clock):
    async with running(folder) as cloud:
        tried, begun = 0, trio.current_time()
        while trio.current_time() - begun < 3600:
            try:
                await cloud.join(new_key(), new_token(cloud.key.public))
            except InvalidClientTokenId:
                tried += 1
            except RequestLimitExceeded:
                await trio.sleep(1)
        assert tried < 40
        other = replace(CALL, source_ip="192.0.2.10")
        await cloud.join(new_key(), await cloud.token(), call=other)


@pytest.mark.parametrize(
    "place", ["clc.join.after-commit", "clc.revoke.after-commit", "clc.deregister.after-commit"]
)
async def test_what_was_committed_is_told_after_a_crash(folder, autojump_clock, place):
    async with running(folder) as cloud:
        key, token = new_key(), await cloud.token()
        if place == "clc.join.after-commit":
            failpoints.arm(place)
            with pytest.raises(EucaError):
                await cloud.join(key, token)
        else:
            await cloud.join(key, token)
            failpoints.arm(place)
            kind = components.RevokeHost if "revoke" in place else components.DeregisterComponent
            with pytest.raises(EucaError):
                await cloud.ask(kind("b"))
        failpoints.disarm_all()
        await cloud.restart()
        await trio.sleep(10)
        is_known = cloud.own.peers.find(key.host_id) is not None
        assert is_known is (place == "clc.join.after-commit")
        assert cloud.nodes == (["nc@b"] if is_known else [])
        if place == "clc.revoke.after-commit":
            with pytest.raises(InvalidClientTokenId):
                await cloud.join(key, await cloud.token())


async def test_a_revoked_host_is_forgotten_by_all_that_answer_when_the_command_returns(
    folder, autojump_clock
):
    async with running(folder) as cloud:
        lost, walled = new_key(), new_key()
        await cloud.join(lost, await cloud.token())
        await cloud.join(walled, await cloud.token(), "c", host="192.0.2.3")
        agent = await cloud.run_agent(walled)
        await trio.sleep(5)
        cloud.senders.cut.add(agent_of(walled.host_id))
        begun = trio.current_time()
        await cloud.ask(components.RevokeHost("b"))
        assert trio.current_time() - begun < 10
        assert cloud.own.peers.find(lost.host_id) is None
        cloud.senders.cut.clear()
        await trio.sleep(10)
        assert agent.version == cloud.clc.hosts_version


async def test_a_host_speaks_for_itself_only(folder, autojump_clock):
    async with running(folder) as cloud:
        key = new_key()
        await cloud.join(key, await cloud.token())
        moved = AnnounceHost(HostAddress("192.0.2.77", 8774, "1"))
        with pytest.raises(UnauthorizedOperation):
            await cloud.ask(moved)
        with pytest.raises(UnauthorizedOperation):
            await cloud.ask(moved, replace(CALL, host=cloud.key.host_id))
        await cloud.ask(moved, replace(CALL, host=key.host_id))
        assert cloud.own.peers.find(key.host_id).host == "192.0.2.77"


async def test_nobody_becomes_the_cloud_controller_by_a_list(folder, autojump_clock):
    async with running(folder) as cloud:
        key, other = new_key(), new_key()
        await cloud.join(key, await cloud.token())
        agent = await cloud.run_agent(key)
        await trio.sleep(5)
        forged = replace(agent.peers.find(cloud.key.host_id), public_key=other.public)
        asked = HostConfigurePeers(agent.version + 1, (forged,))
        with pytest.raises(UnauthorizedOperation):
            await host_role.configure_peers(agent, replace(CALL, host=cloud.key.host_id), asked)
        assert agent.peers.at("clc").public_key == cloud.key.public


async def test_no_host_gets_a_certificate_for_the_address_of_another(folder, autojump_clock, tmp_path):
    """Whoever has the key of a node could stand between users and the cloud with it."""
    async with running(folder) as cloud:
        key, wish = new_key(), request(private_key(tmp_path / "k")).decode()
        await cloud.join(key, await cloud.token())
        for address, is_in in (("192.0.2.77", True), ("192.0.2.1", False)):
            at = HostAddress(address, 8774, "1", wish)
            told = await cloud.ask(AnnounceHost(at), replace(CALL, host=key.host_id))
            found = load_pem_x509_certificates(told.server_pem.encode())[0]
            names = found.extensions.get_extension_for_class(SubjectAlternativeName).value
            assert (address in {str(n.value) for n in names}) is is_in


async def test_a_node_says_nothing_of_the_network_of_its_zone(folder, autojump_clock):
    async with running(folder) as cloud:
        key = new_key()
        await cloud.join(key, await cloud.token())
        agent = await cloud.run_agent(key)
        agent.settings = {"network.private_subnet": '"10.0.0.0/8"', "cloud.region": '"x"'}
        await trio.sleep(10)
        assert cloud.clc.hosts.find(key.host_id).settings == {}


async def test_rows_from_a_backup_do_not_make_hosts_deaf(folder, autojump_clock):
    """They were told a newer version once."""
    async with running(folder) as cloud:
        key = new_key()
        await cloud.join(key, await cloud.token())
        agent = await cloud.run_agent(key)
        agent.version = 1000
        await trio.sleep(10)
        assert cloud.clc.hosts_version > 1000
        assert agent.version == cloud.clc.hosts_version
