"""Keys as operators write them on a command line: `trunks.acme.peers[1].port`."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any, Final

from sbc.config.models import model_at
from sbc.config.problems import ConfigError
from sbc.config.source import Odd, Path, Source, parse

__all__ = ["default_at", "find", "is_key", "parse_path", "parse_value", "set_at", "unset_at"]

_PART: Final = re.compile(r"([^.\[\]]+)((?:\[[0-9]+\])*)\Z")
_IPV6: Final = re.compile(r"\[[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%\w+)?\](:[0-9]+)?\Z")
"""`[2001:db8::1]:5060`: to YAML a list and what should not follow it, to everybody a peer."""
_LISTS: Final = frozenset(
    {"routes", "listen", "media", "peers", "sources", "pass", "to", "exempt", "shield"}
)


def parse_path(text: str, source: Source) -> Path:
    """A path from its text; entries count from 1: `routes[1]` or `routes.1` is the first.

    Raises ConfigError if it is not a path.
    """
    path: list[str | int] = []
    for part in text.split("."):
        match = _PART.match(part)
        if match is None:
            raise _wrong(source, (), f'expected a key such as trunks.acme.limits, got "{text}"')
        name, indexes = match[1], re.findall(r"[0-9]+", match[2])
        if name.isdigit() and path and path[-1] in _LISTS:
            indexes.insert(0, name)
        else:
            path.append(name)
        for index in indexes:
            if int(index) < 1:
                raise _wrong(source, tuple(path), f"entries count from 1, got {index}")
            path.append(int(index) - 1)
    return tuple(path)


def parse_value(text: str, path: Path, source: Source) -> object:
    """A value from the command line, as it would be read from the file.

    A number where the key takes a text is that text: `number 0123` needs no quotes of its own.
    Raises ConfigError if it is not YAML.
    """
    if _IPV6.match(text):
        return text[1:-1] if "sources" in path and text.endswith("]") else text
    if _takes_text(path):
        return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
    parsed = parse(text, source.path) if text.strip() else None
    if parsed is None or (parsed.problems and not text.startswith(("[", "{"))):
        return text
    if parsed.problems:
        raise ConfigError(parsed.problems)
    return _without_odd(parsed.data)


def find(data: object, path: Path) -> tuple[bool, Any]:
    """Whether `data` says anything at `path`, and what."""
    for part in path:
        if isinstance(part, int) and not isinstance(data, list):
            if part or data is None:
                return False, None
            continue  # a list of one without brackets
        if isinstance(part, int) and isinstance(data, list):
            if part >= len(data):
                return False, None
            data = data[part]
        elif isinstance(data, dict) and part in data:
            data = data[part]
        else:
            return False, None
    return True, data


def set_at(data: Any, path: Path, value: object, source: Source) -> None:  # noqa: ANN401
    """Put `value` at `path` of `data`, in place; one past the end of a list is a new entry.

    Raises ConfigError where the path leads through something that has no keys.
    """
    if not path:
        raise _wrong(source, path, "expected a key, got nothing")
    holder = data
    _expand(data, path)
    for at, part in enumerate(path[:-1]):
        if isinstance(path[at + 1], int):
            holder = _list_at(holder, part, source, path[:at])
        else:
            holder = _mapping_at(holder, part, source, path[: at + 1])
    last = path[-1]
    if isinstance(holder, list) and isinstance(last, int):
        if last > len(holder):
            text = f"expected an entry from 1 to {len(holder) + 1}, got {last + 1}"
            raise _wrong(source, path[:-1], text)
        holder[last:] = [value, *holder[last + 1 :]]
    elif isinstance(holder, dict) and isinstance(last, str):
        holder[last] = value
    else:
        raise _wrong(source, path[:-1], "expected a key inside a mapping, got something else")


def unset_at(data: Any, path: Path, source: Source) -> None:  # noqa: ANN401
    """Take away what is at `path`, and mappings and lists inside an entry that it empties.

    Raises ConfigError if nothing is there.
    """
    there, _ = find(data, path)
    if not there or not path:
        raise _wrong(source, path, "is not set")
    holder_path = path[:-1]
    _, holder = find(data, holder_path)
    if isinstance(holder, (dict, list)):
        del holder[path[-1]]  # type: ignore[arg-type]  # `find` has shown that they match
    else:
        holder = None
    if not holder and len(path) > 2:
        unset_at(data, holder_path, source)


def is_key(path: Path) -> bool:
    """Whether the grammar has a key at `path`, set or not."""
    model = model_at(path[:-1])
    if model is None:
        return (
            path[:-1] in (("realms",), ("trunks",), ("users",))
            or not path
            or isinstance(path[-1], int)
        )
    return any((field.alias or name) == path[-1] for name, field in model.model_fields.items())


def default_at(path: Path) -> tuple[bool, object]:
    """Whether the key at `path` has a default, and which, as it would be written."""
    model = model_at(path[:-1])
    for name, field in model.model_fields.items() if model else ():
        if (field.alias or name) == path[-1] and not field.is_required():
            return True, field.get_default(call_default_factory=False)
    return False, None


def _expand(data: Any, path: Path) -> None:  # noqa: ANN401
    """Write a shorthand string on the way to `path` as the mapping that it stands for."""
    for end in range(len(path) - 1, 0, -1):
        there, value = find(data, path[:end])
        if not there or not isinstance(value, str) or isinstance(path[end], int):
            continue
        of_list = path[:end] if isinstance(path[end - 1], int) else (*path[:end], 0)
        key = of_list[-2]
        if key == "listen":
            mapping: dict[str, object] = {"bind": value}
        elif key == "peers":
            mapping = _peer(value)
        else:
            return
        _, holder = find(data, of_list[:-2])
        entries = holder[key] if isinstance(holder[key], list) else [holder[key]]
        entries[int(of_list[-1])] = mapping
        holder[key] = entries
        return


def _peer(text: str) -> dict[str, object]:
    """`10.0.0.20:5080` → address and port; what is not right in it, the check will say."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")) or not port.isdigit():
        return {"address": text}
    return {"address": host.strip("[]"), "port": int(port)}


