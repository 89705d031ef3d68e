-- What the receiver of a message can answer, such as "acknowledge".
ALTER TABLE deliveries ADD COLUMN buttons text[];
