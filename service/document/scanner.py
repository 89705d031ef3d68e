"""ruamel's scanner, in time that grows with the text also where brackets stand in brackets.

Wherever a name may begin, the scanner remembers the place until the colon comes, or 1024 characters
have gone by. The original goes through all these places for every token; they are in their order,
so that the first of them is enough.
"""

from ruamel.yaml.scanner import Scanner

_LONGEST_NAME = 1024


class OrderedScanner(Scanner):
    """Keeps the places where names may begin, of which an inner one is later than an outer one."""

    def next_possible_simple_key(self) -> int | None:
        """The number of the first token that may be a name."""
        return next((key.token_number for key in self.possible_simple_keys.values()), None)

    def stale_possible_simple_keys(self) -> None:
        """Forget the places that are too far back; the original says what is wrong there."""
        first = next(iter(self.possible_simple_keys.values()), None)
        if first is not None and self._is_stale(first.line, first.index):
            super().stale_possible_simple_keys()

    def _is_stale(self, line: int, index: int) -> bool:
        return bool(line != self.reader.line or self.reader.index - index > _LONGEST_NAME)
