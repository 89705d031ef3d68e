-- The truth. Times are timestamptz; snapshots are the JSON of service.domain.model.Task.

CREATE TABLE accounts (
    name            text PRIMARY KEY,
    system          text NOT NULL,
    added_at        timestamptz NOT NULL,
    baseline_at     timestamptz,            -- when the first silent scan was complete
    scanned_at      timestamptz,            -- when the last complete full scan was started
    watermark       timestamptz,            -- up to where incremental reading has come
    next_poll_at    timestamptz NOT NULL,
    polled_at       timestamptz,
    paused          boolean NOT NULL DEFAULT false,
    lease_until     timestamptz,            -- a process is polling it
    failing_since   timestamptz,
    failures        integer NOT NULL DEFAULT 0,
    error           text
);

CREATE TABLE receipts (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account         text NOT NULL,
    key             text NOT NULL,          -- id:<digest of the sender's own>, or body:<digest>
    body            bytea NOT NULL,
    headers         jsonb NOT NULL,         -- allow-listed; never a signature or a token
    received_at     timestamptz NOT NULL,
    state           text NOT NULL DEFAULT 'pending',   -- pending | done | poison
    reason          text,
    repeats         integer NOT NULL DEFAULT 0,  -- the same body came again after it was done
    settled_at      timestamptz,
    UNIQUE (account, key)
);
CREATE INDEX receipts_pending ON receipts (account, id) WHERE state = 'pending';
CREATE INDEX receipts_poison ON receipts (id) WHERE state = 'poison';
CREATE INDEX receipts_received ON receipts (received_at);

-- Tasks to be read by id: thin webhooks, absences to confirm, our own writes. One row a task.
CREATE TABLE lookups (
    account         text NOT NULL,
    task            text NOT NULL,
    cause           text NOT NULL,
    written         text[] NOT NULL DEFAULT '{}',   -- the fields that we ourselves have changed
    asked_at        timestamptz NOT NULL,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    error           text,
    PRIMARY KEY (account, task)
);
CREATE INDEX lookups_due ON lookups (account, (cause = 'fetch'), next_attempt_at);

CREATE TABLE tasks (
    account         text NOT NULL,
    id              text NOT NULL,
    snapshot        json,                   -- null between the lock and the first look
    fingerprint     bytea,
    version         timestamptz,
    observed_at     timestamptz,
    deleted_at      timestamptz,
    rung            jsonb NOT NULL DEFAULT '{}',
    next_alarm      timestamptz,
    PRIMARY KEY (account, id)
) WITH (fillfactor = 80);
CREATE INDEX tasks_alarm ON tasks (next_alarm) WHERE next_alarm IS NOT NULL;

CREATE SEQUENCE event_ids;
CREATE TABLE events (
    id              bigint PRIMARY KEY,
    account         text NOT NULL,
    task            text NOT NULL,
    kind            text NOT NULL,
    at              timestamptz NOT NULL,
    cause           text NOT NULL,
    changed         text[] NOT NULL DEFAULT '{}',
    alarm           text,
    signal          text,
    before          json,
    after           json
);
CREATE INDEX events_task ON events (account, task, id);
CREATE INDEX events_at ON events (at);

CREATE TABLE decisions (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event           bigint NOT NULL,
    rule            text NOT NULL,
    rules_version   text NOT NULL,
    outcome         text NOT NULL,
    reason          text NOT NULL,
    at              timestamptz NOT NULL
);
CREATE INDEX decisions_event ON decisions (event);
CREATE INDEX decisions_at ON decisions (at);

-- Rules that wait until a task has been quiet: the look before the first change is kept.
CREATE TABLE settling (
    rule            text NOT NULL,
    account         text NOT NULL,
    task            text NOT NULL,
    event           bigint NOT NULL,
    before          json,
    started_at      timestamptz NOT NULL,
    ends_at         timestamptz NOT NULL,
    PRIMARY KEY (rule, account, task)
);
CREATE INDEX settling_due ON settling (ends_at);

CREATE TABLE deliveries (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account         text NOT NULL,
    task            text NOT NULL,
    event           bigint NOT NULL,
    rule            text NOT NULL,
    once_key        text NOT NULL,
    step            integer NOT NULL,
    channel         text NOT NULL,
    target          text NOT NULL,
    lane            text NOT NULL,          -- what is sent one after the other and fails together
    at_most_once    boolean NOT NULL,       -- goes through a system that cannot de-duplicate
    key             uuid NOT NULL DEFAULT gen_random_uuid(),   -- the idempotency key over all attempts
    text            text NOT NULL DEFAULT '',
    subject         text,
    fields          jsonb,
    on_undo         text,
    withdraw_on     text[] NOT NULL DEFAULT '{}',
    updates         bigint,                 -- the delivery whose message this one rewrites
    receipt         jsonb,                  -- what the channel said of the message it took
    state           text NOT NULL,
    reason          text,
    attempts        integer NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL,
    next_attempt_at timestamptz,
    expires_at      timestamptz,
    lease_until     timestamptz,
    settled_at      timestamptz
) WITH (fillfactor = 80);
-- Once per key: what was never sent does not count.
CREATE UNIQUE INDEX deliveries_once ON deliveries (rule, once_key, step, target)
    WHERE state NOT IN ('skipped', 'cancelled', 'expired');
CREATE INDEX deliveries_due ON deliveries (lane, next_attempt_at) WHERE state IN ('planned', 'held');
CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE state = 'sending';
CREATE INDEX deliveries_task ON deliveries (account, task) WHERE state IN ('planned', 'held', 'sending');
CREATE INDEX deliveries_undo ON deliveries (account, task) WHERE on_undo IS NOT NULL AND state = 'sent';
CREATE INDEX deliveries_event ON deliveries (event);
CREATE INDEX deliveries_making ON deliveries (account) WHERE channel = 'create_task' AND state IN ('sending', 'unknown');
CREATE INDEX deliveries_created ON deliveries (created_at);
CREATE INDEX deliveries_made ON deliveries (account, (receipt ->> 'task')) WHERE channel = 'create_task';
CREATE INDEX deliveries_trouble ON deliveries (id) WHERE state IN ('failed', 'unknown');

-- The alarms the clock watches now, so that a new one draws its line under the past.
CREATE TABLE alarms (
    kind            text NOT NULL,
    field           text NOT NULL,
    "offset"        interval NOT NULL,
    at              time,
    UNIQUE NULLS NOT DISTINCT (kind, field, "offset", at)
);

-- The text of every set of rules that ever decided something.
CREATE TABLE rulesets (
    version         text PRIMARY KEY,
    text            text NOT NULL,
    loaded_at       timestamptz NOT NULL
);

-- What all processes together have counted, for /metrics; each adds its own every few seconds.
CREATE TABLE counters (
    name            text NOT NULL,
    labels          text NOT NULL,          -- a JSON object, its keys sorted
    value           double precision NOT NULL,
    PRIMARY KEY (name, labels)
);
