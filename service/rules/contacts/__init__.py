"""The policy for messages to customers: to whom, at which hours, and how many a day."""