def _list_at(holder: Any, part: str | int, source: Source, path: Path) -> list[Any]:  # noqa: ANN401
    """The list at `part`, made if it is not there; a list of one gets its brackets."""
    if not isinstance(holder, dict) or not isinstance(part, str):
        raise _wrong(source, path, "expected a mapping with a list in it, got something else")
    value = holder.get(part)
    if not isinstance(value, list):
        holder[part] = value = [] if value is None else [value]
    return value


def _mapping_at(holder: Any, part: str | int, source: Source, path: Path) -> Any:  # noqa: ANN401
    """What is at `part`, a new mapping if nothing is."""
    if isinstance(holder, dict):
        value = holder.get(str(part))
        if value is None:
            value = holder[str(part)] = {}
        return value
    if isinstance(holder, list) and isinstance(part, int) and part < len(holder):
        return holder[part]
    raise _wrong(source, path, "expected a mapping, got something else")


def _takes_text(path: Path) -> bool:
    """Whether the key at `path` is a string in the grammar."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    if not path:
        return False
    model = model_at(path[:-1])
    for name, field in model.model_fields.items() if model else ():
        if (field.alias or name) == path[-1]:
            return field.annotation in (str, str | None)
    return False


def _without_odd(value: Any) -> Any:  # noqa: ANN401
    """What YAML would misread was meant as it was written: the command line has no types."""
    if isinstance(value, Odd):
        return value.written
    if isinstance(value, dict):
        return {name: _without_odd(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_odd(one) for one in value]
    return deepcopy(value)


def _wrong(source: Source, path: Path, text: str) -> ConfigError:
    return ConfigError([source.problem(path, text)])
