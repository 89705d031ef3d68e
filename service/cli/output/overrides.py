"""What commands say about rules that a person has switched."""

from collections.abc import Collection, Iterator, Mapping

from service.domain.operators.overrides import Override


def lines_of(
    overrides: Mapping[str, Override], rules: Collection[str] | None = None
) -> Iterator[str]:
    """A line for each override; those of other `rules` have no effect, if these are known."""
    for rule, one in sorted(overrides.items()):
        line = f"rule {rule} was {one.said}, {one.at.astimezone():%d %b %H:%M %Z}"
        if rules is None or rule in rules:
            yield f"{line}; `taskbell rules follow {rule}` undoes this"
        else:
            yield (
                f"{line}, and the configuration has no such rule;"
                f" `taskbell rules follow {rule}` removes this switch"
            )
