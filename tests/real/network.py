"""A network in which hosts are network namespaces, so that they can be cut off from servers.

Servers have addresses of their own on a bridge outside of the namespaces. A host that is cut off
from one hears nothing from it any more: no answer, no refusal, no end of a connection.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Self

from tests.harness.programs import NotInstalled, program

_BRIDGE, _NET = "taskbell0", "10.77.0"
OUTSIDE = f"{_NET}.1"
POSTGRES, STANDBY, REDIS = (f"{_NET}.{number}" for number in (11, 12, 13))
RANGE = f"{_NET}.0/24"


def host_address(number: int) -> str:
    return f"{_NET}.{100 + number}"


class Network:
    """A bridge with the servers' addresses, and a namespace for each host."""

    def __init__(self, hosts: int) -> None:
        self._hosts = {host_address(number): f"taskbell-{number}" for number in range(hosts)}
        self._cut: set[tuple[str, str]] = set()

    def inside(self, host: str) -> Sequence[str]:
        """What to put before a command that is to run on a host."""
        return (program("ip"), "netns", "exec", self._hosts[host])

    def cut(self, host: str, server: str) -> None:
        """From now on nothing that a server says reaches this host."""
        _ip("rule", "add", "from", server, "to", host, "blackhole")
        self._cut.add((host, server))

    def heal(self) -> None:
        """Every host hears every server again."""
        for host, server in self._cut:
            _ip("rule", "del", "from", server, "to", host, "blackhole")
        self._cut.clear()

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise NotInstalled("only root can make network namespaces")
        self._remove()
        _ip("link", "add", _BRIDGE, "type", "bridge")
        for address in (OUTSIDE, POSTGRES, STANDBY, REDIS):
            _ip("address", "add", f"{address}/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        for address, name in self._hosts.items():
            self._add(address, name)
        return self

    def __exit__(self, *error: object) -> None:
        self.heal()
        self._remove()

    def _add(self, address: str, name: str) -> None:
        _ip("netns", "add", name)
        _ip("link", "add", f"{name}-out", "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", f"{name}-out", "master", _BRIDGE, "up")
        _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", name, "link", "set", device, "up")

    def _remove(self) -> None:
        """Also what a run that was killed has left behind."""
        for name in self._hosts.values():
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", name)
        with suppress(subprocess.CalledProcessError):
            _ip("link", "delete", _BRIDGE)


@asynccontextmanager
async def reachable(url: str) -> AsyncIterator[str]:
    """The address for hosts of a server that listens on the loopback address outside."""
    port = int(url.rpartition(":")[2])

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    async with await asyncio.start_server(relay, OUTSIDE, port):
        yield f"http://{OUTSIDE}:{port}"


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _ip(*words: str) -> None:
    subprocess.run([program("ip"), *words], check=True, capture_output=True)
