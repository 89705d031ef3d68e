"""Read-only views of the tables, for the page, the API and the commands."""
