"""The embedded platform: real processes, real HTTP traffic, real weights, on one machine.

A daemon owns the processes and the front door (`python -m relman_plugins.platforms.sandbox`); the driver
speaks to its control API. The daemon may be killed at any moment: replicas live on, and the next daemon in
the same home takes them over with their ports, weights and counters.
"""
