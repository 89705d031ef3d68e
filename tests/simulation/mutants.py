"""Defects that the simulation has to find: each breaks a law in one of a thousand histories.

Most are found within the first hundred. `test_mutants.py` puts each of them in, and looks for the
seed that finds it.
"""

from tests.simulation.mutation import Mutant

_ALL = (
    Mutant(
        "unknown_is_retried",
        "a customer message whose outcome is unknown is sent again",
        "workers.sender",
        "    if error.outcome_unknown and claim.at_most_once:\n",
        "    if error.outcome_unknown and claim.at_most_once and claim.attempts > 1:\n",
    ),
    Mutant(
        "dead_workers_message_is_sent_again",
        "a customer message is sent again if the worker died while sending it",
        "service.outbox.attempts",
        "state = CASE WHEN at_most_once AND NOT asking THEN 'unknown' ELSE 'planned' END,\n"
        "            next_attempt_at = CASE WHEN at_most_once AND NOT asking THEN NULL\n"
        "                WHEN",
        "state = 'planned', next_attempt_at = CASE WHEN",
    ),
    Mutant(
        "never_marked_as_being_sent",
        "after the final check the message still counts as not sent",
        "service.outbox.attempts",
        "        UPDATE deliveries SET asking = false\n        WHERE id = $1",
        "        UPDATE deliveries SET asking = true\n        WHERE id = $1",
    ),
    Mutant(
        "attempt_is_not_counted",
        "a claim does not count as an attempt",
        "service.outbox.claiming",
        "state = 'sending', attempts = attempts + 1,",
        "state = 'sending', attempts = attempts,",
    ),
    Mutant(
        "claimed_without_lock",
        "two workers may claim the same delivery",
        "service.outbox.claiming",
        "ORDER BY lane, next_attempt_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)",
        "ORDER BY lane, next_attempt_at, id LIMIT $3)",
    ),
    Mutant(
        "new_key_for_each_attempt",
        "each attempt has a key of its own",
        "service.outbox.claims",
        'key=str(row["key"]),',
        "key=f\"{row['key']}/{row['attempts']}\",",
    ),
    Mutant(
        "busy_target_is_sent_to",
        "several messages go to one target at the same time",
        "service.outbox.claiming",
        '    {_HAS_COME} AND NOT {destinations.is_busy("$1")} AND id IN (\n',
        "    {_HAS_COME} AND id IN (\n",
    ),
    Mutant(
        "last_comes_first",
        "of several messages to one target the latest goes out first",
        "service.outbox.claiming",
        "WHERE {_IS_DUE} ORDER BY target, next_attempt_at, id)",
        "WHERE {_IS_DUE} ORDER BY target, next_attempt_at DESC, id DESC)",
    ),
    Mutant(
        "lease_is_not_renewed",
        "a delivery that takes longer than a lease is taken for a dead worker's",
        "service.outbox.attempts",
        "        clock.now() + LEASE,\n",
        "        clock.now(),\n",
    ),
    Mutant(
        "dead_workers_are_not_noticed",
        "what a dead worker was sending stays so for ever",
        "service.maintenance.prune",
        "return waiting, frozenset(await attempts.reclaim(self._pool, now))",
        "return waiting, frozenset()",
    ),
    Mutant(
        "one_failure_is_enough",
        "a message that has failed once is given up",
        "workers.sender",
        "pause = retry.DELIVERY.after(claim.attempts)",
        "pause = None",
    ),
    Mutant(
        "due_lanes_are_not_woken",
        "nobody sends again what has failed, unless something else is to be sent",
        "workers.worker",
        "        self._wake_lanes(await attempts.lanes_due(self._pool, lanes, now))\n",
        "",
    ),
    Mutant(
        "customers_are_told_blindly",
        "the system is not asked before a customer message",
        "workers.sender",
        "return claim if claim.grounds is None else await self._check(claim, claim.grounds)",
        "return claim",
    ),
    Mutant(
        "answer_is_not_heeded",
        "the system is asked before a customer message, and its answer does not matter",
        "workers.final_check",
        "revised = await self._revision(connection, grounds, present)",
        "revised = None",
    ),
    Mutant(
        "acknowledged_before_the_commit",
        "a webhook is acknowledged before its receipt is stored",
        "service.store.receipts",
        "        return await self._gathering().add(receipt)\n",
        "        self._gathering().add(receipt)\n        return 1\n",
    ),
    Mutant(
        "ingested_without_transaction",
        "what a webhook causes is not stored in one transaction",
        "workers.ingest",
        "        async with self._pool.acquire() as connection, connection.transaction():\n"
        "            pending = await receipt_queue.claim("
        "connection, self._account, limit, BATCH_BYTES)",
        "        async with self._pool.acquire() as connection:\n"
        "            pending = await receipt_queue.claim("
        "connection, self._account, limit, BATCH_BYTES)",
    ),
    Mutant(
        "receipt_is_never_done",
        "a receipt that was worked off is not marked as done",
        "service.store.receipt_queue",
        "UPDATE receipts SET state = 'done', settled_at = $2 WHERE id = ANY ($1)",
        "UPDATE receipts SET settled_at = $2 WHERE id = ANY ($1)",
    ),
    Mutant(
        "tasks_are_not_locked",
        "two workers compare a task with the same state before",
        "service.store.tasks",
        "ORDER BY account, id FOR UPDATE OF tasks",
        "ORDER BY account, id",
    ),
    Mutant(
        "stale_looks_count",
        "a look that was asked for earlier than the last one moves the task back",
        "service.engine.tracking",
        "    if seen.observed_at < known.observed_at:\n        return True\n",
        "    if seen.observed_at < known.observed_at:\n        return False\n",
    ),
    Mutant(
        "old_webhooks_are_believed",
        "a webhook that was overtaken is believed without a look",
        "service.engine.tracking",
        "    if not seen.pushed and not _is_overtaken(known, seen, account):\n",
        "    if account is not None:\n",
    ),
    Mutant(
        "poll_counts_from_its_answer",
        "what a list says counts as seen when its answer came, not when it was asked for",
        "workers.poll",
        "observed_at = self._clock.now() if self._source.refetches else requested_at",
        "observed_at = self._clock.now()",
    ),
    Mutant(
        "lookup_counts_from_its_answer",
        "what is read by id counts as seen when its answer came",
        "workers.lookup",
        "        requested_at = self._clock.now()\n"
        "        raw = await self._source.fetch(lookup.task)\n",
        "        raw = await self._source.fetch(lookup.task)\n"
        "        requested_at = self._clock.now()\n",
    ),
    Mutant(
        "own_writes_are_news",
        "rules react to what Taskbell itself has created",
        "service.engine",
        "ours = await self._decider.written_by_us(tx, seen)",
        "ours: dict[Key, frozenset[str]] = {}",
    ),
    Mutant(
        "alarms_ring_again",
        "it is not stored that an alarm has fired",
        "service.engine",
        "        await self._save(tx, announced_until, now)\n"
        "        return len(known), await self._follow(tx, happened, now)",
        "        return 0, await self._follow(tx, happened, now)",
    ),
    Mutant(
        "waits_are_kept",
        "a wait whose rule has decided is not removed",
        "service.store.waits",
        "DELETE FROM waits USING unnest($1::text[], $2::text[]) AS wanted (account, task)\n"
        "                WHERE waits.account = wanted.account AND waits.task = wanted.task\n"
        "                  AND ends_at <= $3\n"
        "                RETURNING waits.*)",
        "SELECT waits.* FROM waits, unnest($1::text[], $2::text[]) AS wanted (account, task)\n"
        "                WHERE waits.account = wanted.account AND waits.task = wanted.task\n"
        "                  AND ends_at <= $3)",
    ),
)
MUTANTS = {one.name: one for one in _ALL}
# The few that `make test` puts in; `make soak` puts in all of them.
FOUND_SOON = ("customers_are_told_blindly", "ingested_without_transaction", "stale_looks_count")
