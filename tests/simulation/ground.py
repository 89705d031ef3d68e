"""The database on which histories take place, and its state when each begins."""

import asyncio

from service.config import Config
from tests.simulation.day import Day
from tests.simulation.event_loop import SimulatedLoop
from tests.simulation.plan import Act, Step
from tests.simulation.processes import collect_tasks
from tests.simulation.sessions import Server
from tests.simulation.storage import Storage

_TABLES = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_COLUMNS = """
    SELECT string_agg(quote_ident(column_name), ', ') AS columns FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'
"""
_SEQUENCES = """
    SELECT format('SELECT setval(%L, %s, %L)', format('public.%I', sequencename),
                  coalesce(last_value, start_value), last_value IS NOT NULL) AS statement
    FROM pg_sequences WHERE schemaname = 'public' ORDER BY sequencename
"""
_MOST_DEAD = 100  # histories whose rows are only deleted; then their tables are emptied


class Ground:
    """A migrated database. Each history finds in it what the first poll of the firm has left."""

    def __init__(self, url: str, config: Config) -> None:
        self.server = Server(url)
        self._config = config
        self._uses = 0
        self._names = [row["name"] for row in self.server.run(_TABLES)]
        [found] = self.server.run("SELECT to_regclass('begun.resetting') IS NOT NULL AS is_there")
        if not found["is_there"]:
            self._prepare()
        [kept] = self.server.run("SELECT statements FROM begun.resetting")
        self._resetting: str = kept["statements"]

    def fresh(self) -> Storage:
        """The database as it is when a history begins."""
        self._uses += 1
        if self._uses % _MOST_DEAD == 0:
            self.server.execute(f"TRUNCATE {', '.join(self._names)}")
        self.server.execute(self._resetting)
        return Storage(self.server)

    def close(self) -> None:
        self.server.close()

    def _prepare(self) -> None:
        """Bring the database to where every history begins, and keep that."""
        for name in self._names:
            self.server.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
        self._take_over_the_firm()
        self.server.execute("CREATE SCHEMA begun")
        statements = self._remember()
        self.server.execute("CREATE TABLE begun.resetting (statements text)")
        self.server.run("INSERT INTO begun.resetting VALUES ($1)", statements)

    def _take_over_the_firm(self) -> None:
        """Start a worker on the empty database, and let it poll for the first time."""
        loop = SimulatedLoop()
        collect_tasks(loop)

        async def first_poll() -> None:
            day = Day(Storage(self.server), self._config, seed=0)
            await day.begin(is_new=True)
            await day.do(Step(Act.POLL))
            await asyncio.sleep(10)
            day.end()

        loop.run(first_poll())

    def _remember(self) -> str:
        """Keep what there is now; returns the statements that bring it back."""
        # As a replica no foreign key is checked, so that tables come in any order.
        statements = ["BEGIN", "SET LOCAL session_replication_role = replica"]
        for name in self._names:
            statements.append(f"DELETE FROM {name}")
            if self.server.run(f"SELECT FROM {name} LIMIT 1"):
                self.server.execute(f"CREATE TABLE begun.{name} AS TABLE {name}")
                [row] = self.server.run(_COLUMNS, name)
                columns = row["columns"]
                statements.append(
                    f"INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE"
                    f" SELECT {columns} FROM begun.{name}"
                )
        statements += [row["statement"] for row in self.server.run(_SEQUENCES)]
        return ";\n".join([*statements, "COMMIT"])
