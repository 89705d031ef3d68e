"""Bad inputs in large numbers, made by chance: `make fuzz` tries a million of them.

What is made depends on nothing but a seed, which stands in the name of the test that fails.
"""
