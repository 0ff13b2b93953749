"""What a basket costs, in cents."""

from __future__ import annotations

CATALOGUE = {"mug": 1250, "shirt": 2490, "sticker": 150, "hoodie": 5900}
"""Net price of one piece by article."""

TAX = {"DE": 19, "FR": 20, "AT": 20, "CH": 8, "US": 0}
"""Tax in percent by country."""


class InvalidError(Exception):
    """A request that cannot be priced; the message is for the caller."""


def discount(quantity: int, net: int) -> int:
    """Return what is taken off a line of ``net`` cents."""
    return net * 5 // 100 if quantity >= 10 else 0


def price(items: list[dict[str, object]], country: str) -> dict[str, int]:
    """Price a basket: ``net``, ``discount``, ``tax`` and ``total`` in cents.

    Raises:
        InvalidError: Unknown article or country, no items, a quantity that is no whole number from 1 to 99.
    """
    if country not in TAX:
        raise InvalidError(f"unknown country {country!r}; expected one of {', '.join(sorted(TAX))}")
    if not isinstance(items, list) or not items:
        raise InvalidError("items is empty; expected a list of {article, quantity}")
    net = off = 0
    for item in items:
        article, quantity = item.get("article"), item.get("quantity", 1)
        if article not in CATALOGUE:
            raise InvalidError(f"unknown article {article!r}; expected one of {', '.join(sorted(CATALOGUE))}")
        if not isinstance(quantity, int) or isinstance(quantity, bool) or not 1 <= quantity <= 99:
            raise InvalidError(f"quantity of {article} is {quantity!r}; expected a whole number from 1 to 99")
        line = CATALOGUE[str(article)] * quantity
        net += line
        off += discount(quantity, line)
    tax = (net - off) * TAX[country] // 100
    return {"net": net, "discount": off, "tax": tax, "total": net - off + tax}
