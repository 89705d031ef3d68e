"""Running the rule tests of a configuration."""
