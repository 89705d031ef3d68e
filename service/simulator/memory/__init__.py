"""The transaction of the engine in memory, for rule tests and backtests."""
