"""Documents in YAML: their values with places, their errors, and how they are changed."""
