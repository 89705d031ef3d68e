"""Limits on requests, connections and failed sign-ins."""
