"""A pipeline and the policies it extends → the pipeline as if everything were written in it.

Works on values with their places, before any model is made: what a policy gives keeps its place in the
policy's file, and every rule and message applies to it as if the pipeline said it. Of two that say the same
thing differently the nearer one counts as a whole: the pipeline, then its policies from the last one named to
the first, each before those it extends. Only gates, calendars and routes add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from relman_plugins.spec.models.reports import FORMATS
from relman_plugins.spec.position import Document, Node, Span

ADDED = ("gates", "calendars")
"""Lists of a stage that add up."""
ROUTES = "routes"
FOLLOW_UPS = "follow_ups"
ASSESS = "assess"


def merged(pipeline: Document, policies: Sequence[Document]) -> Document:
    """Return the pipeline with what its policies give, who come farthest first. Changes none of them."""
    roots = [policy.root for policy in policies]
    if not roots:
        return pipeline
    root = _stages(pipeline.root, roots)
    root = _suites(root, roots)
    root = _analyses(root, roots)
    root = _defaults(root, [(r, FOLLOW_UPS) for r in roots if FOLLOW_UPS in r.children])
    root = _defaults_below(root, ASSESS, [(r, ASSESS) for r in roots if ASSESS in r.children])
    return Document(pipeline.path, pipeline.text, _notify(root, roots))


def _stages(root: Node, policies: Sequence[Node]) -> Node:
    stages = root.children.get("stages")
    if stages is None or not isinstance(stages.value, list):
        return root
    items = []
    for index, stage in stages.children.items():
        layers = _stage_layers(policies, stage, index == len(stages.children) - 1)
        items.append(_stage(stage, list(layers)))
    return _with(root, "stages", _list(stages, items), root.keys["stages"])


def _stage_layers(policies: Sequence[Node], stage: Node, last: bool) -> Iterator[Node]:
    own = stage.value if isinstance(stage.value, dict) else {}
    name = own.get("name") or own.get("environment")
    for policy in policies:
        places = [("every_stage",), ("last_stage",)] if last else [("every_stage",)]
        for place in (*places, ("stages", str(name))):
            layer = policy.child(*place)
            if layer is not None and isinstance(stage.value, dict):
                yield layer


def _stage(stage: Node, layers: Sequence[Node]) -> Node:
    given = [(layer, key) for layer in layers for key in layer.children]
    stage = _defaults(stage, [(layer, str(key)) for layer, key in given if key not in ADDED])
    for key in ADDED:
        stage = _added(stage, layers, key)
    return stage


def _added(stage: Node, layers: Sequence[Node], key: str) -> Node:
    """Put what the layers list before what the stage lists, each once."""
    lists = [(layer.children[key], layer.keys[key]) for layer in layers if key in layer.children]
    own = stage.children.get(key)
    if not lists or (own is not None and not isinstance(own.value, list)):
        return stage
    if own is not None:
        lists.append((own, stage.keys[key]))
    items: list[Node] = []
    for item in (item for node, _ in lists for item in node.children.values()):
        same = next((n for n, other in enumerate(items) if other.value == item.value), None)
        if same is None:
            items.append(item)
        elif item.file == stage.file:
            items[same] = item  # what is wrong with it is best said where the reader looks
    holder, place = lists[-1]
    return _with(stage, key, _list(holder, items), place)


def _suites(root: Node, policies: Sequence[Node]) -> Node:
    suites = root.children.get("suites")
    if suites is None or not isinstance(suites.value, dict):
        return root
    for name, suite in list(suites.children.items()):
        # What is right for a command, such as a limit of ten minutes, is not for people.
        if isinstance(suite.value, dict) and "checklist" not in suite.value:
            found = [p.child(*place) for p in policies for place in (("every_suite",), ("suites", name))]
            given = [(layer, str(key)) for layer in found if layer is not None for key in layer.children]
            suite = _defaults(suite, [(layer, key) for layer, key in given if key not in FORMATS])
            for kind in FORMATS:
                # Limits on a report bind the suites that have such a report, and give it to no other.
                if (own := suite.children.get(kind)) is not None and isinstance(own.value, dict):
                    inner = [
                        (layer, key) for layer, key in given if key == kind and layer.children[key].value
                    ]
                    suite = _defaults_below(suite, kind, inner)
            suites = _with(suites, str(name), suite, suites.keys[str(name)])
    return _with(root, "suites", suites, root.keys["suites"])


def _analyses(root: Node, policies: Sequence[Node]) -> Node:
    """Take the analyses that stages name: others would only be noise in the plan."""
    named = set(_named(root))
    given: dict[str, tuple[Node, str]] = {}
    for policy in policies:
        analyses = policy.children.get("analyses")
        if analyses is not None:
            given |= {str(k): (analyses, str(k)) for k in analyses.children if k in named}
    own = root.children.get("analyses")
    if own is None and given:
        holder, key = next(
            (p.children["analyses"], p.keys["analyses"]) for p in reversed(policies) if "analyses" in p.keys
        )
        own = replace(holder, value={}, children={}, keys={})
        root = _with(root, "analyses", own, key)
    if own is None or not isinstance(own.value, dict):
        return root
    return _with(root, "analyses", _defaults(own, given.values()), root.keys["analyses"])


def _named(root: Node) -> Iterator[str]:
    stages = root.children.get("stages")
    for stage in stages.children.values() if stages is not None else ():
        strategy = stage.children.get("strategy")
        strategies = strategy.children.values() if strategy is not None else ()
        holders = [*strategies, stage.child("monitor"), stage.child("soak")]
        for holder in holders:
            name = holder.child("analysis") if holder is not None else None
            if name is not None and isinstance(name.value, str):
                yield name.value


def _notify(root: Node, policies: Sequence[Node]) -> Node:
    """Give keys that are lacking; routes add up, since telling more people harms nobody."""
    layers = [(policy, "notify") for policy in policies if "notify" in policy.children]
    before = root.children.get("notify")
    root = _defaults_below(root, "notify", layers)
    notify = root.children.get("notify")
    given = [p for policy, _ in layers if (p := policy.children["notify"]).child(ROUTES) is not None]
    if notify is None or not isinstance(notify.value, dict) or not given:
        return root
    lists = [(holder.children[ROUTES], holder.keys[ROUTES]) for holder in given]
    if before is not None and (own := before.child(ROUTES)) is not None:
        lists.append((own, before.keys[ROUTES]))
    if not all(isinstance(node.value, list) for node, _ in lists):
        return root
    routes: list[Node] = []
    for route in (route for node, _ in lists for route in node.children.values()):
        if all(route.value != other.value for other in routes):
            routes.append(route)
    holder, key = lists[-1]
    return _with(root, "notify", _with(notify, ROUTES, _list(holder, routes), key), root.keys["notify"])


def _defaults_below(root: Node, key: str, layers: Sequence[tuple[Node, str]]) -> Node:
    """Give the mapping at ``key`` what it lacks. If there is none, the nearest layer's takes its place."""
    if not layers:
        return root
    own = root.children.get(key)
    holder, place = (own, root.keys[key]) if own is not None else _found(*layers[-1])
    inner = [(layer.children[key], str(k)) for layer, key in layers for k in layer.children[key].children]
    return _with(root, key, _defaults(holder, inner), place) if isinstance(holder.value, dict) else root


def _defaults(node: Node, given: Iterable[tuple[Node, str]]) -> Node:
    """Return the mapping with keys that it lacks; of several for one key the last counts."""
    nearest = {key: layer for layer, key in given if key not in node.children}
    for key, layer in nearest.items():
        node = _with(node, key, *_found(layer, key))
    return node


def _found(layer: Node, key: str) -> tuple[Node, Span]:
    return layer.children[key], layer.keys[key]


def _with(node: Node, key: str, child: Node, place: Span) -> Node:
    """Return a copy of the mapping with ``key`` set: nodes may stand in several places, through aliases."""
    return replace(
        node,
        value={**node.value, key: child.value},
        children={**node.children, key: child},
        keys={**node.keys, key: place},
    )


def _list(node: Node, items: Sequence[Node]) -> Node:
    return replace(node, value=[item.value for item in items], children=dict(enumerate(items)))
