"""Where the daemon listens, by which name others reach it, and what they must know."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from relman_plugins.errors import PlatformRejected

LOOPBACK = frozenset({"127.0.0.1", "localhost"})

TOKEN = "RELMAN_SANDBOX_TOKEN"  # noqa: S105 - the name of a variable
"""Environment variable with the token: a command line could be read by everybody on the machine."""

TOKEN_LENGTH = 32
"""Fewer characters could be guessed."""


@dataclass(frozen=True)
class Reach:
    """Loopback only, or an address that needs a token.

    Raises:
        PlatformRejected: The address is none, or is beyond loopback without a token long enough.
    """

    listen: str = "127.0.0.1"
    """Address that both ports are bound to."""
    name: str = ""
    """Host name by which others reach the daemon; the address when it is empty."""
    token: str = ""
    """What whoever looks at or changes services must send; "" asks for nothing."""

    def __post_init__(self) -> None:
        try:
            beyond = not ip_address(self.listen).is_loopback
        except ValueError as e:
            raise PlatformRejected(f'cannot listen on "{self.listen}": expected an IP address') from e
        if (beyond or self.token) and len(self.token) < TOKEN_LENGTH:
            raise PlatformRejected(
                f"listening on {self.listen} needs a token of {TOKEN_LENGTH} characters or more in "
                f"{TOKEN}: whoever reaches the control port can start programs here"
            )

    @property
    def host(self) -> str:
        """The host of the daemon's addresses."""
        return self.name or self.listen

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that a request may be addressed to."""
        return LOOPBACK | {self.host}
