"""Rules: what they are compiled to, and the verdicts of a `Ruleset` on events."""
