"""Kubernetes: a version is a Deployment, traffic is a Service's selector or a route's weights.

Each version stands in one of two slots, `blue` and `green`, so that nothing that was proven is started again
when it is promoted. Everything is written by server-side apply as the field manager `relman`. The driver gets
its API client from a hook, and reads the state back from the cluster alone.
"""
