"""The composition root: config -> stores, drivers, roles -> front ends; started and stopped in order.

Start: lock, ports, files, stores, roles (trio, as a guest of asyncio), listeners. Stop: listeners
drain, roles are cancelled, writers drain, databases close. Guests run on.
"""

import asyncio
import contextlib
import logging
import random
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio

import euca_box
from euca_box import interpreter, membership, settings
from euca_box.api import front, server
from euca_box.api.admin.app import admin_app
from euca_box.api.configuration.query import ConfigurationQuery
from euca_box.api.console.app import console_app
from euca_box.api.console.web import Web
from euca_box.api.dns.answers import Zones
from euca_box.api.dns.server import NOBODY, DnsServer, bind_dns
from euca_box.api.ec2.query import Ec2Query
from euca_box.api.health import Health
from euca_box.api.iam.query import IamQuery
from euca_box.api.metadata.app import metadata_app
from euca_box.api.metadata.hops import with_hop_limits
from euca_box.api.metadata.identity import IdentitySigner
from euca_box.api.s3.access_log import AccessLog
from euca_box.api.s3.app import s3_app
from euca_box.api.s3.notifier import Notifier
from euca_box.api.s3.settings import S3Settings
from euca_box.api.soap.ec2 import Ec2Soap
from euca_box.api.soap.s3 import S3Soap
from euca_box.auth import secrets
from euca_box.auth.keyring import Keyring
from euca_box.auth.notary import Notary
from euca_box.backup.places import Folder
from euca_box.blockstore.chunks import Courier
from euca_box.blockstore.daemon import PROGRAM
from euca_box.blockstore.engine import BlockEngine
from euca_box.blockstore.files import FileEngine
from euca_box.blockstore.relay import Relay
from euca_box.bridge import Bridge
from euca_box.bus.bus import Bus
from euca_box.bus.memory import MemoryTransport
from euca_box.config import Config, mac_pair
from euca_box.datadir import DataDir, host_name
from euca_box.doctor import examination
from euca_box.drivers import Drivers, guest_uids, open_drivers, usable_uid
from euca_box.host_bus import HostBus
from euca_box.initialise import host_addresses
from euca_box.kvm.accelerator import Accelerator
from euca_box.messages.base import Call, Op, system_call
from euca_box.messages.dns import AddressesInUse, ListAddressesInUse
from euca_box.messages.nc import NcDescribeMetadata
from euca_box.model.accounts import LENDER, AccessKey, Principal
from euca_box.model.findings import Finding
from euca_box.model.hosts import address_of
from euca_box.model.instance_names import InstanceNames
from euca_box.model.instances import VmType
from euca_box.model.metadata import InstanceMetadata
from euca_box.net.power import HostPower
from euca_box.network_plan import NetworkPlan
from euca_box.objects.engine import Objects
from euca_box.objects.nearby import Nearby
from euca_box.objects.sqlite.index import SqliteIndex
from euca_box.observe import logs, service_manager
from euca_box.role_parts import PARTS
from euca_box.roles.cc import role as cc_role
from euca_box.roles.clc import role as clc_role
from euca_box.roles.clc.mail import MailSettings
from euca_box.roles.host import role as host_role
from euca_box.roles.nc import role as nc_role
from euca_box.roles.sc import role as sc_role
from euca_box.roles.walrus import role as walrus_role
from euca_box.roles.walrus.vault import ObjectVault
from euca_box.services import configuration
from euca_box.services.live import quotas_of
from euca_box.services.service import Service
from euca_box.store.bridged_store import BridgedStore
from euca_box.store.sqlite_store import SqliteStore, open_store
from euca_box.store.store import StoreError

log = logging.getLogger(__name__)

GIB = 1024**3
STARTED_SECONDS = 60.0
MIGRATIONS = {
    "clc": clc_role.MIGRATIONS,
    "walrus": walrus_role.MIGRATIONS,
    "cc": cc_role.MIGRATIONS,
    "sc": sc_role.MIGRATIONS,
    "nc": nc_role.MIGRATIONS,
}


