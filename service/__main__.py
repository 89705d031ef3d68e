"""`python -m service` is the `taskbell` command."""

from service.cli.app import main

main()
