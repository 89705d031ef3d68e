"""A database that cannot be used: what is wrong is said in a sentence, and by each command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import asyncpg
import pytest

from service import store
from service.clock import VirtualClock
from service.processes.embedded import EmbeddedPostgres
from service.settings import read_settings
from service.store import DatabaseUnreachable
from tests.conftest import only_reading
from tests.harness.commands import taskbell
from tests.harness.site import configured
from workers.handover import Handover


@asynccontextmanager
async def role(url: str, *rights: str) -> AsyncIterator[str]:
    """A user of this database who may do only what these statements let it ({} is its name)."""
    name = f"role_{token_hex(4)}"
    admin = await asyncpg.connect(url)
    await admin.execute(f"CREATE ROLE {name} LOGIN")
    for right in rights:
        await admin.execute(right.format(name))
    yield name
    await admin.execute(f"DROP OWNED BY {name}")
    await admin.execute(f"DROP ROLE {name}")
    await admin.close()


@asynccontextmanager
async def latin1(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The address of a database that keeps text in LATIN1."""
    name = f"latin_{token_hex(4)}"
    admin = await asyncpg.connect(postgres.url)
    await admin.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    yield urlsplit(postgres.url)._replace(path=f"/{name}").geturl()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


def as_user(url: str, name: str) -> str:
    hosts = urlsplit(url).netloc.rpartition("@")[2]
    return urlsplit(url)._replace(netloc=f"{name}@{hosts}").geturl()


async def why(url: str) -> str:
    """Why this database cannot be made ready; nothing else is raised than a sentence about it."""
    with pytest.raises(DatabaseUnreachable) as caught:
        await store.bring_up_to_date(url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def empty(url: str) -> None:
    admin = await asyncpg.connect(url)
    await admin.execute("DROP SCHEMA public CASCADE")
    await admin.execute("CREATE SCHEMA public")
    await admin.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    await admin.close()


async def test_a_user_who_may_not_make_tables(database_url: str) -> None:
    """What is to be granted stands there."""
    await empty(database_url)
    async with role(database_url) as name:
        assert "permission denied for schema public. As its owner: GRANT CREATE, USAGE" in (
            await why(as_user(database_url, name))
        )
        owner = await asyncpg.connect(database_url)
        await owner.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
        await owner.close()
        assert "As its owner: GRANT CREATE, USAGE" in await why(as_user(database_url, name))


async def test_a_user_who_uses_the_tables_of_another(database_url: str) -> None:
    """Where nothing is to be made, the right to make something is not needed."""
    async with role(database_url) as name:
        owner = await asyncpg.connect(database_url)
        await owner.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
        assert await store.bring_up_to_date(as_user(database_url, name)) == []
        await owner.close()


async def test_a_database_that_only_reads(database_url: str) -> None:
    """With tables and without, as a standby has them or not yet."""
    async with only_reading(database_url):
        assert "cannot execute INSERT in a read-only transaction" in await why(database_url)
    await empty(database_url)
    async with only_reading(database_url):
        says = await why(database_url)
    assert "cannot execute CREATE TABLE in a read-only transaction" in says
    assert "Set DATABASE_URL to the primary" in says


async def test_a_database_that_cannot_keep_every_character(postgres: EmbeddedPostgres) -> None:
    """Refused before anything is in it, not at the first title that does not fit."""
    async with latin1(postgres) as url:
        says = await why(url)
    assert "keeps text as LATIN1" in says
    assert "createdb --encoding=UTF8 --template=template0" in says


async def test_what_else_keeps_from_connecting(database_url: str) -> None:
    """No such database, no such user, no connection left, TLS without trusted authorities."""
    assert (
        'database "none" does not exist. Correct DATABASE_URL, or create the database'
        in await why(urlsplit(database_url)._replace(path="/none").geturl())
    )
    assert 'role "nobody_here" does not exist' in await why(as_user(database_url, "nobody_here"))
    assert "root.crt" in await why("postgresql://u@127.0.0.1:1/x?sslmode=verify-full")
    assert "?sslrootcert=FILE" in await why("postgresql://u@127.0.0.1:1/x?sslmode=verify-full")
    async with role(database_url, "ALTER ROLE {} CONNECTION LIMIT 0") as name:
        says = await why(as_user(database_url, name))
    assert f'too many connections for role "{name}". Raise its max_connections' in says


async def test_commands_say_it_and_show_no_traceback(database_url: str, tmp_path: Path) -> None:
    """Also one that gets half-way: it may read the migrations, and none of the other tables."""
    grant = "GRANT USAGE ON SCHEMA public TO {}"
    async with role(database_url, grant) as name:
        owner = await asyncpg.connect(database_url)
        await owner.execute(f"GRANT SELECT ON migrations TO {name}")
        environ = {"DATABASE_URL": as_user(database_url, name)}
        for words in (("migrate",), ("outbox", "list")):
            result = await taskbell(tmp_path, *words, **environ)
            assert result.code == 1
            assert "permission denied for table" in result.err
            assert "Traceback" not in result.err + result.out
        await owner.close()


async def test_a_worker_that_cannot_begin_says_why(
    database_url: str, folder: Path, clock: VirtualClock
) -> None:
    """Where the tables are there, and can only be read."""
    handover = Handover(read_settings({"DATABASE_URL": database_url}), clock)
    async with only_reading(database_url):
        with pytest.raises(
            DatabaseUnreachable, match=r"a read-only transaction\. Set DATABASE_URL"
        ):
            await handover.hand_over(configured(folder))
    await handover.close()
