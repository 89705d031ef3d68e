"""ruamel's scanner, with linear time also for nested brackets.

Wherever a name may begin, the scanner keeps the position until the colon comes, or 1024 characters
have passed. The original checks all these positions for every token; they are in order, so that the
first of them is enough.
"""

from ruamel.yaml.scanner import Scanner

_LONGEST_NAME = 1024


class OrderedScanner(Scanner):
    """Keeps the positions where names may begin; a position of an inner level is a later one."""

    def next_possible_simple_key(self) -> int | None:
        """The number of the first token that may be a name."""
        return next((key.token_number for key in self.possible_simple_keys.values()), None)

    def stale_possible_simple_keys(self) -> None:
        """Drop the positions that are too far back; the original reports errors there."""
        first = next(iter(self.possible_simple_keys.values()), None)
        if first is not None and self._is_stale(first.line, first.index):
            super().stale_possible_simple_keys()

    def _is_stale(self, line: int, index: int) -> bool:
        return bool(line != self.reader.line or self.reader.index - index > _LONGEST_NAME)
