"""The system's own servers, as Debian packages them: PostgreSQL, PgBouncer, Redis, nginx.

Each runs in a folder of its own on a loopback port that was free, and ends with its test. None of
the services that the packages bring is started. Root starts them as the users of the packages.
"""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Self

import psutil

from tests.harness.programs import program
from tests.harness.running import free_port

LOOPBACK = "127.0.0.1"
USER = "taskbell"
_PATIENCE = 60.0  # seconds


class Server:
    """One process in a folder; `owner` is the system's user for it, where root starts it."""

    owner: str | None = None
    ending = signal.SIGTERM

    def __init__(self, folder: Path, port: int | None = None, *, address: str = LOOPBACK) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.address = address
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._give(folder)

    @property
    def command(self) -> Sequence[str | Path]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            # The kernel ends it where the tests are killed, and cannot do that themselves.
            ending = ("setpriv", "--pdeathsig", self.ending.name.removeprefix("SIG"))
            self._process = subprocess.Popen(
                [*ending, *self.command], stdout=log, stderr=log, user=self._user
            )
        self.wait()

    def wait(self) -> None:
        deadline = monotonic() + _PATIENCE
        while not self.answers():
            assert self._process is not None
            assert self._process.poll() is None, f"{self.folder.name} has ended; see its log"
            assert monotonic() < deadline, f"{self.folder.name} does not answer"
            sleep(0.02)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0

    def kill(self) -> None:
        """Kill -9, with all its children: nothing is written any more."""
        assert self._process is not None
        process = psutil.Process(self._process.pid)
        family = [process, *process.children(recursive=True)]
        for one in family:
            one.kill()
        self._process.wait(_PATIENCE)
        psutil.wait_procs(family, timeout=_PATIENCE)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.ending)
            self._process.wait(_PATIENCE)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def run(self, *words: str | Path) -> str:
        """Run a program beside it, as its owner, and wait for its end."""
        done = subprocess.run(
            list(words), capture_output=True, check=False, text=True, cwd="/", user=self._user
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        self._give(path)
        return path

    def _give(self, path: Path) -> None:
        if self._user is not None:
            shutil.chown(path, self._user)

    @property
    def _user(self) -> str | None:
        """Who runs it, if that is another than who runs this."""
        return self.owner if os.geteuid() == 0 else None


class Postgres(Server):
    """PostgreSQL, by TCP as between hosts, with everything on disk that it says is."""

    owner = "postgres"
    ending = signal.SIGINT  # do not wait for those who are connected

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@{self.address}:{self.port}/postgres"

    @property
    def command(self) -> Sequence[str | Path]:
        settings = ("-h", self.address, "-p", str(self.port), "-k", "", "-c", "max_connections=200")
        return [program("postgres"), "-D", self.data, *settings]

    def answers(self) -> bool:
        asked = [program("pg_isready"), "-q", "-h", self.address, "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    def make(self) -> Self:
        """Make an empty cluster, whose only user is the owner of everything."""
        words = ("--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C.UTF-8")
        self.run(program("initdb"), "-D", self.data, *words)
        for who in ("all", "replication"):
            self._admit(who)
        return self

    def _admit(self, who: str) -> None:
        """Connections from the hosts of a network, besides those from here."""
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host {who} all samenet trust\n")

    def copy(self, primary: Self) -> Self:
        """Become a standby of this one, which is running."""
        there = ("-h", primary.address, "-p", str(primary.port), "-U", USER)
        self.run(program("pg_basebackup"), "-D", self.data, "-R", "--checkpoint=fast", *there)
        return self

    def promote(self) -> None:
        """Make a standby the primary; returns when it takes writes."""
        self.run(program("pg_ctl"), "promote", "-D", self.data, "-w")

    def restart(self) -> None:
        """At once, without a checkpoint: it recovers from its log, as after a loss of power."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(_PATIENCE)
        self.start()


class PgBouncer(Server):
    """Leads each transaction to one of a few sessions of a PostgreSQL, whatever its database."""

    owner = "postgres"
    ending = signal.SIGINT

    def __init__(self, folder: Path, behind: Postgres) -> None:
        super().__init__(folder)
        users = self.write("users", f'"{USER}" ""\n')
        self._settings = self.write(
            "pgbouncer.ini",
            "\n".join(
                [
                    "[databases]",
                    f"* = host={LOOPBACK} port={behind.port}",
                    "[pgbouncer]",
                    f"listen_addr = {LOOPBACK}",
                    f"listen_port = {self.port}",
                    "unix_socket_dir =",
                    "auth_type = trust",
                    f"auth_file = {users}",
                    "pool_mode = transaction",
                    "default_pool_size = 8",
                    "max_client_conn = 500",
                    "server_login_retry = 1",
                    "",
                ]
            ),
        )

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@{LOOPBACK}:{self.port}/postgres"

    @property
    def command(self) -> Sequence[str | Path]:
        return [program("pgbouncer"), self._settings]


class Redis(Server):
    """Redis, with nothing on disk."""

    @property
    def url(self) -> str:
        return f"redis://{self.address}:{self.port}"

    @property
    def command(self) -> Sequence[str | Path]:
        place = ("--bind", self.address, "--port", str(self.port), "--dir", self.folder)
        nothing_kept = ("--save", "", "--appendonly", "no", "--protected-mode", "no")
        return [program("redis-server"), *place, *nothing_kept]

    def ask(self, *words: str) -> str:
        return self.run(program("redis-cli"), "-h", self.address, "-p", str(self.port), *words)


class Nginx(Server):
    """Hands requests to the one or the other of these addresses, as a proxy before hosts does."""

    ending = signal.SIGQUIT

    def __init__(self, folder: Path, upstreams: Sequence[str]) -> None:
        super().__init__(folder)
        places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{place}_temp_path {folder}/{place};" for place in places)
        servers = " ".join(f"server {upstream} max_fails=0;" for upstream in upstreams)
        self._settings = self.write(
            "nginx.conf",
            f"""
            user root;
            daemon off;
            pid {folder}/pid;
            error_log stderr error;
            events {{ worker_connections 512; }}
            http {{
                access_log off;
                {temporary}
                upstream taskbell {{ {servers} }}
                server {{
                    listen {LOOPBACK}:{self.port};
                    location / {{
                        proxy_pass http://taskbell;
                        proxy_set_header Host $http_host;
                        proxy_set_header X-Forwarded-For $remote_addr;
                        proxy_connect_timeout 2s;
                        proxy_next_upstream error timeout http_503 non_idempotent;
                    }}
                }}
            }}
            """,
        )

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def command(self) -> Sequence[str | Path]:
        return [program("nginx"), "-c", self._settings, "-e", "stderr"]
