"""Room ``notifications``: what people are told of a release, and the outbox that brings it to them."""
