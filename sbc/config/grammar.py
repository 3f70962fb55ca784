"""Plain values to models, or everything that is wrong with them.

Where a part is wrong, the rest is still read, so that the checks across keys can speak about it
in the same run.
"""

from __future__ import annotations

import difflib
from copy import deepcopy
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sbc.config.models import Border, model_at
from sbc.config.problems import Problem
from sbc.config.scalars import Rule
from sbc.config.source import Path, Source

__all__ = ["Grammar", "read_models", "unknown_key"]

_SAME: Final = {
    "prefix": "number",
    "destination": "to",
    "source": "from",
    "code": "status",
    "max_calls": "calls",
    "ip": "address",
    "host": "address",
    "timeout": "no_answer",
    "acl": "access",
    "trunk": "trunks",
    "route": "routes",
    "realm": "realms",
}
"""What other programs call it."""


class Grammar:
    """The file as models, as far as it is in order, and what is not."""

    __slots__ = ("border", "broken", "problems", "route_indexes")

    def __init__(
        self,
        border: Border,
        problems: list[Problem],
        route_indexes: list[int],
        broken: set[tuple[str | int, ...]],
    ) -> None:
        self.border = border
        self.problems = problems
        self.route_indexes = route_indexes
        """For each route of `border`, its index in the file."""
        self.broken = broken
        """Paths (`("trunks", "acme")`) that exist in the file and could not be read."""


def read_models(source: Source) -> Grammar:
    """Everything that `source` says in the grammar's terms. Raises nothing."""
    data: Any = source.data
    try:
        border = Border.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True, include_input=False)
    else:
        return Grammar(border, [], list(range(len(border.routes))), set())
    problems = [_problem(source, detail) for detail in details]
    broken = {_entry(detail) for detail in details}
    pruned, route_indexes = _without(data, broken)
    try:
        border = Border.model_validate(pruned)
    except ValidationError:  # a fault that another one hid: the cross checks wait for it
        border, route_indexes = Border(), []
        broken.add(())
    return Grammar(border, problems, route_indexes, broken)


def _problem(source: Source, detail: ErrorDetails) -> Problem:
    """One of pydantic's errors in our words."""
    path = _path(detail)
    kind = detail["type"]
    if kind == "extra_forbidden":
        return source.problem(path, unknown_key(path), at_key=True)
    if kind == "missing":
        text = _expectation(path)
        return source.problem(path, f"expected {text}, got nothing", at_key=True)
    if kind == "expected":
        context = detail.get("ctx", {})
        text, hint = str(context.get("text")), str(context.get("hint") or "")
    else:
        text, hint = _STRUCTURE.get(kind, detail["msg"]), ""
    at_key = detail["loc"][-1:] == ("[key]",)
    got = f'"{path[-1]}"' if at_key and path else source.written(path)
    tail = f" ({hint})" if hint else ""
    return source.problem(path, f"expected {text}, got {got}{tail}", at_key=at_key)


_STRUCTURE: Final = {
    "dict_type": "a mapping (key: value)",
    "list_type": "a list",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}


def unknown_key(path: Path) -> str:
    """What to say about a key that the grammar does not have."""
    model = model_at(path[:-1])
    known = [field.alias or name for name, field in model.model_fields.items()] if model else []
    word = str(path[-1])
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    same = _SAME.get(word.lower())
    if same in known:
        close = [str(same)]
    if close:
        return f"unknown key, did you mean {close[0]}?"
    return f"unknown key, expected one of {', '.join(known)}"


def _expectation(path: Path) -> str:
    """What belongs at `path`, where nothing is."""
    model = model_at(path[:-1])
    for name, field in model.model_fields.items() if model else ():
        if (field.alias or name) == path[-1]:
            rules = [rule.text for rule in field.metadata if isinstance(rule, Rule)]
            return _MISSING.get(str(path[-1]), rules[0] if rules else "a value")
    return "a value"


_MISSING: Final = {
    "listen": 'a list of "udp:ADDRESS:PORT" (or tcp:, tls:)',
    "media": "a mapping of address and ports",
    "certificate": "a PEM file, or a list of them",
    "realm": "the name of a realm",
    "from": "the name of a trunk",
    "to": "the name of a trunk, or a list of them",
}


def _path(detail: ErrorDetails) -> Path:
    return tuple(part for part in detail["loc"] if part != "[key]")


def _entry(detail: ErrorDetails) -> Path:
    """The part of the file to leave out so that the rest can be read."""
    path = _path(detail)
    if detail["type"] == "extra_forbidden":
        return path
    return path[:2] if path[:1] in _NAMED else path[:1]


_NAMED: Final = (("realms",), ("trunks",), ("routes",), ("users",))


def _without(data: Any, broken: set[Path]) -> tuple[object, list[int]]:  # noqa: ANN401
    """A copy of `data` without the broken entries, and which routes are left."""
    if () in broken or not isinstance(data, dict):
        return {}, []
    pruned = deepcopy(data)
    for path in broken:
        if path[0] != "routes" or len(path) > 2:
            _drop(pruned, path)
    routes = pruned.get("routes")
    if not isinstance(routes, list):
        return pruned, []
    left = [index for index in range(len(routes)) if ("routes", index) not in broken]
    pruned["routes"] = [routes[index] for index in left]
    return pruned, left


def _drop(data: Any, path: Path) -> None:  # noqa: ANN401
    """Take the key at `path` out, if it is there (one of its parents may have gone before)."""
    for part in path[:-1]:
        if isinstance(part, int) and not isinstance(data, list):
            continue  # a list of one without its brackets
        try:
            data = data[part]
        except (LookupError, TypeError):
            return
    if isinstance(data, dict):
        data.pop(path[-1], None)
