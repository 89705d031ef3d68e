-- The words of a task change more rarely than the task. In the table of tasks they were computed
-- and indexed at every change, of an alarm too: the first sync of 200,000 tasks took half as long
-- again, and setting their alarms anew nearly twice as long. A task that
-- workers of the version before store meanwhile is found by its words once these change.
CREATE TABLE task_words (
    account text NOT NULL,
    task    text NOT NULL,
    words   tsvector NOT NULL,
    PRIMARY KEY (account, task)
);
INSERT INTO task_words SELECT account, id, words FROM tasks WHERE snapshot IS NOT NULL;
CREATE INDEX task_words_words ON task_words USING gin (words);
ALTER TABLE tasks DROP COLUMN words;
