"""One rule: from an event to a verdict, as a pure function."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from service.domain.alarms import missed
from service.domain.digests import Joining
from service.domain.durations import in_words
from service.domain.model import Cause, Event, Task
from service.domain.operators.overrides import Mode, Override
from service.domain.schedules import lateness
from service.domain.task_dates import is_day, moment_of
from service.rules.groups import Grouping, named
from service.rules.language.date_format import shown
from service.rules.language.expressions import UTC_ZONE, EvaluationError, Expression
from service.rules.language.field_reads import Reads, all_of, by_noun
from service.rules.language.scope import Scope, lasting
from service.rules.language.task_counts import Answers, TaskCount
from service.rules.language.templates import RenderError
from service.rules.limit import Limit
from service.rules.mutes import MuteIndex
from service.rules.planning import Planning
from service.rules.selection import Selection
from service.rules.triggers import Trigger
from service.rules.verdict import Outcome, Verdict, trial_only


@dataclass(frozen=True, slots=True)
class Settle:
    """`settle`: how long a task must be quiet, and how long the rule waits for that at most."""

    quiet: timedelta
    most: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule. `planning` has its steps.

    `accounts` None means all of them. `together` is the account by whose zone and under whose name
    the rule acts once for all of its accounts; then `accounts` has them all. `lasts` is `for`: how
    long the conditions must stay true. `override` is what its mode comes from, if not from the
    file.
    """

    id: str
    trigger: Trigger
    conditions: tuple[Expression, ...]
    planning: Planning
    settle: Settle | None = None
    until: Expression | None = None
    accounts: frozenset[str] | None = None
    together: str | None = None
    own_writes: bool = False
    limit: Limit | None = None
    lasts: timedelta | None = None
    for_each: Selection | None = None
    grouping: Grouping | None = None
    mutings: MuteIndex = field(default_factory=MuteIndex)
    override: Override | None = None

    @property
    def reads(self) -> Reads:
        """The fields of an event that its expressions read, except those of `until`."""
        asked = self.planning.once_per if self.grouping is None else (self.grouping.by,)
        return self.mutings.reads | all_of(one.reads for one in (*self.conditions, *asked))

    @property
    def counts(self) -> tuple[TaskCount, ...]:
        """The questions about all tasks in its conditions."""
        return tuple(count for one in self.conditions for count in one.counts)

    @property
    def reads_all_tasks(self) -> bool:
        """Whether it reads all tasks of an account when its schedule comes."""
        return self.for_each is not None or bool(self.counts)

    def with_answers(self, answers: Answers) -> "Rule":
        """The rule with the answers to its questions about all tasks."""
        return replace(self, conditions=tuple(one.with_answers(answers) for one in self.conditions))

    @property
    def has_waited(self) -> bool:
        """Whether it decided after a wait: on the task as it was by then, not at its event."""
        return self.settle is not None or self.lasts is not None

    def listens_to(self, event: Event) -> bool:
        if event.cause is Cause.WRITE and not self.own_writes:
            return False
        if self.accounts is not None and event.account not in self.accounts:
            return False
        return self.trigger.matches(event)

    def is_scheduled_in(self, account: str) -> bool:
        """Whether its schedule fires in this account."""
        if self.together is not None:
            return account == self.together
        return self.accounts is None or account in self.accounts

    def decide(self, scope: Scope) -> Verdict:
        """The verdict on an event that triggers the rule; the verdict may be to wait.

        An alarm that announces a date that is past was missed: it starts no wait and joins no
        digest.
        """
        if (date := missed(scope.event.alarm, scope.event.task, scope.now, scope.zone)) is not None:
            return self._missed(scope, *date)
        if self.settle is not None:
            quiet = in_words(self.settle.quiet)
            reason = f"waiting until the task has not changed for {quiet}"
            return self._waits(reason, self.settle.quiet, self.settle.most)
        if self.lasts is None:
            return self.decide_now(scope)
        # Later events do not restart the wait: its maximum is its duration.
        reason = f"waiting to see whether the condition stays true for {in_words(self.lasts)}"
        return self.refusal(scope) or self._waits(reason, self.lasts, self.lasts)

    def _missed(self, scope: Scope, field: str, date: datetime) -> Verdict:
        was = shown(date, scope.zone, is_day=is_day(scope.event.task, field))
        reason = f"too late: task.{field} was {was}"
        if self.grouping is None:
            return self.decide_now(scope).too_late(scope.event.id, reason)
        refused = self.refusal(scope)
        return refused or Verdict(self.id, Outcome.MISSED, f"{self._grounds(scope)}; {reason}")

    def _waits(self, reason: str, quiet: timedelta, most: timedelta | None) -> Verdict:
        return Verdict(self.id, Outcome.SETTLING, reason, settle=quiet, settle_max=most)

    def refusal(self, scope: Scope) -> Verdict | None:
        """The verdict if a condition is false for the event, or fails; else None.

        A false condition takes precedence over one that fails, even if it comes later: it may be
        the `has(…)` check for the date that the other one reads.
        """
        failed = None
        for condition in self.conditions:
            try:
                if not condition.test(scope.activation, scope.zone):
                    return Verdict(self.id, Outcome.NOT_MATCHED, condition.refusal)
            except EvaluationError as error:
                failed = failed or Verdict(self.id, Outcome.FAILED, str(error))
        return failed

    def refusal_of_task(self, scope: Scope) -> str | None:
        """Why a condition that reads nothing but the task is false; None if none is false.

        A condition that fails refuses nothing: it does not show whether the task has changed.
        """
        alone = [one for one in self.conditions if {noun for noun, _ in one.reads} <= {"task"}]
        refused = replace(self, conditions=tuple(alone)).refusal(scope)
        if refused is None or refused.outcome is Outcome.FAILED:
            return None
        return refused.reason

    def decide_now(self, scope: Scope) -> Verdict:
        """The verdict on an event, without waiting first."""
        if (refused := self.refusal(scope)) is not None:
            return refused
        try:
            if self.grouping is not None:
                return self._gathered(self.grouping, scope)
            plans = self.mutings.marked(self.planning.plans(scope), scope)
        except (EvaluationError, RenderError) as error:
            return Verdict(self.id, Outcome.FAILED, str(error))
        return Verdict(self.id, Outcome.MATCHED, self._grounds(scope), plans)

    def tell(self, scope: Scope, grounds: str) -> Verdict:
        """The verdict on a digest; its steps are rendered once for all tasks in it."""
        group = None if scope.group is None else scope.group.key
        try:
            plans = self.planning.plans(scope)
        except (EvaluationError, RenderError) as error:
            return Verdict(self.id, Outcome.FAILED, str(error), group=group)
        return Verdict(self.id, Outcome.MATCHED, self._marked(grounds), plans, group=group)

    def group_key(self, scope: Scope) -> str:
        """The key of the digest that the event belongs to; raises EvaluationError."""
        return "" if self.grouping is None else self.grouping.key(scope)

    def _gathered(self, grouping: Grouping, scope: Scope) -> Verdict:
        key = grouping.key(scope)
        anchor = self.anchor(scope.event.task)
        wait = self.wait_of_digest(scope.now, scope.zone)
        joining = Joining(key, wait, grouping.most, anchor)
        reason = f"{self._grounds(scope)}; added to the combined message for {named(key)}"
        return Verdict(self.id, Outcome.GATHERED, reason, joining=joining, group=key)

    def wait_of_digest(self, now: datetime, zone: ZoneInfo) -> timedelta:
        """How long a digest that is opened now collects tasks, by the hours in this zone."""
        wait = timedelta(0) if self.grouping is None else self.grouping.wait
        return self.planning.timing.until_open(None, now + wait, zone) - now

    def anchor(self, task: Task) -> datetime | None:
        """The date of the task that the rule's alarm counts from, to detect that it was moved.

        None if the rule has no alarm. A custom date without a zone is taken as UTC.
        """
        alarm = self.trigger.alarm
        return None if alarm is None else moment_of(task, alarm.field, UTC_ZONE)

    def has_ended(self, task: Task, now: datetime) -> bool:
        """Whether the rule's pending deliveries for this task are to be cancelled."""
        if self.until is None:
            return False
        try:
            return self.until.test(lasting(task, now, by_noun([self.until.reads])), UTC_ZONE)
        except EvaluationError:
            return False

    def _grounds(self, scope: Scope) -> str:
        conditions = " and ".join(condition.text for condition in self.conditions)
        event = scope.event
        happened = f"task.{event.kind}" if event.signal is None else f"signal {event.signal}"
        if self.trigger.cron is not None:
            happened = f"schedule {self.trigger.cron}{lateness(event.at, scope.now)}"
        grounds = happened + (f", and {conditions}" if conditions else "")
        return self._marked(grounds)

    def _marked(self, grounds: str) -> str:
        if self.planning.shadow:
            return trial_only(self.override, grounds)
        if self.override is not None and self.override.mode is Mode.ON:
            return f"{grounds} (the rule was {self.override.said})"
        return grounds
