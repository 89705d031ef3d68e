-- A body without a name of its own that comes again within minutes is a replay: when it was first said.
ALTER TABLE receipts ADD COLUMN said_at timestamptz;
