"""What the rule editor does with a text: check it, try it on a task, foresee, save it."""

import asyncio
import re
from contextlib import nullcontext
from dataclasses import replace

import orjson

from service.change_plan import pending_counts
from service.change_plan.database import foresee
from service.config import RulesConfig
from service.config.working_copy import NotEditable, WorkingCopy, file_names
from service.document.saving import FileChanged
from service.document.yaml_append import appended
from service.domain.actors import Actor
from service.errors import ConfigError
from service.simulator.dry_run import dry_run
from service.store.operators import changes
from service.store.tasks import Key
from service.store.views import task_history, task_search
from service.store.views.task_search import TaskQuery
from service.web.office import Office
from service.web.parameters import is_text
from service.web.presenters.dry_runs import tried_task
from service.web.presenters.rule_editor import EditorView, effects_of, shown_faults
from service.web.presenters.rule_recipes import Recipe, offered, written

_MOST_TASKS = 10
_MOST_PLANNED = 20_000  # tasks, which are read for the effects of some changes
_ID = re.compile(r"""\bid:\s*["']?([\w.-]+)""")
_TOO_MANY = (
    "There are too many tasks to show the effects here. Your developer can see them by"
    " `taskbell plan`."
)
_FAULTY = "Correct the errors first."
_OVERTAKEN = (
    "The file has changed on disk since you opened it. Nothing was saved, and your text is still"
    " here. If you save now, your text replaces the changed file."
)
_IN_BRACKETS = "The rules of this file are in brackets. First write them as a list with dashes."
_MEANWHILE = "Another file of the configuration has changed meanwhile. Check the text again."
_ADDED = "The rule was added at the end of the rules. It is not saved yet."


