"""What was asked for last, and the token of the lock: kept in the cluster, in a ConfigMap."""

from __future__ import annotations

from dataclasses import dataclass

from relman_plugins.platforms.kubernetes.objects import SLOTS, Obj, Objects


@dataclass(frozen=True)
class Roles:
    """What was asked for last."""

    token: int = 0
    asked: str = ""
    """Which call asked for it."""
    stable: str = ""
    """The slot of the stable revision; empty when there is none."""
    candidate: str = ""
    weight: int = 0
    served: tuple[str, ...] = ()
    """Keys of versions that were stable before, the last first: what may be gone back to."""
    moved_at: float = 0.0
    """When the traffic was last moved away from a slot, in seconds since the epoch."""
    strange: str = ""
    """What is not as relman wrote it, and what to do; such fields are read as if they were not there."""

    @classmethod
    def of(cls, config_map: Obj | None) -> Roles:
        """Read them; what is not there is nothing."""
        data = dict((config_map or {}).get("data") or {})
        strange = [k for k in ("token", "weight", "moved_at") if not data.get(k, "0").isdecimal()]
        strange += [k for k in ("stable", "candidate") if data.get(k, "") not in ("", *SLOTS)]
        said = ", ".join(f"{k}: {data.pop(k)!r}" for k in strange)
        name = config_map["metadata"]["name"] if config_map else ""
        return cls(
            token=int(data.get("token", 0)),
            asked=data.get("asked", ""),
            stable=data.get("stable", ""),
            candidate=data.get("candidate", ""),
            weight=int(data.get("weight", 0)),
            served=tuple(filter(None, data.get("served", "").split(","))),
            moved_at=float(data.get("moved_at", 0)),
            strange=f"ConfigMap {name} is not as relman wrote it ({said}); remove it while no release is in "
            "flight"
            if strange
            else "",
        )

    def data(self) -> dict[str, str]:
        """Return what is kept."""
        return {
            "token": str(self.token),
            "asked": self.asked,
            "stable": self.stable,
            "candidate": self.candidate,
            "weight": str(self.weight),
            "served": ",".join(self.served),
            "moved_at": f"{self.moved_at:.0f}",
        }


def roles_path(objects: Objects) -> str:
    """Return the path of the ConfigMap in which relman remembers."""
    return objects.path("ConfigMap", f"relman-{objects.environment}-{objects.service}")
