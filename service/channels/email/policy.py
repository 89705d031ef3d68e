"""How a mail is written down."""

from email.policy import EmailPolicy

UNSUBSCRIBE = "List-Unsubscribe"


class MailPolicy(EmailPolicy):
    """Writes the link to unsubscribe as it is.

    The library encodes a word that is longer than a line, and mail programs do not decode this one.
    """

    def fold_binary(self, name: str, value: str) -> bytes:
        if name == UNSUBSCRIBE:
            return f"{name}: {value}{self.linesep}".encode()
        return super().fold_binary(name, value)


POLICY = MailPolicy(linesep="\r\n", cte_type="7bit")
