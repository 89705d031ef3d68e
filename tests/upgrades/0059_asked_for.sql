SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET check_function_bodies = false;
SET client_min_messages = warning;
CREATE SCHEMA public;
COMMENT ON SCHEMA public IS 'standard public schema';
CREATE TABLE public.accounts (
    name text NOT NULL,
    system text NOT NULL,
    added_at timestamp with time zone NOT NULL,
    baseline_at timestamp with time zone,
    scanned_at timestamp with time zone,
    watermark timestamp with time zone,
    next_poll_at timestamp with time zone NOT NULL,
    polled_at timestamp with time zone,
    paused boolean DEFAULT false NOT NULL,
    lease_until timestamp with time zone,
    failing_since timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    error text,
    watch text COLLATE pg_catalog."C",
    watched_since timestamp with time zone,
    watched_until timestamp with time zone,
    lease_holder uuid,
    scan_asked_at timestamp with time zone,
    webhook_at timestamp with time zone,
    missed bigint DEFAULT 0 NOT NULL,
    missed_at timestamp with time zone,
    scan_read integer,
    scan_total integer,
    resumed_at timestamp with time zone,
    told_of timestamp with time zone,
    canaries text[] DEFAULT '{}'::text[] NOT NULL,
    believed boolean DEFAULT false NOT NULL,
    overlap interval DEFAULT '00:02:00'::interval NOT NULL,
    unread integer DEFAULT 0 NOT NULL,
    unread_rows integer DEFAULT 0 NOT NULL,
    unread_example text,
    unread_at timestamp with time zone,
    alive_at timestamp with time zone,
    alive_until timestamp with time zone,
    stale_since timestamp with time zone,
    absences_told_at timestamp with time zone,
    appeared integer DEFAULT 0 NOT NULL,
    appeared_at timestamp with time zone,
    appeared_told_at timestamp with time zone
);
CREATE TABLE public.announcements (
    account text NOT NULL,
    task text NOT NULL,
    receipt bigint NOT NULL,
    kind text NOT NULL,
    signal text DEFAULT ''::text NOT NULL,
    content json,
    at timestamp with time zone NOT NULL,
    snapshot json,
    repeated boolean DEFAULT false NOT NULL
);
CREATE TABLE public.counters (
    name text NOT NULL,
    labels text NOT NULL,
    value double precision NOT NULL
);
CREATE TABLE public.decisions (
    id bigint NOT NULL,
    event bigint NOT NULL,
    rule text NOT NULL,
    rules_version text NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    at timestamp with time zone NOT NULL
);
ALTER TABLE public.decisions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.decisions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.deliveries (
    id bigint NOT NULL,
    account text NOT NULL,
    task text NOT NULL,
    event bigint,
    rule text NOT NULL,
    once_key text NOT NULL,
    step integer NOT NULL,
    channel text NOT NULL,
    target text NOT NULL,
    lane text NOT NULL,
    at_most_once boolean NOT NULL,
    key uuid DEFAULT gen_random_uuid() NOT NULL,
    text text DEFAULT ''::text NOT NULL,
    subject text,
    fields jsonb,
    on_undo text,
    withdraw_on text[] DEFAULT '{}'::text[] NOT NULL,
    updates bigint,
    receipt jsonb,
    state text NOT NULL,
    reason text,
    attempts integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    next_attempt_at timestamp with time zone,
    expires_at timestamp with time zone,
    lease_until timestamp with time zone,
    settled_at timestamp with time zone,
    acknowledged_at timestamp with time zone,
    shadow boolean DEFAULT false NOT NULL,
    on_fail jsonb,
    limited_at timestamp with time zone,
    mutes text[],
    muted_by text,
    approver text,
    approve_by timestamp with time zone,
    send_at timestamp with time zone,
    approved_by text,
    approves bigint,
    storm bigint,
    asking boolean DEFAULT false NOT NULL,
    unread_since timestamp with time zone,
    visit text COLLATE pg_catalog."C",
    announced text,
    even_if_told boolean DEFAULT false NOT NULL,
    flood text COLLATE pg_catalog."C",
    operator_told_at timestamp with time zone,
    tells_of json,
    unsent integer DEFAULT 0 NOT NULL,
    asked_for boolean DEFAULT false NOT NULL
)
WITH (fillfactor='80');
ALTER TABLE public.deliveries ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.deliveries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.digest_members (
    digest bigint NOT NULL,
    task text NOT NULL,
    event bigint NOT NULL,
    anchor timestamp with time zone
);
CREATE TABLE public.digests (
    id bigint NOT NULL,
    rule text NOT NULL,
    account text NOT NULL,
    key text NOT NULL,
    event bigint NOT NULL,
    kind text NOT NULL,
    cause text NOT NULL,
    size integer DEFAULT 0 NOT NULL,
    is_full boolean DEFAULT false NOT NULL,
    closes_at timestamp with time zone NOT NULL,
    opened_at timestamp with time zone
);
ALTER TABLE public.digests ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.digests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE SEQUENCE public.event_ids
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.events (
    id bigint NOT NULL,
    account text NOT NULL,
    task text NOT NULL,
    kind text NOT NULL,
    at timestamp with time zone NOT NULL,
    cause text NOT NULL,
    changed text[] DEFAULT '{}'::text[] NOT NULL,
    alarm text,
    signal text,
    before json,
    after json,
    decided_at timestamp with time zone,
    rules_version text,
    trace text
);
CREATE TABLE public.lanes (
    name text NOT NULL,
    process text NOT NULL,
    wanted_until timestamp with time zone NOT NULL
);
CREATE TABLE public.lookups (
    account text NOT NULL,
    task text NOT NULL,
    cause text NOT NULL,
    written text[] DEFAULT '{}'::text[] NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    error text,
    receipts bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    looks integer DEFAULT 0 NOT NULL,
    older_at timestamp with time zone,
    absent_at timestamp with time zone,
    place integer DEFAULT 0 NOT NULL,
    lease_holder uuid,
    lease_until timestamp with time zone
);
CREATE TABLE public.migrations (
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.operator (
    told_at timestamp with time zone
);
CREATE TABLE public.outages (
    id bigint NOT NULL,
    began_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    accounts text[] NOT NULL,
    told_at timestamp with time zone
);
ALTER TABLE public.outages ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.receipts (
    id bigint NOT NULL,
    account text NOT NULL,
    key text NOT NULL,
    body bytea NOT NULL,
    headers jsonb NOT NULL,
    received_at timestamp with time zone NOT NULL,
    state text DEFAULT 'pending'::text NOT NULL,
    reason text,
    repeats integer DEFAULT 0 NOT NULL,
    settled_at timestamp with time zone,
    acknowledged_at timestamp with time zone,
    said_at timestamp with time zone,
    trace text
);
ALTER TABLE public.receipts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.receipts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.rulesets (
    version text NOT NULL,
    text text NOT NULL,
    loaded_at timestamp with time zone NOT NULL
);
CREATE TABLE public.schedules (
    rule text NOT NULL,
    account text NOT NULL,
    cron text NOT NULL,
    zone text NOT NULL,
    next_at timestamp with time zone
);
CREATE TABLE public.sessions (
    key bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
CREATE TABLE public.settling (
    rule text NOT NULL,
    account text NOT NULL,
    task text NOT NULL,
    event bigint NOT NULL,
    before json,
    started_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL
);
CREATE TABLE public.silences (
    id bigint NOT NULL,
    rule text,
    person text,
    customer text,
    project text,
    account text,
    created_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    reason text NOT NULL,
    created_by text NOT NULL
);
ALTER TABLE public.silences ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.silences_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.storms (
    id bigint NOT NULL,
    account text NOT NULL,
    reason text NOT NULL,
    began_at timestamp with time zone NOT NULL,
    told_at timestamp with time zone,
    ended_at timestamp with time zone,
    ended_by text,
    flood text,
    rule text,
    receiver text
);
ALTER TABLE public.storms ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.storms_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.tasks (
    account text NOT NULL,
    id text NOT NULL,
    snapshot json,
    fingerprint bytea,
    version timestamp with time zone,
    observed_at timestamp with time zone,
    deleted_at timestamp with time zone,
    rung jsonb DEFAULT '{}'::jsonb NOT NULL,
    next_alarm timestamp with time zone,
    watch text DEFAULT 'before'::text COLLATE pg_catalog."C",
    unlisted_at timestamp with time zone,
    unread jsonb,
    told jsonb
)
WITH (fillfactor='80');
CREATE TABLE public.throttles (
    account text NOT NULL,
    next_call_at timestamp with time zone NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    refused_until timestamp with time zone,
    first_call_at timestamp with time zone
)
WITH (fillfactor='50');
CREATE TABLE public.watches (
    id text NOT NULL COLLATE pg_catalog."C",
    zone text,
    alarms jsonb NOT NULL
);
INSERT INTO public.accounts VALUES ('london', 'plannr', '2026-03-06 12:00:00+00', '2026-03-06 12:00:00+00', '2026-03-06 12:00:00+00', '2026-03-06 12:00:00+00', '2026-03-06 12:00:57.696342+00', '2026-03-06 12:00:00+00', false, '2026-03-06 12:00:30+00', NULL, 0, NULL, '7b972b735b7a5409', '2026-03-06 12:00:00+00', '2026-03-06 12:01:00+00', '85af134e-9371-434e-ab2a-86fc3734d101', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, '{}', false, '00:02:00', 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL);
INSERT INTO public.accounts VALUES ('sales', 'rolodex', '2026-03-06 12:00:00+00', '2026-03-06 12:00:00+00', '2026-03-06 12:00:00+00', '2026-03-06 12:00:00+00', '2026-03-06 12:00:55.444767+00', '2026-03-06 12:00:00+00', false, '2026-03-06 12:00:30+00', NULL, 0, NULL, '308794448a981c1f', '2026-03-06 12:00:00+00', '2026-03-06 12:01:00+00', '4f196850-fe3a-4b05-9895-117236a6ee85', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, '{}', false, '00:02:00', 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL);
INSERT INTO public.accounts VALUES ('field', 'kickserv', '2026-03-06 12:00:00+00', '2026-03-06 12:00:00+00', '2026-03-06 12:00:00+00', '2026-03-06 12:00:00+00', '2026-03-06 12:00:56.648791+00', '2026-03-06 12:00:00+00', false, '2026-03-06 12:00:30+00', NULL, 0, NULL, '308794448a981c1f', '2026-03-06 12:00:00+00', '2026-03-06 12:01:00+00', '0296da7d-5b6f-4ef8-a616-a2cba18837b1', NULL, '2026-03-06 12:02:00+00', 0, NULL, NULL, NULL, NULL, NULL, '{}', false, '00:02:00', 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL);
INSERT INTO public.announcements VALUES ('field', '99', 5, 'changed', '', '{"id":"99"}', '2026-03-06 12:02:00+00', NULL, false);
INSERT INTO public.decisions OVERRIDING SYSTEM VALUE VALUES (1, 1, 'new', 'efd0d150498b85f6', 'matched', 'task.created', '2026-03-06 12:01:00+00');
INSERT INTO public.decisions OVERRIDING SYSTEM VALUE VALUES (2, 2, 'new', 'efd0d150498b85f6', 'matched', 'task.created', '2026-03-06 12:01:00+00');
INSERT INTO public.decisions OVERRIDING SYSTEM VALUE VALUES (3, 2, 'open', 'efd0d150498b85f6', 'lapsed', 'it did not stay so: the task was completed', '2026-03-06 12:02:00+00');
INSERT INTO public.decisions OVERRIDING SYSTEM VALUE VALUES (4, 4, 'done', 'efd0d150498b85f6', 'gathered', 'task.completed; told with others of all', '2026-03-06 12:02:00+00');
INSERT INTO public.deliveries OVERRIDING SYSTEM VALUE VALUES (1, 'field', '2357911', 1, 'new', 'event:1', 1, 'slack', '#office', 'slack', false, '8ce6298d-b576-4d4f-a052-927a9763af3a', 'new Gutter', NULL, NULL, NULL, '{completed,deleted}', NULL, NULL, 'held', 'outside office hours: held until Fri 6 Mar 2026, 08:00', 0, '2026-03-06 12:01:00+00', '2026-03-06 13:00:00+00', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, false, 'field new slack:#office', NULL, NULL, 0, false);
INSERT INTO public.deliveries OVERRIDING SYSTEM VALUE VALUES (2, 'field', '2357912', 2, 'new', 'event:2', 1, 'slack', '#office', 'slack', false, 'f5289946-369d-4486-8822-d7628a0ebcd9', 'new Tap', NULL, NULL, NULL, '{completed,deleted}', NULL, NULL, 'cancelled', 'withdrawn: the task was completed', 0, '2026-03-06 12:01:00+00', NULL, NULL, NULL, '2026-03-06 12:02:00+00', NULL, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, false, 'field new slack:#office', NULL, NULL, 0, false);
INSERT INTO public.digest_members VALUES (1, '2357912', 4, NULL);
INSERT INTO public.digests OVERRIDING SYSTEM VALUE VALUES (1, 'done', 'field', 'all', 4, 'completed', 'webhook', 1, false, '2026-03-06 12:32:00+00', '2026-03-06 12:02:00+00');
INSERT INTO public.events VALUES (1, 'field', '2357911', 'created', '2026-03-06 12:01:00+00', 'webhook', '{}', NULL, NULL, NULL, '{"id":"2357911","account":"field","system":"kickserv","title":"Gutter","url":null,"description":null,"type":"job","status":null,"done":false,"archived":false,"not_started":false,"priority":null,"due":"2026-03-06T14:01:00Z","due_is_day":false,"start":"2026-03-06T13:01:00Z","start_is_day":false,"end":"2026-03-06T14:01:00Z","end_is_day":false,"created_at":"2026-03-06T12:01:00Z","updated_at":"2026-03-06T12:01:00Z","completed_at":null,"completed_at_is_day":false,"completed_by":null,"author":null,"assignee":{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]},"assignees":[{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]}],"customer":{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false},"contacts":[{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false}],"project":{"id":"34769012","name":"Gutters"},"tags":[],"fields":{"job_number":1701,"job_status":"scheduled"},"revision":1}', '2026-03-06 12:01:00+00', 'efd0d150498b85f6', NULL);
INSERT INTO public.events VALUES (2, 'field', '2357912', 'created', '2026-03-06 12:01:00+00', 'webhook', '{}', NULL, NULL, NULL, '{"id":"2357912","account":"field","system":"kickserv","title":"Tap","url":null,"description":null,"type":"job","status":null,"done":false,"archived":false,"not_started":false,"priority":null,"due":"2026-03-07T13:01:00Z","due_is_day":false,"start":"2026-03-07T12:01:00Z","start_is_day":false,"end":"2026-03-07T13:01:00Z","end_is_day":false,"created_at":"2026-03-06T12:01:00Z","updated_at":"2026-03-06T12:01:00Z","completed_at":null,"completed_at_is_day":false,"completed_by":null,"author":null,"assignee":{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]},"assignees":[{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]}],"customer":{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false},"contacts":[{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false}],"project":{"id":"34769012","name":"Gutters"},"tags":[],"fields":{"job_number":1701,"job_status":"scheduled"},"revision":1}', '2026-03-06 12:01:00+00', 'efd0d150498b85f6', NULL);
INSERT INTO public.events VALUES (3, 'field', '2357911', 'changed', '2026-03-06 12:02:00+00', 'webhook', '{title}', NULL, NULL, '{"id":"2357911","account":"field","system":"kickserv","title":"Gutter","url":null,"description":null,"type":"job","status":null,"done":false,"archived":false,"not_started":false,"priority":null,"due":"2026-03-06T14:01:00Z","due_is_day":false,"start":"2026-03-06T13:01:00Z","start_is_day":false,"end":"2026-03-06T14:01:00Z","end_is_day":false,"created_at":"2026-03-06T12:01:00Z","updated_at":"2026-03-06T12:01:00Z","completed_at":null,"completed_at_is_day":false,"completed_by":null,"author":null,"assignee":{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]},"assignees":[{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]}],"customer":{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false},"contacts":[{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false}],"project":{"id":"34769012","name":"Gutters"},"tags":[],"fields":{"job_number":1701,"job_status":"scheduled"},"revision":1}', '{"id":"2357911","account":"field","system":"kickserv","title":"Gutters","url":null,"description":null,"type":"job","status":null,"done":false,"archived":false,"not_started":false,"priority":null,"due":"2026-03-06T14:01:00Z","due_is_day":false,"start":"2026-03-06T13:01:00Z","start_is_day":false,"end":"2026-03-06T14:01:00Z","end_is_day":false,"created_at":"2026-03-06T12:01:00Z","updated_at":"2026-03-06T12:02:00Z","completed_at":null,"completed_at_is_day":false,"completed_by":null,"author":null,"assignee":{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]},"assignees":[{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]}],"customer":{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false},"contacts":[{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false}],"project":{"id":"34769012","name":"Gutters"},"tags":[],"fields":{"job_number":1701,"job_status":"scheduled"},"revision":1}', '2026-03-06 12:02:00+00', 'efd0d150498b85f6', NULL);
INSERT INTO public.events VALUES (4, 'field', '2357912', 'completed', '2026-03-06 12:02:00+00', 'webhook', '{done}', NULL, NULL, '{"id":"2357912","account":"field","system":"kickserv","title":"Tap","url":null,"description":null,"type":"job","status":null,"done":false,"archived":false,"not_started":false,"priority":null,"due":"2026-03-07T13:01:00Z","due_is_day":false,"start":"2026-03-07T12:01:00Z","start_is_day":false,"end":"2026-03-07T13:01:00Z","end_is_day":false,"created_at":"2026-03-06T12:01:00Z","updated_at":"2026-03-06T12:01:00Z","completed_at":null,"completed_at_is_day":false,"completed_by":null,"author":null,"assignee":{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]},"assignees":[{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]}],"customer":{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false},"contacts":[{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false}],"project":{"id":"34769012","name":"Gutters"},"tags":[],"fields":{"job_number":1701,"job_status":"scheduled"},"revision":1}', '{"id":"2357912","account":"field","system":"kickserv","title":"Tap","url":null,"description":null,"type":"job","status":null,"done":true,"archived":false,"not_started":false,"priority":null,"due":"2026-03-07T13:01:00Z","due_is_day":false,"start":"2026-03-07T12:01:00Z","start_is_day":false,"end":"2026-03-07T13:01:00Z","end_is_day":false,"created_at":"2026-03-06T12:01:00Z","updated_at":"2026-03-06T12:02:00Z","completed_at":"2026-03-06T12:02:00Z","completed_at_is_day":true,"completed_by":null,"author":null,"assignee":{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]},"assignees":[{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]}],"customer":{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false},"contacts":[{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false}],"project":{"id":"34769012","name":"Gutters"},"tags":[],"fields":{"job_number":1701,"job_status":"scheduled"},"revision":1}', '2026-03-06 12:02:00+00', 'efd0d150498b85f6', NULL);
INSERT INTO public.lanes VALUES ('account:field', 'vm:5648', '2026-03-06 12:01:00+00');
INSERT INTO public.lanes VALUES ('account:london', 'vm:5648', '2026-03-06 12:01:00+00');
INSERT INTO public.lanes VALUES ('account:sales', 'vm:5648', '2026-03-06 12:01:00+00');
INSERT INTO public.lanes VALUES ('accounting', 'vm:5648', '2026-03-06 12:01:00+00');
INSERT INTO public.lanes VALUES ('mail', 'vm:5648', '2026-03-06 12:01:00+00');
INSERT INTO public.lanes VALUES ('slack', 'vm:5648', '2026-03-06 12:01:00+00');
INSERT INTO public.lanes VALUES ('writes:field', 'vm:5648', '2026-03-06 12:01:00+00');
INSERT INTO public.lanes VALUES ('writes:london', 'vm:5648', '2026-03-06 12:01:00+00');
INSERT INTO public.lanes VALUES ('writes:sales', 'vm:5648', '2026-03-06 12:01:00+00');
INSERT INTO public.lookups VALUES ('field', '99', 'webhook', '{}', '2026-03-06 12:02:00+00', 0, '2026-03-06 12:02:00+00', NULL, '{5}', 0, NULL, NULL, 0, NULL, NULL);
INSERT INTO public.migrations VALUES ('0001_initial.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0002_throttles.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0003_acknowledged.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0004_watches_and_leases.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0005_indexes.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0006_polling.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0007_canaries.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0008_flow.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0009_digests.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0010_holding.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0011_decided.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0012_digests_opened.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0020_announcements.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0023_absences.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0024_older_versions.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0026_unread.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0035_first_calls.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0036_asked_before_sending.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0037_outages.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0038_lanes_in_force.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0039_visits.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0040_floods.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0045_absences_held.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0046_came_into_sight.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0047_floods_of_rules.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0048_no_warning.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0049_recurring.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0050_digests_asked_before_sending.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0051_unsent.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0052_replays.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0053_sessions.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0054_places.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0056_lookup_leases.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0058_traces.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.migrations VALUES ('0059_asked_for.sql', '2026-11-30 06:54:35.37327+00');
INSERT INTO public.operator VALUES (NULL);
INSERT INTO public.receipts OVERRIDING SYSTEM VALUE VALUES (1, 'field', 'body:ff29f4523176952172f15290bf675121e1d38c95', '\x7b226964223a323335373931312c226e616d65223a22477574746572222c226465736372697074696f6e223a6e756c6c2c227363686564756c65645f6174223a22323032362d30332d30365430383a30313a30302d30353a3030222c22656e64735f6174223a22323032362d30332d30365430393a30313a30302d30353a3030222c22636f6d706c657465645f6f6e223a6e756c6c2c22637265617465645f6174223a22323032362d30332d30365430373a30313a30302d30353a3030222c227461736b5f747970655f6964223a312c226a6f62223a7b226964223a33343736393031322c226a6f625f6e756d626572223a313730312c226e616d65223a2247757474657273222c22737461747573223a227363686564756c6564227d2c22637573746f6d6572223a7b226964223a31333537392c226e616d65223a2249646120536d697468222c22656d61696c223a226964612e736d69746840637573746f6d65722e74657374222c2270686f6e65223a222b3120343135203535352030313030227d2c22636f6e74616374223a6e756c6c2c22656d706c6f79656573223a5b7b226964223a3834363738342c22656d706c6f7965655f6e756d626572223a342c2266697273745f6e616d65223a22426f222c226c6173745f6e616d65223a2252656564222c22656d61696c223a22626f2e72656564406669656c642e74657374222c2270617373776f72645f73616c74223a22706c616e7465642d73616c742d3751222c22656e637279707465645f70617373776f7264223a22706c616e7465642d686173682d3751222c2272656d656d6265725f746f6b656e223a22706c616e7465642d72656d656d6265722d3751227d5d2c22757064617465645f6174223a22323032362d30332d30365430373a30313a30302d30353a3030227d', '{}', '2026-03-06 12:01:00+00', 'done', NULL, 0, '2026-03-06 12:01:00+00', NULL, NULL, NULL);
INSERT INTO public.receipts OVERRIDING SYSTEM VALUE VALUES (2, 'field', 'body:5c0db3d4445542e7386b4fc1cc7c198e34888248', '\x7b226964223a323335373931322c226e616d65223a22546170222c226465736372697074696f6e223a6e756c6c2c227363686564756c65645f6174223a22323032362d30332d30375430373a30313a30302d30353a3030222c22656e64735f6174223a22323032362d30332d30375430383a30313a30302d30353a3030222c22636f6d706c657465645f6f6e223a6e756c6c2c22637265617465645f6174223a22323032362d30332d30365430373a30313a30302d30353a3030222c227461736b5f747970655f6964223a312c226a6f62223a7b226964223a33343736393031322c226a6f625f6e756d626572223a313730312c226e616d65223a2247757474657273222c22737461747573223a227363686564756c6564227d2c22637573746f6d6572223a7b226964223a31333537392c226e616d65223a2249646120536d697468222c22656d61696c223a226964612e736d69746840637573746f6d65722e74657374222c2270686f6e65223a222b3120343135203535352030313030227d2c22636f6e74616374223a6e756c6c2c22656d706c6f79656573223a5b7b226964223a3834363738342c22656d706c6f7965655f6e756d626572223a342c2266697273745f6e616d65223a22426f222c226c6173745f6e616d65223a2252656564222c22656d61696c223a22626f2e72656564406669656c642e74657374222c2270617373776f72645f73616c74223a22706c616e7465642d73616c742d3751222c22656e637279707465645f70617373776f7264223a22706c616e7465642d686173682d3751222c2272656d656d6265725f746f6b656e223a22706c616e7465642d72656d656d6265722d3751227d5d2c22757064617465645f6174223a22323032362d30332d30365430373a30313a30302d30353a3030227d', '{}', '2026-03-06 12:01:00+00', 'done', NULL, 0, '2026-03-06 12:01:00+00', NULL, NULL, NULL);
INSERT INTO public.receipts OVERRIDING SYSTEM VALUE VALUES (3, 'field', 'body:49f40bd881899a1ed5b44503a53f8b78a1ad6458', '\x7b226964223a323335373931312c226e616d65223a2247757474657273222c226465736372697074696f6e223a6e756c6c2c227363686564756c65645f6174223a22323032362d30332d30365430383a30313a30302d30353a3030222c22656e64735f6174223a22323032362d30332d30365430393a30313a30302d30353a3030222c22636f6d706c657465645f6f6e223a6e756c6c2c22637265617465645f6174223a22323032362d30332d30365430373a30313a30302d30353a3030222c227461736b5f747970655f6964223a312c226a6f62223a7b226964223a33343736393031322c226a6f625f6e756d626572223a313730312c226e616d65223a2247757474657273222c22737461747573223a227363686564756c6564227d2c22637573746f6d6572223a7b226964223a31333537392c226e616d65223a2249646120536d697468222c22656d61696c223a226964612e736d69746840637573746f6d65722e74657374222c2270686f6e65223a222b3120343135203535352030313030227d2c22636f6e74616374223a6e756c6c2c22656d706c6f79656573223a5b7b226964223a3834363738342c22656d706c6f7965655f6e756d626572223a342c2266697273745f6e616d65223a22426f222c226c6173745f6e616d65223a2252656564222c22656d61696c223a22626f2e72656564406669656c642e74657374222c2270617373776f72645f73616c74223a22706c616e7465642d73616c742d3751222c22656e637279707465645f70617373776f7264223a22706c616e7465642d686173682d3751222c2272656d656d6265725f746f6b656e223a22706c616e7465642d72656d656d6265722d3751227d5d2c22757064617465645f6174223a22323032362d30332d30365430373a30323a30302d30353a3030227d', '{}', '2026-03-06 12:02:00+00', 'done', NULL, 0, '2026-03-06 12:02:00+00', NULL, NULL, NULL);
INSERT INTO public.receipts OVERRIDING SYSTEM VALUE VALUES (4, 'field', 'body:45db7428b6fe22030c8f99d5585045ae492745f3', '\x7b226964223a323335373931322c226e616d65223a22546170222c226465736372697074696f6e223a6e756c6c2c227363686564756c65645f6174223a22323032362d30332d30375430373a30313a30302d30353a3030222c22656e64735f6174223a22323032362d30332d30375430383a30313a30302d30353a3030222c22636f6d706c657465645f6f6e223a22323032362d30332d3036222c22637265617465645f6174223a22323032362d30332d30365430373a30313a30302d30353a3030222c227461736b5f747970655f6964223a312c226a6f62223a7b226964223a33343736393031322c226a6f625f6e756d626572223a313730312c226e616d65223a2247757474657273222c22737461747573223a227363686564756c6564227d2c22637573746f6d6572223a7b226964223a31333537392c226e616d65223a2249646120536d697468222c22656d61696c223a226964612e736d69746840637573746f6d65722e74657374222c2270686f6e65223a222b3120343135203535352030313030227d2c22636f6e74616374223a6e756c6c2c22656d706c6f79656573223a5b7b226964223a3834363738342c22656d706c6f7965655f6e756d626572223a342c2266697273745f6e616d65223a22426f222c226c6173745f6e616d65223a2252656564222c22656d61696c223a22626f2e72656564406669656c642e74657374222c2270617373776f72645f73616c74223a22706c616e7465642d73616c742d3751222c22656e637279707465645f70617373776f7264223a22706c616e7465642d686173682d3751222c2272656d656d6265725f746f6b656e223a22706c616e7465642d72656d656d6265722d3751227d5d2c22757064617465645f6174223a22323032362d30332d30365430373a30323a30302d30353a3030227d', '{}', '2026-03-06 12:02:00+00', 'done', NULL, 0, '2026-03-06 12:02:00+00', NULL, NULL, NULL);
INSERT INTO public.receipts OVERRIDING SYSTEM VALUE VALUES (5, 'field', 'body:d957e9c2fa07291a6f0f1c00046a8b4850259754', '\x7b226964223a223939227d', '{}', '2026-03-06 12:02:00+00', 'done', NULL, 0, '2026-03-06 12:02:00+00', NULL, NULL, NULL);
INSERT INTO public.rulesets VALUES ('efd0d150498b85f6', '{
  "timezone": "America/New_York",
  "hours": {
    "office": "Mo-Fr 08:00-17:00"
  },
  "rules": [
    {
      "id": "renamed",
      "when": {
        "task.changed": [
          "title"
        ]
      },
      "settle": "10m",
      "then": [
        {
          "notify": "slack:#office",
          "text": "renamed {{ task.title }}"
        }
      ]
    },
    {
      "id": "open",
      "when": "task.created",
      "if": "!task.done",
      "for": "10m",
      "then": [
        {
          "notify": "slack:#office",
          "text": "open {{ task.title }}"
        }
      ]
    },
    {
      "id": "done",
      "when": "task.completed",
      "group": {
        "by": "''all''",
        "wait": "30m"
      },
      "then": [
        {
          "notify": "slack:#office",
          "text": "done {{ group.tasks | map: ''title'' | join: '', '' }}"
        }
      ]
    },
    {
      "id": "late",
      "when": "task.overdue",
      "then": [
        {
          "notify": "slack:#office",
          "text": "late {{ task.title }}"
        }
      ]
    },
    {
      "id": "new",
      "when": "task.created",
      "hours": "office",
      "then": [
        {
          "notify": "slack:#office",
          "text": "new {{ task.title }}"
        }
      ]
    },
    {
      "id": "daily",
      "when": {
        "schedule": "30 8 * * *"
      },
      "for_each": "tasks.filter(t, !t.done)",
      "then": [
        {
          "notify": "slack:#office",
          "text": "today {{ task.title }}"
        }
      ]
    }
  ]
}', '2026-03-06 12:00:00+00');
INSERT INTO public.schedules VALUES ('daily', 'field', '30 8 * * *', 'America/New_York', '2026-03-06 13:30:00+00');
INSERT INTO public.schedules VALUES ('daily', 'london', '30 8 * * *', 'Europe/London', '2026-03-07 08:30:00+00');
INSERT INTO public.schedules VALUES ('daily', 'sales', '30 8 * * *', 'America/New_York', '2026-03-06 13:30:00+00');
INSERT INTO public.settling VALUES ('open', 'field', '2357911', 1, NULL, '2026-03-06 12:01:00+00', '2026-03-06 12:11:00+00');
INSERT INTO public.settling VALUES ('renamed', 'field', '2357911', 3, '{"id":"2357911","account":"field","system":"kickserv","title":"Gutter","url":null,"description":null,"type":"job","status":null,"done":false,"archived":false,"not_started":false,"priority":null,"due":"2026-03-06T14:01:00Z","due_is_day":false,"start":"2026-03-06T13:01:00Z","start_is_day":false,"end":"2026-03-06T14:01:00Z","end_is_day":false,"created_at":"2026-03-06T12:01:00Z","updated_at":"2026-03-06T12:01:00Z","completed_at":null,"completed_at_is_day":false,"completed_by":null,"author":null,"assignee":{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]},"assignees":[{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]}],"customer":{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false},"contacts":[{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false}],"project":{"id":"34769012","name":"Gutters"},"tags":[],"fields":{"job_number":1701,"job_status":"scheduled"},"revision":1}', '2026-03-06 12:02:00+00', '2026-03-06 12:12:00+00');
INSERT INTO public.tasks VALUES ('field', '2357911', '{"id":"2357911","account":"field","system":"kickserv","title":"Gutters","url":null,"description":null,"type":"job","status":null,"done":false,"archived":false,"not_started":false,"priority":null,"due":"2026-03-06T14:01:00Z","due_is_day":false,"start":"2026-03-06T13:01:00Z","start_is_day":false,"end":"2026-03-06T14:01:00Z","end_is_day":false,"created_at":"2026-03-06T12:01:00Z","updated_at":"2026-03-06T12:02:00Z","completed_at":null,"completed_at_is_day":false,"completed_by":null,"author":null,"assignee":{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]},"assignees":[{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]}],"customer":{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false},"contacts":[{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false}],"project":{"id":"34769012","name":"Gutters"},"tags":[],"fields":{"job_number":1701,"job_status":"scheduled"},"revision":1}', '\x75ebc590f75cdf4bdfa1b6b93a02df07', '2026-03-06 12:02:00+00', '2026-03-06 12:02:00+00', NULL, '{}', '2026-03-06 14:01:00+00', '308794448a981c1f', NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('field', '2357912', '{"id":"2357912","account":"field","system":"kickserv","title":"Tap","url":null,"description":null,"type":"job","status":null,"done":true,"archived":false,"not_started":false,"priority":null,"due":"2026-03-07T13:01:00Z","due_is_day":false,"start":"2026-03-07T12:01:00Z","start_is_day":false,"end":"2026-03-07T13:01:00Z","end_is_day":false,"created_at":"2026-03-06T12:01:00Z","updated_at":"2026-03-06T12:02:00Z","completed_at":"2026-03-06T12:02:00Z","completed_at_is_day":true,"completed_by":null,"author":null,"assignee":{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]},"assignees":[{"id":"846784","name":"Bo Reed","email":"bo.reed@field.test","number":"4","from_directory":[]}],"customer":{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false},"contacts":[{"id":"13579","name":"Ida Smith","email":"ida.smith@customer.test","phone":"+1 415 555 0100","opted_out":false}],"project":{"id":"34769012","name":"Gutters"},"tags":[],"fields":{"job_number":1701,"job_status":"scheduled"},"revision":1}', '\xbe3cec6bda4d063c8a5787b07e1b20b1', '2026-03-06 12:02:00+00', '2026-03-06 12:02:00+00', NULL, '{}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.throttles VALUES ('field', '2026-03-06 11:59:59.987327+00', 0, NULL, NULL);
INSERT INTO public.throttles VALUES ('london', '2026-03-06 11:59:59.987327+00', 0, NULL, NULL);
INSERT INTO public.throttles VALUES ('sales', '2026-03-06 11:59:59.987327+00', 0, NULL, NULL);
INSERT INTO public.watches VALUES ('before', NULL, '[]');
INSERT INTO public.watches VALUES ('308794448a981c1f', 'America/New_York', '[["overdue", "due", 0.0, null]]');
INSERT INTO public.watches VALUES ('7b972b735b7a5409', 'Europe/London', '[["overdue", "due", 0.0, null]]');
SELECT pg_catalog.setval('public.decisions_id_seq', 4, true);
SELECT pg_catalog.setval('public.deliveries_id_seq', 2, true);
SELECT pg_catalog.setval('public.digests_id_seq', 1, true);
SELECT pg_catalog.setval('public.event_ids', 4, true);
SELECT pg_catalog.setval('public.outages_id_seq', 1, false);
SELECT pg_catalog.setval('public.receipts_id_seq', 5, true);
SELECT pg_catalog.setval('public.silences_id_seq', 1, false);
SELECT pg_catalog.setval('public.storms_id_seq', 1, false);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.announcements
    ADD CONSTRAINT announcements_pkey PRIMARY KEY (account, task, receipt, kind, signal);
ALTER TABLE ONLY public.counters
    ADD CONSTRAINT counters_pkey PRIMARY KEY (name, labels);
ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.digest_members
    ADD CONSTRAINT digest_members_pkey PRIMARY KEY (digest, task);
ALTER TABLE ONLY public.digests
    ADD CONSTRAINT digests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.lanes
    ADD CONSTRAINT lanes_pkey PRIMARY KEY (process, name);
ALTER TABLE ONLY public.lookups
    ADD CONSTRAINT lookups_pkey PRIMARY KEY (account, task);
ALTER TABLE ONLY public.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.outages
    ADD CONSTRAINT outages_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.receipts
    ADD CONSTRAINT receipts_account_key_key UNIQUE (account, key);
ALTER TABLE ONLY public.receipts
    ADD CONSTRAINT receipts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rulesets
    ADD CONSTRAINT rulesets_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (rule, account);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.settling
    ADD CONSTRAINT settling_pkey PRIMARY KEY (rule, account, task);
ALTER TABLE ONLY public.silences
    ADD CONSTRAINT silences_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.storms
    ADD CONSTRAINT storms_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (account, id);
ALTER TABLE ONLY public.throttles
    ADD CONSTRAINT throttles_pkey PRIMARY KEY (account);
ALTER TABLE ONLY public.watches
    ADD CONSTRAINT watches_pkey PRIMARY KEY (id);
CREATE INDEX decisions_at ON public.decisions USING btree (at);
CREATE INDEX decisions_event ON public.decisions USING btree (event);
CREATE INDEX deliveries_created ON public.deliveries USING btree (created_at);
CREATE INDEX deliveries_due ON public.deliveries USING btree (lane, next_attempt_at) WHERE (state = ANY (ARRAY['planned'::text, 'held'::text]));
CREATE INDEX deliveries_event ON public.deliveries USING btree (event);
CREATE INDEX deliveries_flood ON public.deliveries USING btree (flood, settled_at, next_attempt_at) WHERE ((flood IS NOT NULL) AND (storm IS NULL));
CREATE INDEX deliveries_flood_of_rule ON public.deliveries USING btree (account, rule, settled_at, next_attempt_at) WHERE ((flood <> account) AND (storm IS NULL));
CREATE INDEX deliveries_leased ON public.deliveries USING btree (lease_until) WHERE (state = 'sending'::text);
CREATE INDEX deliveries_limited ON public.deliveries USING btree (rule, limited_at) WHERE (limited_at IS NOT NULL);
CREATE INDEX deliveries_made ON public.deliveries USING btree (account, ((receipt ->> 'task'::text))) WHERE (channel = 'create_task'::text);
CREATE INDEX deliveries_making ON public.deliveries USING btree (account) WHERE ((channel = 'create_task'::text) AND (state = ANY (ARRAY['planned'::text, 'sending'::text])));
CREATE INDEX deliveries_mutes ON public.deliveries USING gin (mutes) WHERE (mutes IS NOT NULL);
CREATE UNIQUE INDEX deliveries_on_trial ON public.deliveries USING btree (rule, once_key, step, target) WHERE ((state <> ALL (ARRAY['cancelled'::text, 'expired'::text])) AND shadow);
CREATE UNIQUE INDEX deliveries_once ON public.deliveries USING btree (rule, once_key, step, target) WHERE ((state <> ALL (ARRAY['skipped'::text, 'cancelled'::text, 'expired'::text])) AND (NOT shadow));
CREATE INDEX deliveries_storm ON public.deliveries USING btree (storm) WHERE (storm IS NOT NULL);
CREATE INDEX deliveries_task ON public.deliveries USING btree (account, task) WHERE (state = ANY (ARRAY['planned'::text, 'held'::text, 'sending'::text]));
CREATE INDEX deliveries_trouble ON public.deliveries USING btree (id) WHERE ((state = ANY (ARRAY['failed'::text, 'unknown'::text])) AND (acknowledged_at IS NULL));
CREATE INDEX deliveries_undo ON public.deliveries USING btree (account, task) WHERE (on_undo IS NOT NULL);
CREATE INDEX deliveries_visit ON public.deliveries USING btree (visit) WHERE ((visit IS NOT NULL) AND (state = ANY (ARRAY['sending'::text, 'sent'::text, 'unknown'::text])));
CREATE INDEX digests_due ON public.digests USING btree (closes_at);
CREATE UNIQUE INDEX digests_open ON public.digests USING btree (rule, account, key) WHERE (NOT is_full);
CREATE INDEX events_at ON public.events USING btree (at);
CREATE INDEX events_decided ON public.events USING btree (decided_at, id);
CREATE INDEX events_task ON public.events USING btree (account, task, id);
CREATE INDEX lookups_absent ON public.lookups USING btree (account) WHERE (absent_at IS NOT NULL);
CREATE INDEX lookups_due ON public.lookups USING btree (account, ((cause = 'fetch'::text)), next_attempt_at);
CREATE INDEX receipts_pending ON public.receipts USING btree (account, id) WHERE (state = 'pending'::text);
CREATE INDEX receipts_poison ON public.receipts USING btree (id) WHERE ((state = 'poison'::text) AND (acknowledged_at IS NULL));
CREATE INDEX receipts_received ON public.receipts USING btree (received_at);
CREATE INDEX schedules_due ON public.schedules USING btree (next_at);
CREATE INDEX settling_due ON public.settling USING btree (ends_at);
CREATE INDEX silences_ends ON public.silences USING btree (ends_at);
CREATE INDEX storms_ended ON public.storms USING btree (flood, ended_at);
CREATE UNIQUE INDEX storms_open ON public.storms USING btree (flood) WHERE (ended_at IS NULL);
CREATE INDEX tasks_gone ON public.tasks USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);
CREATE INDEX tasks_unlisted ON public.tasks USING btree (account) WHERE (unlisted_at IS NOT NULL);
CREATE INDEX tasks_unread ON public.tasks USING btree (account) WHERE (unread IS NOT NULL);
CREATE INDEX tasks_watched ON public.tasks USING btree (account, watch, next_alarm) WHERE (watch IS NOT NULL);
ALTER TABLE ONLY public.digest_members
    ADD CONSTRAINT digest_members_digest_fkey FOREIGN KEY (digest) REFERENCES public.digests(id) ON DELETE CASCADE;
