"""Running the tests that stand beside the rules."""
