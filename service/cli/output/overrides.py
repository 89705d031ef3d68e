"""What commands say about rules that a person has switched."""

from collections.abc import Container, Iterator, Mapping

from service.domain.overrides import Override


def tell_overrides(overrides: Mapping[str, Override], rules: Container[str]) -> Iterator[str]:
    """A line for each override; it has no effect if its rule is not one of these."""
    for rule, one in sorted(overrides.items()):
        line = f"rule {rule} was {one.said}, {one.at.astimezone():%d %b %H:%M}"
        if rule in rules:
            yield f"{line}, whatever the file says; `taskbell rules follow {rule}` undoes it"
        else:
            yield f"{line}; the configuration has no such rule: `taskbell rules follow {rule}`"
