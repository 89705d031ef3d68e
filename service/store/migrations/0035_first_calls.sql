-- The share of an account's calls that is kept for customer messages: a bucket of its own.
ALTER TABLE throttles ADD COLUMN first_call_at timestamptz;

-- What is written to a system has a lane of its own, so that no customer waits behind it.
UPDATE deliveries SET lane = 'writes:' || account
WHERE state IN ('planned', 'held') AND lane = 'account:' || account
  AND channel IN ('create_task', 'update_task', 'complete_task');
