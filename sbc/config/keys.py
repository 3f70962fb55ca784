"""Every key of the configuration, as the grammar's models describe it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sbc.config import models
from sbc.config.render import render
from sbc.config.scalars import Rule
from sbc.config.written import written

__all__ = ["Key", "keys"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key."""

    path: str
    """`trunks.NAME.limits.calls`."""
    expected: str
    """What it takes, in an operator's words."""
    default: str | None
    """As it would be written; "" for nothing, None if the key is required."""
    text: str
    """What it means."""


_MANY: Final = {"listen": "[N]", "media": "[N]", "peers": "[N]", "routes": "[N]"}
_STATUSES: Final = 'SIP failure codes, or classes such as "4xx", and what each becomes'
_OBJECTS: Final = {
    "listen": '"udp:ADDRESS:PORT" (or tcp:, tls:) or a mapping',
    "media": "a mapping, or a list of them",
    "responses": _STATUSES,
    "refusals": _STATUSES,
    "peers": '"ADDRESS", "NAME", either with ":PORT", or a mapping',
}


def keys() -> list[Key]:
    """All keys, in the order of the file."""
    return [key for pattern, model in models.MODELS.items() for key in _of_model(pattern, model)]


def _of_model(pattern: tuple[str, ...], model: type[BaseModel]) -> Iterator[Key]:
    texts = _docstrings(model)
    above = _spell(pattern)
    for name, field in model.model_fields.items():
        word = field.alias or name
        below = {(*pattern, word), (*pattern, word, "*")}
        if word not in _OBJECTS and not below.isdisjoint(models.MODELS):
            continue  # its own keys say it all
        yield Key(
            path=f"{above}.{word}" if above else word,
            expected=_OBJECTS.get(word) or _expected(field),
            default=_default(field),
            text=texts.get(name, ""),
        )


def _spell(pattern: tuple[str, ...]) -> str:
    spelt = ""
    for at, part in enumerate(pattern):
        if part != "*":
            spelt += f".{part}" if spelt else part
        else:
            spelt += _MANY.get(pattern[at - 1], ".NAME")
    return spelt


def _expected(field: FieldInfo) -> str:
    for rule in field.metadata:
        if isinstance(rule, Rule):
            return rule.text
    many = get_args(field.annotation) if get_origin(field.annotation) is list else ()
    for inner in many:
        for rule in getattr(inner, "__metadata__", ()):
            if isinstance(rule, Rule):
                return f"{rule.text}, or a list of them"
    for inner in get_args(field.annotation):  # `Text | None`
        for rule in getattr(inner, "__metadata__", ()):
            if isinstance(rule, Rule):
                return rule.text
    return "a mapping"


def _default(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    value: Any = field.get_default()
    if value in (None, [], {}) or isinstance(value, BaseModel):
        return ""
    return (
        "auto" if field.alias is None and value == 0 and _is_auto(field) else render(written(value))
    )


def _is_auto(field: FieldInfo) -> bool:
    return any(isinstance(rule, Rule) and rule.text.startswith("auto") for rule in field.metadata)


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The text beneath each field of a model, in one line."""
    (tree,) = ast.parse(inspect.getsource(model)).body
    texts: dict[str, str] = {}
    previous: ast.stmt | None = None
    for statement in tree.body if isinstance(tree, ast.ClassDef) else ():
        if (
            isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
            and isinstance(previous, ast.AnnAssign)
            and isinstance(previous.target, ast.Name)
        ):
            texts[previous.target.id] = " ".join(str(statement.value.value).split())
        previous = statement
    return texts
