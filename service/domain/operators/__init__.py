"""What operators decide: holds, silences, overrides of rules, and answers to messages."""
