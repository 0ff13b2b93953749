"""Prices: no server needed."""

from __future__ import annotations

import pytest
from checkout import pricing


def test_tax_is_added_to_the_net_price():
    assert pricing.price([{"article": "mug", "quantity": 2}], "DE") == {
        "net": 2500, "discount": 0, "tax": 475, "total": 2975,
    }  # fmt: skip


def test_lines_add_up():
    basket = [{"article": "mug", "quantity": 1}, {"article": "sticker", "quantity": 3}]
    assert pricing.price(basket, "US")["total"] == 1250 + 450


def test_a_discount_never_exceeds_the_line():
    for quantity in range(1, 100):
        quote = pricing.price([{"article": "shirt", "quantity": quantity}], "FR")
        assert 0 <= quote["discount"] < quote["net"]


@pytest.mark.parametrize("country", sorted(pricing.TAX))
def test_the_total_is_its_parts(country):
    quote = pricing.price([{"article": "hoodie", "quantity": 12}], country)
    assert quote["total"] == quote["net"] - quote["discount"] + quote["tax"]


@pytest.mark.parametrize("quantity", [0, -1, 100, 1.5, "2", True])
def test_a_strange_quantity_is_refused(quantity):
    with pytest.raises(pricing.InvalidError, match="whole number"):
        pricing.price([{"article": "mug", "quantity": quantity}], "DE")


def test_an_unknown_article_or_country_is_refused():
    with pytest.raises(pricing.InvalidError, match="unknown article"):
        pricing.price([{"article": "boat"}], "DE")
    with pytest.raises(pricing.InvalidError, match="unknown country"):
        pricing.price([{"article": "mug"}], "XX")
    with pytest.raises(pricing.InvalidError, match="empty"):
        pricing.price([], "DE")
