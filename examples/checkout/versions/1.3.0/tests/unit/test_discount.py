"""Five per cent from ten pieces on, ten from twenty."""

from checkout import pricing


def test_more_pieces_are_cheaper():
    assert pricing.price([{"article": "sticker", "quantity": 9}], "US")["discount"] == 0
    assert pricing.price([{"article": "sticker", "quantity": 10}], "US")["discount"] == 75
    assert pricing.price([{"article": "sticker", "quantity": 20}], "US")["discount"] == 300