@dataclass
class App:
    """One process. `plan` is there where cc or nc run."""

    config: Config
    data: DataDir
    roles: tuple[str, ...]
    plan: NetworkPlan | None
    accelerator: Accelerator | None = None  # where nc runs
    left_out: dict[str, str] = field(default_factory=dict)  # role -> why it does not run
    waiting: dict[str, str] = field(default_factory=dict)  # what is not ready, and why
    listeners: list[server.Listener] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.configured, self.kept = self.config, dict[str, dict[str, configuration.Kept]]()
        self.name_sockets: list[tuple[socket.socket, socket.socket]] = []
        self.membership = membership.find(self.data)
        self.host = self.membership.name if self.membership else host_name()
        self.bridge = Bridge()
        self.transport = MemoryTransport()
        self.hosts = HostBus(self.config, self.data, self.roles, self.membership, self.host)
        self.bus = Bus(self.transport, self.hosts.remote)
        self.keyring = Keyring()
        self.walrus_keyring = Keyring()
        self.waiting = dict.fromkeys(self.roles, "starts")

    async def ask(self, address: str, op: Op[Any], call: Call) -> Any:
        """The bus, seen from asyncio."""
        return await self.bridge.to_trio(self.bus.ask, address, op, call)

    def status(self) -> dict[str, Any]:
        running = {role: self.waiting.get(role, "runs") for role in self.roles}
        return {
            "version": euca_box.__version__,
            "roles": running | {role: f"does not run: {why}" for role, why in self.left_out.items()},
            "waiting": self.waiting,
            "api": self.endpoint,
            "s3": self._s3_endpoint(),
            "data_dir": str(self.data.path),
            "host": self.host,
            "host_id": self.hosts.key.host_id,
            "role_bus": self.hosts.url or self.hosts.problem,
            "controller": self.hosts.controller_url,
            "addresses": self._addresses(),
        }

    def _addresses(self) -> list[str]:
        """Of the roles that this host can ask: its own and those of other hosts."""
        zone = self.config.cloud.zone
        here = [address_of(role, zone, self.host) for role in self.roles if role not in self.waiting]
        others = (address for peer in self.hosts.peers.all() for address in peer.addresses)
        return [*here, *(address for address in others if not address.startswith("host@"))]

    @property
    def endpoint(self) -> str:
        """Where clients on this host reach the API."""
        scheme = "https" if self.config.api.tls == "on" else "http"
        return f"{scheme}://127.0.0.1:{self.api_port}"

    def _s3_endpoint(self) -> str:
        """Where clients on this host reach Walrus; empty while there is none."""
        if "walrus" in self.roles:
            return self.endpoint
        peer = self.hosts.peers.at("walrus")
        scheme = "http" if self.config.api.tls == "off" else "https"
        return f"{scheme}://{peer.host}:{peer.api_port}" if peer is not None else ""

    def _shared_endpoint(self) -> str:
        """Where other hosts reach the API; empty where none can."""
        if not self.hosts.address:
            return ""
        return f"{'http' if self.config.api.tls == 'off' else 'https'}://{self.hosts.address}:{self.api_port}"

    @property
    def api_port(self) -> int:
        return self.listeners[0].port if self.listeners else self.config.api.port

    # Listeners

    def bind(self) -> None:
        """Take all ports, or none: raises PortTaken before anything was changed."""
        try:
            self._bind()
        except server.PortTaken:
            for listener in (*self.listeners, *self.hosts.listeners):
                listener.bound.close()
            for pair in self.name_sockets:
                for bound in pair:
                    bound.close()
            raise

    def _bind(self) -> None:
        api = self.config.api
        hosts = api.listen
        if hosts == ["auto"]:
            hosts = ["127.0.0.1", *host_addresses(without=self.config.network.bridge)]
        here = self.plan is not None and self.plan.serves_guests and "nc" in self.roles
        gateway = str(self.plan.gateway) if self.plan and here else None
        for host in [*hosts, *([gateway] if gateway else [])]:
            plain = api.tls == "off" or (api.tls == "auto" and (host.startswith("127.") or host == gateway))
            tls = None if plain else self.data.tls
            self.listeners.append(server.bind(host, api.port, tls, "api.port"))
        self.consoles = [server.bind(h, api.console_port, self.data.tls, "api.console_port") for h in hosts]
        self._bind_names()
        self.hosts.bind()
        self.metadata = (
            server.bind(gateway, api.metadata_port, None, "api.metadata_port") if gateway else None
        )

    def _bind_names(self) -> None:
        """Of the cloud's domain, where it has one. Raises PortTaken."""
        dns = self.config.dns
        if not dns.domain or "clc" not in self.roles:
            return
        listen = ["127.0.0.1", *host_addresses(without=self.config.network.bridge)]
        for host in listen if dns.listen == ["auto"] else dns.listen:
            try:
                self.name_sockets.append(bind_dns(host, dns.port))
            except OSError as error:
                raise server.PortTaken(
                    f"dns.port {dns.port} on {host}: {error.strerror}. Free it, or set dns.listen, dns.port."
                ) from None

    def _name_server(self) -> DnsServer:
        dns = self.config.dns
        addresses = host_addresses(without=self.config.network.bridge)
        own = dns.service_address or next(iter(addresses), "127.0.0.1")
        call = system_call("dns")

        async def look() -> AddressesInUse:
            found: AddressesInUse = await self.ask("clc", ListAddressesInUse(), call)
            return found

        zones = Zones(InstanceNames(dns.domain), own, lambda: NOBODY, serial=int(time.time()))
        return DnsServer(zones, look)

    # Life

    async def run(self, ready: Callable[[], object]) -> None:
        """Until `stop` is set or a role's life ends. `ready()` is called when requests are answered."""
        async with contextlib.AsyncExitStack() as stack:
            stores = await self._open_stores(stack)
            await self._take_kept_settings(stores)
            objects = await self._open_objects(stack, stores)
            await self.bridge.start(partial(self._roles, stores, objects))
            stack.push_async_callback(self.bridge.stop)
            servers = asyncio.create_task(self._serve(objects))
            ended = asyncio.create_task(self.bridge.ended())
            asked = asyncio.create_task(self.stop.wait())
            interpreter.settle()
            alive = asyncio.create_task(self._tell_watchdog())
            service_manager.notify("READY=1", f"STATUS={', '.join(self.roles)} run")
            ready()
            await asyncio.wait({servers, ended, asked}, return_when=asyncio.FIRST_COMPLETED)
            self.stop.set()
            service_manager.notify("STOPPING=1", "STATUS=stops; guests run on")
            alive.cancel()
            await servers
            if ended.done():
                ended.result()
            ended.cancel()

    async def _tell_watchdog(self) -> None:
        """While the roles, in trio, answer as well."""
        while (seconds := service_manager.watchdog_seconds()) is not None:
            await self.bridge.to_trio(trio.lowlevel.checkpoint)
            service_manager.notify("WATCHDOG=1")
            await asyncio.sleep(seconds)

    async def _open_stores(self, stack: contextlib.AsyncExitStack) -> dict[str, SqliteStore]:
        stores = {}
        for role in self.roles:
            path = self.data.path / role / f"{role}.db"
            try:
                stores[role] = await open_store(path, MIGRATIONS[role])
            except StoreError as error:
                if len(self.roles) == 1:
                    raise
                log.error("%s does not run: %s", role, error)
                self.left_out[role] = f"{error}{self._last_backup()}"
                continue
            stack.push_async_callback(stores[role].close)
        self.roles = tuple(role for role in self.roles if role in stores)
        self.waiting = {role: why for role, why in self.waiting.items() if role in stores}
        if not stores:
            raise StoreError("; ".join(self.left_out.values()))
        return stores

    def _last_backup(self) -> str:
        names = Folder(self.data.path / "backups").names()
        return f" The newest backup here is {names[-1]}." if names else ""

    async def _take_kept_settings(self, stores: dict[str, SqliteStore]) -> None:
        """What was changed while earlier processes ran, over what the files say."""
        for role, store in stores.items():
            rows = await store.read(configuration.SQL)
            self.kept[role] = configuration.kept_in(role, self.config, rows)
            self.config = configuration.laid_over(self.config, self.kept[role])
        for role in stores:
            logs.set_level(role, getattr(self.config.log, role))

    async def _open_objects(
        self, stack: contextlib.AsyncExitStack, stores: dict[str, SqliteStore]
    ) -> Objects | None:
        if "walrus" not in self.roles:
            return None
        objects = await Objects.open(
            SqliteIndex(stores["walrus"]),
            self.data.path / "walrus",
            region=self.config.cloud.region,
            sealer=self._sealer(),
            day_seconds=self.config.walrus.lifecycle_day_seconds,
            quotas=quotas_of(self.config.walrus),
        )
        stack.push_async_callback(objects.close)
        return objects

    async def _serve(self, objects: Objects | None) -> None:
        """All listeners until `stop`; one that breaks stops the rest."""
        access_log = None
        if objects is not None:
            folder = self.data.path / "walrus" / "access-logs"
            access_log = AccessLog(objects, folder, self.config.cloud.region, _now)
        targets = (target.partition("=") for target in self.config.walrus.notification_targets)
        notifier = Notifier({name: url for name, _, url in targets}, self.config.cloud.region)
        api = self._front(objects, access_log, notifier)
        async with asyncio.TaskGroup() as group:
            wait, engine = self._asked_to_stop, self.config.api.http_engine
            if objects is not None and access_log is not None:
                group.create_task(access_log.run(wait))
                delivering = group.create_task(notifier.run(objects))
                group.create_task(self._stop_with(delivering))
            for listener in self.listeners:
                group.create_task(server.run_server(api, listener, wait, engine))
            console = console_app(self._web(objects))
            role_bus = self.hosts.app(self.ask, self.transport)
            for listener in self.hosts.listeners:
                group.create_task(server.run_server(role_bus, listener, wait, engine))
            for listener in self.consoles:
                group.create_task(server.run_server(console, listener, wait, engine))
            if self.metadata is not None:
                signer = IdentitySigner(*self.data.identity)
                app = with_hop_limits(metadata_app(self._describe_guest, clock=time.time, signer=signer))
                group.create_task(server.run_server(app, self.metadata, wait, engine))
            if self.name_sockets:
                group.create_task(self._name_server().run(self.name_sockets, wait))

            def serve_more(listener: server.Listener) -> None:
                group.create_task(server.run_server(role_bus, listener, wait, engine))

            following = group.create_task(
                self.hosts.follow(self.ask, self.api_port, serve_more, self.stop.is_set)
            )
            group.create_task(self._stop_with(following))
            admin = server.bind_unix(self.data.admin_socket)
            group.create_task(server.run_server(admin_app(self.ask, self.status), admin, wait, engine))

    def _web(self, objects: Objects | None) -> Web:
        api = self.config.api
        domain = (api.domain,) if api.domain else ()
        ca = self.data.path / "ca.pem"
        return Web(
            self.ask,
            self.status,
            names=(self.host.lower(), *domain, *(name.lower() for name in api.console_names)),
            open_console=self.hosts.relays(self.transport).open,
            objects=objects,
            grants=lambda: self.walrus_keyring.grants,
            key_of=self._key_of,
            settings=self._settings,
            addresses=self._addresses,
            ca_pem=lambda: ca.read_text() if ca.exists() else "",
            sign_up=self.config.cloud.sign_up,
            mail=bool(self.config.mail.smtp_host),
            metrics_from=tuple(api.metrics_from),
        )

    def _settings(self) -> list[tuple[str, str, str]]:
        """Every setting by its name, with its value and meaning; secrets in URLs are not shown."""
        rows = []
        for section in attrs.fields(Config):
            value = getattr(self.config, section.name)
            if not attrs.has(type(value)):
                continue
            for field_ in attrs.fields(type(value)):
                name = f"{section.name}.{field_.name}"
                shown = re.sub(r"://[^/@\s]+@", "://…@", str(getattr(value, field_.name)))
                rows.append((name, shown, str(field_.metadata.get("meaning", ""))))
        return rows

    def _key_of(self, principal: Principal) -> AccessKey | None:
        """A working access key of the person who is logged in."""
        keys = (key for key in self.walrus_keyring.all_keys() if key.principal.identity == principal.identity)
        return next((key for key in keys if key.enabled and key.principal.enabled), None)

    async def _asked_to_stop(self) -> None:
        await self.stop.wait()

    async def _stop_with(self, task: asyncio.Task[None]) -> None:
        await self.stop.wait()
        task.cancel()

    def _front(
        self, objects: Objects | None, access_log: AccessLog | None, notifier: Notifier
    ) -> front.Front:
        with_clc = "clc" in self.roles
        api = self.config.api
        domains: tuple[str, ...] = (api.domain,) if api.domain else ()
        if self.config.dns.domain:
            domains += (InstanceNames(self.config.dns.domain).walrus,)
        website_domains = ("s3-website.localhost", *((api.website_domain,) if api.website_domain else ()))
        s3 = (
            None
            if objects is None
            else s3_app(
                objects,
                self.walrus_keyring,
                S3Settings(self.config.cloud.region, ("s3.localhost", *domains), website_domains),
                access_log,
                notifier,
            )
        )
        endpoint, legacy = self.endpoint, api.legacy_soap
        return front.Front(
            ec2=Ec2Query(self.ask, self.keyring, _now, old_signatures=self.config.api.old_signatures)
            if with_clc
            else None,
            iam=IamQuery(self.ask, self.keyring, _now) if with_clc else None,
            configuration=ConfigurationQuery(self.ask, self.keyring, _now, self._addresses)
            if with_clc
            else None,
            s3=s3,
            ec2_soap=Ec2Soap(self.ask, self.keyring, _now, f"{endpoint}/services/Eucalyptus", legacy=legacy)
            if with_clc
            else None,
            s3_soap=S3Soap(s3, self.walrus_keyring, _now, f"{endpoint}/services/Walrus", legacy=legacy)
            if s3
            else None,
            health=Health(lambda: self.waiting, lambda: self.status()["roles"]),
        )

    async def _describe_guest(self, source_ip: str) -> InstanceMetadata | None:
        answer = await self.ask(f"nc@{self.host}", NcDescribeMetadata(source_ip), system_call("metadata"))
        found: InstanceMetadata | None = answer.metadata
        return found

    # Roles, in trio

    async def _roles(
        self,
        stores: dict[str, SqliteStore],
        objects: Objects | None,
        task_status: trio.TaskStatus[None],
    ) -> None:
        async with self._drivers() as drivers, trio.open_nursery() as nursery:
            agent = self.hosts.agent(lambda: self.status()["roles"], self._zone_settings())
            nursery.start_soon(self.hosts.close_when_cancelled)
            with trio.fail_after(STARTED_SECONDS):
                await nursery.start(host_role.run, agent, self.transport)
                for role in reversed(self.roles):  # the lower ones first: the upper ones ask them
                    store = BridgedStore(stores[role], self.bridge)
                    await self._start(nursery, role, store, objects, drivers)
                    del self.waiting[role]
            task_status.started()

    @contextlib.asynccontextmanager
    async def _drivers(self) -> AsyncIterator[Drivers | None]:
        if "nc" not in self.roles or self.plan is None or self.accelerator is None:
            yield None
            return
        async with open_drivers(
            self.config, self.data, self.plan, self.accelerator, self.api_port
        ) as drivers:
            yield drivers

    async def _start(
        self,
        nursery: trio.Nursery,
        role: str,
        store: BridgedStore,
        objects: Objects | None,
        drivers: Drivers | None,
    ) -> None:
        if role == "nc" and drivers is not None:
            nc = self._nc(store, drivers)
            await nursery.start(nc_role.run, nc, self.transport, self._service(role, store, nc))
        elif role == "sc":
            sc = self._sc(store, objects)
            await nursery.start(sc_role.run, sc, self.transport, self._service(role, store, sc))
        elif role == "cc":
            cc = self._cc(store)
            await nursery.start(cc_role.run, cc, self.transport, self._service(role, store, cc))
        elif role == "walrus" and objects is not None:
            walrus = await self._walrus(store, objects)
            await nursery.start(walrus_role.run, walrus, self.transport, self._service(role, store, walrus))
        elif role == "clc":
            clc = self._clc(store)
            await nursery.start(clc_role.run, clc, self.transport, self._service(role, store, clc))

    def _service(self, name: str, store: BridgedStore, role: object) -> Service:
        parts, here = PARTS[name], examination.Host(self.config, self.data, self.roles, running=True)

        def examine_host(fix: bool) -> list[Finding]:
            return examination.examine(here, fix=fix)

        return Service(
            role=name,
            host=self.host,
            store=store,
            role_itself=role,
            configured=self.configured,
            started=self.config,
            kept=self.kept[name],
            tell=parts.tell,
            examine=parts.examine,
            examine_host=examine_host,
        )

    def _nc(self, store: BridgedStore, drivers: Drivers) -> nc_role.Nc:
        assert self.plan is not None
        nc, tunnel = self.config.nc, self.plan.tunnel
        node = nc_role.NcSettings(
            host=self.host,
            folder=self.data.path / "nc",
            run_folder=self.data.run_dir,
            gateway=str(self.plan.gateway),
            subnet_cidr=str(self.plan.subnet),
            cache_bytes=nc.cache_gib * GIB,
            cores=nc.max_cores,
            memory_mib=nc.max_memory_mib,
            disk_gib=nc.max_disk_gib,
            reserved_memory_mib=nc.reserved_memory_mib,
            reserved_disk_gib=nc.reserved_disk_gib,
            reboot_grace_seconds=nc.reboot_grace_seconds,
            stop_grace_seconds=nc.stop_grace_seconds,
            inject_keys=nc.inject_keys,
            first_uid=guest_uids(nc.first_guest_uid),
            network_mode=self.plan.mode,
            dns_domain=self.config.dns.domain,
            tunnel_address=str(tunnel.address) if tunnel else "",
            wake_mac=drivers.wake_mac,
            sleep_command=tuple(nc.sleep_command),
        )
        return nc_role.Nc(
            node, store, self.bus, drivers.hypervisor, drivers.network, drivers.workbench, time.time,
            self._relay(),
        )  # fmt: skip

    def _relay(self) -> Relay | None:
        """For volumes of other hosts."""
        if shutil.which(PROGRAM) is None:
            return None
        return Relay(self.data.run_dir / "relay", usable_uid(self.config.sc.storage_uid))

    def _cc(self, store: BridgedStore) -> cc_role.Cc:
        assert self.plan is not None
        zone = cc_role.CcSettings(
            zone=self.config.cloud.zone,
            nodes=(f"nc@{self.host}",) if "nc" in self.roles else (),
            subnet=self.plan.subnet,
            gateway=str(self.plan.gateway),
            public_addresses=self.plan.public_addresses,
            cpu_overcommit=self.config.cc.cpu_overcommit,
            memory_overcommit=self.config.cc.memory_overcommit,
            disk_overcommit=self.config.cc.disk_overcommit,
            scheduler=self.config.cc.scheduler,
            power_idle_seconds=self.config.cc.power_idle_seconds,
            power_wake_seconds=self.config.cc.power_wake_seconds,
            poll_seconds=self.config.cc.poll_seconds,
            cooling_seconds=self.config.cc.cooling_seconds,
            network_mode=self.plan.mode,
            addresses_per_network=self.config.network.addresses_per_network,
            mac_map=tuple(mac_pair(pair) for pair in self.config.network.mac_map),
            reserved_addresses=self.config.network.reserved_public_addresses,
        )
        power = HostPower(self.config.cc.wake_command, self.config.cc.sleep_command)
        return cc_role.Cc(zone, store, self.bus, time.time, power)

    def _sc(self, store: BridgedStore, objects: Objects | None) -> sc_role.Sc:
        sc = self.config.sc
        zone = sc_role.ScSettings(
            zone=self.config.cloud.zone,
            host=self.host,
            address=self.hosts.address,
            max_volume_gib=sc.max_volume_gib,
            max_total_gib=sc.max_total_gib,
            reserved_disk_gib=sc.reserved_disk_gib,
            cache_bytes=int(sc.cache_gib * GIB),
            scrub_mib_per_second=sc.scrub_mib_per_second,
            scrub_days=sc.scrub_days,
            make_seconds=self.config.cloud.volume_seconds,
            send_seconds=self.config.cloud.snapshot_seconds,
        )
        folder = self.data.path / "sc"
        near = None if objects is None else Nearby(objects, self.bridge.loop, self._own_places())
        courier = Courier(str(self.data.path / "ca.pem"), near)
        return sc_role.Sc(zone, store, self.bus, self._engine(), courier, folder, time.time, self._sealer())

    def _own_places(self) -> set[str]:
        """Host and port of our own S3, as URLs name them."""
        return {urlsplit(url).netloc for url in (self.endpoint, self._shared_endpoint()) if url}

    def _engine(self) -> BlockEngine:
        uid = usable_uid(self.config.sc.storage_uid)
        return FileEngine(self.data.path / "sc", self.data.run_dir / "sc", uid, self._sealer())

    async def _walrus(self, store: BridgedStore, objects: Objects) -> walrus_role.Walrus:
        walrus = walrus_role.WalrusSettings(
            endpoint=self.endpoint,
            shared_endpoint=self._shared_endpoint(),
            has_other_hosts=lambda: bool(self.hosts.peers.all()),
            ca_file=str(self.data.path / "ca.pem") if self.config.api.tls == "on" else "",
            max_image_bytes=self.config.walrus.max_image_gib * GIB,
            image_cache_bytes=self.config.walrus.image_cache_gib * GIB,
            lifecycle_day_seconds=self.config.walrus.lifecycle_day_seconds,
            scrub_mib_per_second=self.config.walrus.scrub_mib_per_second,
            scrub_days=self.config.walrus.scrub_days,
        )
        vault = ObjectVault(objects, self.bridge, lambda: self.walrus_keyring.grants)
        return walrus_role.Walrus(
            walrus, store, vault, self.walrus_keyring, _lender(), self._sealer(), time.time
        )

    def _clc(self, store: BridgedStore) -> clc_role.Clc:
        cloud = self.config.cloud
        types = tuple(
            VmType(name, vm.cpu, vm.memory_mib, vm.disk_gib, vm.ephemeral_gib, vm.swap_mib)
            for name, vm in self.config.vm_types.items()
        )
        clc = clc_role.ClcSettings(
            region=cloud.region,
            zone=cloud.zone,
            admin_account=cloud.account,
            endpoint=self.endpoint,
            vm_types=types,
            id_digits=cloud.id_digits,
            max_instances=cloud.max_instances,
            images_public=cloud.images_public,
            max_addresses=cloud.max_addresses,
            max_key_pairs=cloud.max_key_pairs,
            max_security_groups=cloud.max_security_groups,
            max_group_rules=cloud.max_group_rules,
            launch_seconds=cloud.launch_seconds,
            image_seconds=cloud.image_seconds,
            max_images=cloud.max_images,
            terminated_seconds=cloud.terminated_seconds,
            recover_seconds=cloud.recover_seconds,
            events_days=cloud.events_days,
            events_most=cloud.events_most,
            mail=self._mail(),
            max_volumes=cloud.max_volumes,
            max_volumes_gib=cloud.max_volumes_gib,
            volume_seconds=cloud.volume_seconds,
            max_snapshots=cloud.max_snapshots,
            snapshot_seconds=cloud.snapshot_seconds,
            attach_seconds=cloud.attach_seconds,
            network_mode=self.config.network.mode,
            dns_domain=self.config.dns.domain,
            shared=membership.shared_settings(self.config, self._chosen()),
            automatic_public_addresses=self.config.network.automatic_public_addresses,
            vpc_cidr=str(self.plan.subnet) if self.plan else clc_role.ClcSettings.vpc_cidr,
            subnet_cidr=str(self.plan.subnet) if self.plan else clc_role.ClcSettings.subnet_cidr,
        )
        return clc_role.Clc(
            clc,
            store,
            self.bus,
            self.keyring,
            self._sealer(),
            Notary(self.data.path),
            time.time,
            random.SystemRandom(),
            self.hosts.own_host(self.api_port),
            self.hosts.ticket,
        )

    def _zone_settings(self) -> dict[str, str]:
        """What the network of the zone is like, for nodes that join it."""
        if "cc" not in self.roles:
            return {}
        return dict(membership.zone_settings(self.config, self._chosen()))

    def _chosen(self) -> dict[str, str]:
        """What stands for "auto" in the settings that other hosts are told."""
        if self.plan is None:
            return {}
        public = ",".join(self.plan.public_addresses)
        return {"network.private_subnet": str(self.plan.subnet), "network.public_addresses": public}

    def _mail(self) -> MailSettings:
        mail = self.config.mail
        console = mail.console_url or f"https://{self.host}:{self.config.api.console_port}"
        return MailSettings(
            host=mail.smtp_host,
            port=mail.smtp_port,
            tls=mail.tls,
            user=mail.user,
            password=Path(mail.password_file).read_text().strip() if mail.password_file else "",
            sender=mail.sender or f"euca-box@{self.host}",
            admin=mail.admin,
            console=console.rstrip("/"),
            ca_file=Path(mail.ca_file) if mail.ca_file else None,
        )

    def _sealer(self) -> secrets.Sealer:
        return secrets.Sealer(secrets.load_or_make_key(self.data.path / "master.key"))


def roles_that_can_run(config: Config, *, root: bool) -> tuple[tuple[str, ...], dict[str, str]]:
    """The roles of the config that run here, and why the others do not."""
    wanted = settings.roles_of(config.roles)
    left_out = {}
    if "sc" in wanted and shutil.which(PROGRAM) is None:
        left_out["sc"] = f"needs {PROGRAM} (Debian's package qemu-utils)"
    if not root:
        left_out |= {role: "needs root" for role in ("cc", "sc", "nc") if role in wanted}
    return tuple(role for role in wanted if role not in left_out), left_out


def _lender() -> AccessKey:
    """Walrus's own key for the URLs that nodes fetch images by: new with each start, known to nobody."""
    return AccessKey(secrets.new_access_key_id(), secrets.new_secret(), LENDER)


def _now() -> datetime:
    return datetime.now(UTC)
