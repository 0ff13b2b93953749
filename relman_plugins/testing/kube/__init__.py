"""A small Kubernetes: its API over HTTP on a loopback port, and controllers that make things progress.

No package does this: those that exist answer as they are told (kmock), or start a cluster in containers
(kind, k3d). It speaks what a deployment tool needs of the protocol, in its shapes: discovery, server-side
apply with field managers, resource versions, generations, dry runs, watches that end, bookmarks; and faults
that a test orders. It is no Kubernetes: whatever is said to work with one is to be tried on a real one too.
"""

from relman_plugins.testing.kube.cluster import Cluster

__all__ = ["Cluster"]
