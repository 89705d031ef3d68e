"""How commands show what they have to say: for people on a terminal, and as JSON."""
