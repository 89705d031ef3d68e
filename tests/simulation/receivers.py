"""Those who get messages: what they have got, and the channels that lead to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.channels import Channel, Message, SentRef, kinds
from service.clock import Clock
from service.config import Config
from service.errors import SendError
from service.http.connection_check import ConnectionCheck
from tests.simulation.network import Busy, Failed, Network, NoAnswer, NotReached


@dataclass(frozen=True, slots=True)
class Got:
    """A message as it has arrived."""

    at: datetime
    key: str
    rule: str
    task: str
    target: str
    text: str


class Receiver:
    """A service that takes messages; it does not recognise repetitions."""

    def __init__(self, name: str, network: Network, clock: Clock) -> None:
        self.name = name
        self.got: list[Got] = []
        self._network = network
        self._clock = clock

    async def take(self, message: Message) -> SentRef:
        def carry_out() -> SentRef:
            now, one = self._clock.now(), message
            got = Got(now, one.key, one.rule, one.task_id, one.target, one.text)
            self.got.append(got)
            return {"number": len(self.got)}

        return await self._asked(carry_out)

    async def probe(self) -> None:
        await self._asked(dict)

    async def _asked(self, carry_out: object) -> SentRef:
        try:
            return await self._network.call(self.name, carry_out)  # type: ignore[arg-type]
        except NotReached:
            raise SendError(f"{self.name} could not be reached") from None
        except NoAnswer:
            raise SendError(f"{self.name} did not answer", outcome_unknown=True) from None
        except Failed:
            raise SendError(f"{self.name} answered 500", status=500) from None
        except Busy as error:
            pause = timedelta(seconds=error.seconds)
            raise SendError(f"{self.name} is busy", retry_after=pause, status=429) from None


class SimulatedChannel(Channel):
    """The way to a receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def send(self, message: Message) -> SentRef:
        return await self._receiver.take(message)

    async def probe(self, check: ConnectionCheck) -> str | None:
        del check
        await self._receiver.probe()
        return None


class GuardedChannel(SimulatedChannel):
    """The way to a receiver of text messages: none is repeated that may have arrived."""

    at_most_once = True


def channels(config: Config, receivers: Mapping[str, Receiver]) -> dict[str, Channel]:
    """A channel for each that is configured; it keeps what its kind promises."""
    return {
        name: (GuardedChannel if kinds()[options.kind].at_most_once else SimulatedChannel)(
            receivers[name]
        )
        for name, options in config.channels.items()
    }
