-- The key of the digest that a decision is about; it was only in the reason, for people to read.
ALTER TABLE decisions ADD COLUMN group_key text;
UPDATE decisions SET group_key = CASE found WHEN 'nobody and nothing' THEN '' ELSE found END
FROM (
    SELECT id, coalesce(
        substring(reason FROM '^.*; told with others of (.*)$'),
        substring(reason FROM '^(?:shadow: )?digest of (.*): [0-9]+ tasks?')) AS found
    FROM decisions
    WHERE outcome = 'gathered' OR reason LIKE 'digest of %' OR reason LIKE 'shadow: digest of %'
) AS told
WHERE told.id = decisions.id AND found IS NOT NULL;
