-- A person wants to have it sent: nothing that holds back others applies to it until it has ended.
ALTER TABLE deliveries ADD COLUMN asked_for boolean NOT NULL DEFAULT false;
UPDATE deliveries SET asked_for = true
WHERE state IN ('planned', 'held', 'sending') AND reason LIKE 'a person asked for another attempt%';
