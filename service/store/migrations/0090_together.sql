-- A rule with `together` has one digest for several accounts: which one a member is of, if not of the
-- digest's. Its `task` then begins with that name and a slash, as the key has no account: workers of
-- the previous version add members by (digest, task).
ALTER TABLE digest_members ADD COLUMN account text;

-- The tasks in open digests, each with its account.
CREATE VIEW digest_tasks AS
SELECT members.digest, coalesce(members.account, digests.account) AS account,
    CASE WHEN members.account IS NULL THEN members.task
         ELSE substr(members.task, length(members.account) + 2) END AS task,
    members.event, members.anchor
FROM digest_members AS members JOIN digests ON digests.id = members.digest;

-- The accounts of such a rule that were not up to date when its schedule fired.
ALTER TABLE events ADD COLUMN outdated text;
