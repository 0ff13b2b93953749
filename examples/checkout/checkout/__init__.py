"""Checkout: prices a basket, adds tax, takes the payment."""