class RuleEditing:
    """Operations on a view of the editor; only `save` changes anything."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._path = office.editing.path
        self._environ = office.editing.environ
        self._one_at_a_time = asyncio.Lock()  # checks and dry runs are bound by the processor

    def opened(self, name: str = "") -> EditorView:
        """A file as it is on disk, the first one if none is named; raises NotEditable."""
        copy = WorkingCopy.opened(self._path, name or file_names(self._path)[0])
        return self.view(copy.name, copy.text, copy.mark)

    def view(self, name: str, text: str, mark: str) -> EditorView:
        """A text for a file that had this mark when it was read; raises NotEditable."""
        names = file_names(self._path)
        if name not in names:
            raise NotEditable(f"the configuration has no file {name}")
        copy = WorkingCopy(self._path, name, text, mark)
        return EditorView(copy, names, offered(self._office.config))

    async def checked(self, view: EditorView) -> EditorView:
        """With the faults of the whole configuration, as `taskbell check` finds them."""
        async with self._one_at_a_time:
            faults = await asyncio.to_thread(view.copy.faults, self._environ)
        return replace(view, faults=shown_faults(view.copy, faults))

    async def reviewed(self, view: EditorView) -> EditorView:
        """With the effects of saving it, unless it has errors."""
        view = await self.checked(view)
        if view.has_errors:
            return replace(view, error=f"{_FAULTY} Nothing was saved.")
        difference = view.copy.difference(self._on_disk(view).text)
        return await self._foreseen(replace(view, difference=difference, is_ready=True))

    async def _foreseen(self, view: EditorView) -> EditorView:
        pool, now = self._office.pool, self._office.clock.now()
        if await pending_counts.count_tasks(pool) > _MOST_PLANNED:
            return replace(view, notice=_TOO_MANY)
        sketch = await self._sketch(view)
        if sketch is None:
            return replace(view, error=_MEANWHILE, is_ready=False)
        plan = await foresee(pool, sketch, now, lambda _title, _total: nullcontext(_no_progress))
        return replace(view, effects=effects_of(plan, self._office.config.timezone))

    async def saved(self, view: EditorView, by: Actor) -> EditorView | None:
        """None if it was saved; otherwise with the reason why it was not."""
        view = await self.checked(view)
        if view.has_errors:
            return replace(view, error=f"{_FAULTY} Nothing was saved.")
        try:
            await self._record_and_save(view.copy, self._on_disk(view).text, by)
        except FileChanged:
            return self._overtaken(view)
        except NotEditable as error:
            return replace(view, error=f"{error}. Nothing was saved.")
        return None

    async def _record_and_save(self, copy: WorkingCopy, before: str, by: Actor) -> None:
        """What cannot be recorded is not saved."""
        lines = copy.difference(before)
        added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
        detail = f"lines added: {added}, removed: {removed}"
        pool, now = self._office.pool, self._office.clock.now()
        async with pool.acquire() as connection, connection.transaction():
            action = changes.Action.FILE_SAVED
            await changes.record(connection, by, action, copy.name, now, detail)
            await asyncio.to_thread(copy.save)

    def _overtaken(self, view: EditorView) -> EditorView:
        """The text, and how it differs from what is on disk now."""
        on_disk = self._on_disk(view)
        return replace(
            view,
            copy=replace(view.copy, mark=on_disk.mark),
            difference=view.copy.difference(on_disk.text),
            error=_OVERTAKEN,
            is_ready=True,
        )

    def _on_disk(self, view: EditorView) -> WorkingCopy:
        return WorkingCopy.opened(self._path, view.copy.name)

    async def searched(self, view: EditorView, named: str) -> EditorView:
        """With the tasks of this id or title to choose from, or the result for the only one."""
        view = replace(view, query=named)
        if not is_text(named):
            return replace(view, tasks=())
        async with self._office.pool.acquire() as connection:
            exactly = await task_history.find(connection, named, None)
        if len(exactly) == 1:
            account, task, _ = exactly[0]
            return await self.tried(view, (account, task))
        found = await task_search.find(self._office.pool, TaskQuery(named), _MOST_TASKS)
        return replace(view, tasks=found.tasks)

    async def tried(self, view: EditorView, key: Key) -> EditorView:
        """With the result of a dry run on a task, unless the text has errors."""
        view = await self.checked(view)
        if view.has_errors:
            return replace(view, error=f"{_FAULTY} Then you can try the rules.")
        async with self._office.pool.acquire() as connection:
            if not all(map(is_text, key)) or not await task_search.is_known(connection, key):
                return replace(view, error="There is no such task.")
            papers = await task_history.read(connection, key)
        now = self._office.clock.now()
        sketch = await self._sketch(view)
        if sketch is None:
            return replace(view, error=_MEANWHILE)
        if key[0] not in sketch.zones:
            return replace(
                view, error=f"The text has no account {key[0]}, to which the task belongs."
            )
        async with self._one_at_a_time:
            run = await asyncio.to_thread(dry_run, sketch, papers, now)
        return replace(view, trial=tried_task(run, papers, sketch, now))

    async def _sketch(self, view: EditorView) -> RulesConfig | None:
        """The rules of a text without errors; None if another file has errors by now."""
        try:
            async with self._one_at_a_time:
                return await asyncio.to_thread(view.copy.sketch, self._environ)
        except ConfigError:
            return None

    async def with_recipe(
        self, view: EditorView, recipe: Recipe, said: dict[str, str]
    ) -> EditorView:
        """With the rule of a recipe at the end of the text."""
        config = self._office.config
        rules = orjson.loads(config.text).get("rules", []) if config.text else []
        taken = {*(one["id"] for one in rules), *_ID.findall(view.copy.text)}
        try:
            rule = written(recipe, said, config, taken)
        except ValueError as error:
            return replace(view, error=str(error))
        text = appended(view.copy.text, "rules", rule)
        if text is None:
            return replace(view, error=_IN_BRACKETS)
        added = replace(view, copy=replace(view.copy, text=text), notice=_ADDED)
        return await self.checked(added)


def _no_progress(_done: int) -> None:
    """Nobody watches the progress."""
