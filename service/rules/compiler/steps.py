"""Builds the steps of a rule from their shapes, or reports their problems."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from service.diagnostics import Issue, Path, Severity, did_you_mean
from service.document.files import Folder
from service.document.messages import DASHES, must_be
from service.document.validation import Shape, salvaged
from service.domain.operators.buttons import WORDS, Button
from service.domain.system_actions import BARE, BUILT_IN, CREATE, NOTIFICATIONS
from service.rules.capabilities import UNKNOWN_CHANNEL, Capabilities, ChannelCapabilities
from service.rules.compiler.channel_limits import too_long, undo
from service.rules.compiler.missing_fields import MissingFields, never_attached
from service.rules.compiler.shapes import (
    STEPS,
    ActionShape,
    ChangesShape,
    CompleteShape,
    CreateShape,
    DeleteShape,
    EscalationShape,
    NewTaskShape,
    NotifyShape,
    ReopenShape,
    RuleShape,
    StepShape,
    UpdateShape,
    WaitShape,
)
from service.rules.compiler.taking import taking
from service.rules.compiler.texts import TextReader
from service.rules.compiler.unwritable import unwritable
from service.rules.language.templates import Template
from service.rules.steps import Action, Approver, Pause, Repeat, Step

# What has the keys that a step may lack.
_KEYS: Mapping[str, type[Shape]] = {**STEPS, "the rule": RuleShape}


@dataclass(slots=True)
class StepReader:
    """Builds the steps of one rule, and collects their problems.

    - `accounts`: the accounts of the rule
    - `gaps`: the missing fields of those accounts in which it can match
    - `subjects`: the names that its texts can use
    - `folder`: the folder of texts in files
    """

    reach: Capabilities
    accounts: Sequence[str]
    gaps: MissingFields
    subjects: frozenset[str]
    folder: Folder
    problems: list[Issue] = field(default_factory=list)

    @property
    def _texts(self) -> TextReader:
        return TextReader(self.subjects, self.folder, self.gaps, self.problems)

    def read(self, raws: Sequence[Any], escalations: Sequence[Any], path: Path) -> tuple[Step, ...]:
        """The steps of `then`, and those of `escalate` after them, in the rule at `path`."""
        steps = [self._step(raw, i + 1, (*path, "then", i)) for i, raw in enumerate(raws)]
        read = [step for step in steps if step is not None]
        for place, raw in enumerate(escalations):
            read += self._escalation(raw, len(raws) + 2 * place, place, path)
        if escalations and not self.reach.has_page:
            self._warn_of_missing_page((*path, "escalate"))
        return tuple(self._answerable(step) for step in read) if escalations else tuple(read)

    def _warn_of_missing_page(self, path: Path) -> None:
        message = "TASKBELL_URL is not set, so the messages have no link to acknowledge the task"
        hint = "set it to Taskbell's address: https://tasks.example.com"
        self.problems.append(Issue(path, message, hint, at_key=True, severity=Severity.WARNING))

    def _escalation(self, raw: Any, before: int, place: int, path: Path) -> Iterable[Step]:
        """The pause and the message of an escalation, which count as two steps."""
        at = (*path, "escalate", place)
        if isinstance(raw, dict) and "notify" not in raw:
            hint = "write notify: slack:#dispatch, or put the step under then"
            self._fault(at, "escalate can only send messages, and this step has no notify", hint)
            return
        shape, problems = salvaged(EscalationShape, raw, at, _KEYS)
        self.problems += problems
        if shape is None:
            return
        yield Pause(before + 1, shape.after, place)
        yield replace(self._notify(shape, raw, before + 2, at), escalation=place)

    def _answerable(self, step: Step) -> Step:
        """The step of a rule that escalates: who gets its message can acknowledge the task."""
        if isinstance(step, Pause) or step.channel in BUILT_IN or step.buttons:
            return step
        return replace(step, buttons=(Button.ACKNOWLEDGE,))

    def _buttons(
        self, shape: NotifyShape, channel: str, target: str, path: Path
    ) -> tuple[Button, ...]:
        """The buttons, if there is a page for them and the account's system can do it."""
        at = (*path, "buttons")
        if shape.buttons and channel in NOTIFICATIONS:
            self._fault(at, "the system writes this message itself, without buttons", "remove it")
        if shape.buttons and not self.reach.has_page:
            message = "TASKBELL_URL is not set, so nobody could open the page behind the buttons"
            self._fault(at, message, "set it to Taskbell's address: https://tasks.example.com")
        if "done" in shape.buttons:
            self._require("complete_task", "", at)
        if "take" in shape.buttons and channel not in NOTIFICATIONS:
            way = self.reach.way(channel)
            self.problems += taking(self.reach, self.gaps, self.accounts, way, target, at)
        return tuple(one for word in dict.fromkeys(shape.buttons) for one in WORDS[word])

    def _step(self, raw: Any, number: int, path: Path) -> Step | None:
        match self._shape(raw, path):
            case WaitShape() as shape:
                return Pause(number, shape.wait)
            case NotifyShape() as shape:
                return self._notify(shape, raw, number, path)
            case CreateShape() as shape:
                return self._create(shape.create_task, shape, number, path)
            case UpdateShape() as shape:
                return self._write("update_task", shape.update_task, shape, number, path)
            case CompleteShape() | ReopenShape() | DeleteShape() as shape:
                channel = next(name for name in BARE if name in raw)
                return self._write(channel, ChangesShape(), shape, number, path)
            case _:
                return None

    def _create(self, new: NewTaskShape, shape: ActionShape, number: int, path: Path) -> Action:
        if new.account is None:
            return self._write(CREATE, new, shape, number, path)
        at = (*path, CREATE, "in")
        known = self.reach.accounts
        if new.account not in known and "accounts" not in self.reach.unread:
            hint = did_you_mean(new.account, known)
            self._fault(at, f"there is no account {new.account}", hint)
        # What it can do and needs is said by the system that is written to.
        names = (new.account,)
        gaps, place = MissingFields(self.reach, names), (*path, CREATE)
        if (refusal := self.reach.refusal(new.account, CREATE, "")) is not None:
            self._fault(place, refusal)
        self.problems += unwritable(gaps, len(names), CREATE, new, place)
        return Action(
            number,
            CREATE,
            target=self._texts.target(new.account, at, 0),
            fields=self._texts.fields(new, place),
            approver=self._approver(shape, path),
        )

    def _write(
        self, channel: str, changes: ChangesShape, shape: ActionShape, number: int, path: Path
    ) -> Action:
        place = (*path, channel)
        self._require(channel, "", place)
        self.problems += unwritable(self.gaps, len(self.accounts), channel, changes, place)
        approver = self._approver(shape, path)
        return Action(number, channel, fields=self._texts.fields(changes, place), approver=approver)

    def _approver(self, shape: ActionShape, path: Path) -> Approver | None:
        """The approver, written as in `notify`."""
        if shape.approve is None:
            return None
        channel, colon, target = shape.approve.partition(":")
        at = (*path, "approve")
        if channel in BUILT_IN:
            message = f"approve cannot use {channel}"
            self._fault(at, message, "use one of your own channels, such as slack:#dispatch")
            return None
        self._way(channel, target, at)
        if not self.reach.has_page:
            message = "TASKBELL_URL is not set, so the person who is asked cannot open the page"
            self._fault(at, message, "set it to Taskbell's address: https://tasks.example.com")
        return Approver(channel, self._texts.target(target, at, len(channel) + len(colon)))

    def _shape(self, raw: Any, path: Path) -> StepShape | None:
        shape_class = self._shape_class(raw, path)
        if shape_class is None:
            return None
        shape, problems = salvaged(shape_class, raw, path, _KEYS)
        self.problems += problems
        return shape

    def _shape_class(self, raw: Any, path: Path) -> type[StepShape] | None:
        if not isinstance(raw, dict):
            message = must_be("a step", "something such as notify: slack:#office", raw)
            self._fault(path, message)
            return None
        found = [name for name in raw if name in STEPS]
        if len(found) == 1:
            return STEPS[found[0]]
        if found:
            self._fault(path, f"{' and '.join(found)} must be separate steps", DASHES)
        elif raw:
            name = str(next(iter(raw)))
            hint = did_you_mean(name, STEPS)
            self.problems.append(
                Issue((*path, name), f"there is no step {name}", hint, at_key=True)
            )
        else:
            self._fault(path, "the step is empty")
        return None

    def _notify(
        self, shape: NotifyShape, written: Mapping[str, Any], number: int, path: Path
    ) -> Action:
        channel, colon, target = shape.notify.partition(":")
        at = (*path, "notify")
        begins = len(channel) + len(colon)
        way = self._way(channel, target, at) if shape.notify else UNKNOWN_CHANNEL
        text = self._texts.text(shape, path)
        self._check_words(way, written, path)
        at_text = (*path, "template" if shape.template else "text")
        self.problems += [*too_long(channel, way, text, at_text), *undo(channel, way, shape, path)]
        self._check_links(text, path)
        self._check_attached(shape, channel, way, (*path, "attach"))
        if shape.even_if_told and channel != "customer" and shape.notify:
            message = "even_if_told can be used only with notify: customer:…"
            self._fault((*path, "even_if_told"), message, "remove it")
        if shape.repeat is not None and shape.approve is not None:
            message = "repeat cannot be combined with approve"
            self._fault((*path, "repeat"), message, "remove one of them")
        return Action(
            number,
            channel,
            target=self._texts.target(target, at, begins),
            text=text,
            subject=self._texts.template(shape.subject, (*path, "subject")),
            attach=shape.attach,
            on_undo=None if shape.on_undo == "nothing" else shape.on_undo,
            repeat=Repeat(shape.repeat.every, shape.repeat.max) if shape.repeat else None,
            on_fail=self._instead(shape.on_fail, number, (*path, "on_fail")),
            approver=self._approver(shape, path),
            even_if_told=shape.even_if_told,
            buttons=self._buttons(shape, channel, target, path),
        )

    def _check_links(self, text: Template | None, path: Path) -> None:
        if text is not None and "unsubscribe_url" in text.nouns and not self.reach.has_page:
            message = "TASKBELL_URL is not set, so customers cannot open the link to unsubscribe"
            self._fault(path, message, "set it to Taskbell's address: https://tasks.example.com")

    def _instead(self, raws: Iterable[Any], number: int, path: Path) -> tuple[Action, ...]:
        """The actions of `on_fail`: without a pause, and without repetitions."""
        subjects = self.subjects | {"failure"}
        # Nobody can be asked about it, whether there is a page to answer on or not.
        offered = replace(self.reach, has_page=True)
        reader = StepReader(offered, self.accounts, self.gaps, subjects, self.folder, self.problems)
        found = []
        for position, raw in enumerate(raws):
            place = (*path, position)
            step = reader._step(raw, number, place)
            if isinstance(step, Pause):
                message = "a step under on_fail cannot wait; it is sent at once"
                self._fault((*place, "wait"), message)
            elif step is not None:
                found.append(step)
                self._refuse_further(step, place)
        return tuple(found)

    def _refuse_further(self, step: Action, path: Path) -> None:
        further = {
            "on_fail": step.on_fail,
            "on_undo": step.on_undo,
            "repeat": step.repeat,
            "approve": step.approver,
        }
        for word, value in further.items():
            if value:
                message = f"a step under on_fail cannot have {word}"
                self._fault((*path, word), message, "remove it")

    def _way(self, channel: str, target: str, path: Path) -> ChannelCapabilities | None:
        """The configured channel; None for one that is built in."""
        if channel in NOTIFICATIONS:
            self._check_notification(channel, target, path)
            return None
        way = self.reach.way(channel)
        if way is None:
            hint = did_you_mean(channel, {*self.reach.ways, *NOTIFICATIONS})
            self._fault(path, f"there is no channel {channel}", hint)
            return UNKNOWN_CHANNEL
        if way.needs_target and not target:
            hint = f"write {channel}:TARGET, such as slack:#office or email:bo@example.com"
            self._fault(path, f"{channel} needs a target", hint)
        elif target and "{{" not in target and (problem := way.target_problem(target)):
            self._judge(path, f"{channel}: {problem}")
        return way

    def _check_notification(self, channel: str, target: str, path: Path) -> None:
        if channel == "employee" and target:
            self._fault(path, "employee cannot have a target", "write only employee")
        elif channel == "customer" and not target:
            hint = "write which message to send, such as customer:on_the_way"
            self._fault(path, "customer needs the name of a message", hint)
        else:
            self._require(channel, target, path)

    def _require(self, channel: str, target: str, path: Path) -> None:
        """Check that at least one of the rule's accounts can do it."""
        refusals = [self.reach.refusal(one, channel, target) for one in self.accounts]
        said = [refusal for refusal in refusals if refusal is not None]
        if said and len(said) == len(refusals):
            known = self.reach.notifications(self.accounts) if target else ()
            self._fault(path, "; ".join(said), did_you_mean(target, known))

    def _check_words(
        self, way: ChannelCapabilities | None, written: Mapping[str, Any], path: Path
    ) -> None:
        words = [name for name in ("text", "template", "subject") if written.get(name) is not None]
        if way is None and words:
            name = words[0]
            message = f"the system writes this message itself; {name} is ignored"
            self.problems.append(
                Issue((*path, name), message, at_key=True, severity=Severity.WARNING)
            )
        elif {"text", "template"} <= {*words}:
            message = "text and template cannot be combined"
            self._fault((*path, "template"), message, "remove one of them")
        elif way is not None and way.needs_text and not {"text", "template"} & {*words}:
            self._fault((*path, "text"), "text is missing")

    def _check_attached(
        self, shape: NotifyShape, channel: str, way: ChannelCapabilities | None, path: Path
    ) -> None:
        if shape.attach is None:
            return
        if way is None or shape.attach not in way.attaches:
            self._fault(path, f"{channel} cannot attach a {shape.attach}", "use an email channel")
        elif "tasks" in self.subjects or "group" in self.subjects:
            message = f"a message about several tasks cannot attach a {shape.attach}"
            self._fault(path, message, "remove it")
        else:
            self.problems += never_attached(self.gaps, shape.attach, path)

    def _judge(self, path: Path, message: str) -> None:
        """An error; only a warning about rules of the past, which were good enough then."""
        severity = Severity.ERROR if self.gaps.is_known else Severity.WARNING
        self.problems.append(Issue(path, message, severity=severity))

    def _fault(self, path: Path, message: str, hint: str | None = None) -> None:
        self.problems.append(Issue(path, message, hint))
