"""Payments: one at a time is what a unit test can see."""

from __future__ import annotations

from checkout import payments


def test_a_payment_has_an_id_of_its_own():
    processor = payments.Processor()
    assert processor.pay(100) != processor.pay(100)


def test_the_id_says_the_amount():
    assert payments.Processor().pay(2975).endswith("_2975")
