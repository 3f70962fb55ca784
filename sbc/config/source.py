"""The configuration file as text: YAML 1.2 to plain values, with the place of each.

YAML has traps that cost money on a telephone network: `0123` is a number to it, a key may be
written twice and the second wins in silence. So values are made here from the document's nodes:
what is not plainly a string, a decimal number, true, false or null is an `Odd`, which no key
takes, and everything is reported with its place.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sbc.config.problems import ConfigError, Problem
from sbc.config.secrets import is_secret

__all__ = ["Odd", "Path", "Source", "parse", "read", "read_text", "spell"]

Path: TypeAlias = tuple[str | int, ...]
"""Where a value is: names of keys and indexes from 0."""

_MAX_BYTES: Final = 16_000_000
_MAX_VALUES: Final = 200_000
"""Values after aliases are followed: a few lines can otherwise stand for billions."""

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)\Z")
_FLOAT: Final = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+\Z")
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True} | {
    "false": False,
    "False": False,
    "FALSE": False,
}
_DIRECTIVE: Final = re.compile(r"^%YAML[ \t]+(?!1\.2\b)", re.MULTILINE)
_TAG: Final = "tag:yaml.org,2002:"
_BY_STATUS: Final = (("responses",), ("refusals",))
"""Mappings whose keys are numbers."""


@dataclass(frozen=True, slots=True)
class Odd:
    """A bare word that YAML reads as something else than it looks like: 0123, +49, 0x1F, .inf."""

    written: str


@dataclass(slots=True)
class Source:
    """One file, read."""

    path: str
    text: str
    data: Any
    """dict, list, str, int, float, bool, None and Odd; None for an empty file."""
    root: Node | None
    problems: list[Problem] = field(default_factory=list)
    _children: dict[int, dict[str, tuple[Node, Node]]] = field(default_factory=dict)

    def problem(self, path: Path, text: str, *, at_key: bool = False) -> Problem:
        """A problem with the value at `path`, or with its key, placed as closely as possible."""
        node, key = self._find(path)
        if node is None:
            node, key = self._find(self.nearest(path))
        mark = (key if at_key and key is not None else node or _NOWHERE).start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        return Problem(path=self.path, line=line, column=column, key=self.spell(path), text=text)

    def spell(self, path: Path) -> str:
        """`path` as operators write it, and as this file has it."""
        return spell(self._real(path))

    def values(self) -> object:
        """The whole document as plain values; what is wrong with it goes to `problems`."""
        return None if self.root is None else _Values(self).make(self.root, ())

    def line(self, path: Path) -> int:
        """The line of the key or entry at `path`, from 1."""
        node, key = self._find(path)
        mark = (key or node or self.root or _NOWHERE).start_mark
        return 1 if mark is None else mark.line + 1

    def written(self, path: Path) -> str:
        """What is there, for `got …`."""
        node, _ = self._find(path)
        if node is None or (isinstance(node, ScalarNode) and node.tag == f"{_TAG}null"):
            return "nothing"
        if isinstance(node, ScalarNode) and is_secret(path):
            return "something else"
        if isinstance(node, ScalarNode):
            plain = node.style is None and node.tag != f"{_TAG}str"
            value: str = node.value
            return _short(value if plain else json.dumps(value, ensure_ascii=False))
        if not node.value:
            return "an empty list" if isinstance(node, SequenceNode) else "an empty mapping"
        return "a list" if isinstance(node, SequenceNode) else "a mapping"

    def holds(self, path: Path) -> bool:
        """Whether the file says anything at `path`."""
        return self._find(path)[0] is not None

    def _real(self, path: Path) -> Path:
        """`path` without the indexes of lists of one that are written without brackets."""
        real: list[str | int] = []
        node = self.root
        for part in path:
            if isinstance(part, int) and not isinstance(node, SequenceNode):
                continue
            if isinstance(node, ScalarNode) and node.tag != f"{_TAG}null":
                break
            real.append(part)
            node = self._child(node, part)[0]
        return tuple(real)

    def _find(self, path: Path) -> tuple[Node | None, Node | None]:
        """The node at `path` and its key's; (None, None) if nothing is written there.

        Where that is so, `problem` points at the mapping that lacks it.
        """
        node, key = self.root, None
        for part in self._real(path):
            child, child_key = self._child(node, part)
            if child is None:
                return None, None
            node, key = child, child_key
        return node, key

    def _child(self, node: Node | None, part: str | int) -> tuple[Node | None, Node | None]:
        """The value and the key at `part` below `node`, None for what is not there."""
        if isinstance(part, int):
            if isinstance(node, SequenceNode) and part < len(node.value):
                return node.value[part], None
            return None, None
        if not isinstance(node, MappingNode):
            return None, None
        children = self._children.get(id(node))
        if children is None:
            children = self._children[id(node)] = {}
            for key, value in node.value:
                if isinstance(key, ScalarNode):
                    children.setdefault(key.value, (value, key))
        return children.get(part, (None, None))

    def nearest(self, path: Path) -> Path:
        """The longest beginning of `path` that the file holds."""
        real = self._real(path)
        while real and self._find(real)[0] is None:
            real = real[:-1]
        return real


def read_text(path: str) -> str:
    """The file's text. Raises ConfigError: not there, not a file, not readable, not UTF-8."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            what = "a folder" if os.path.isdir(path) else "a device, pipe or socket"
            raise ConfigError([Problem(path=path, text=f"expected a file, got {what}")])
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError([Problem(path=path, text=f"cannot be read: {reason}")]) from None
    if len(data) > _MAX_BYTES:
        text = f"expected at most {_MAX_BYTES // 1_000_000} MB, got more"
        raise ConfigError([Problem(path=path, text=text)])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        line, column = _place(before, len(before))
        text = f"expected UTF-8 text, got byte 0x{data[error.start]:02x}"
        raise ConfigError([Problem(path=path, line=line, column=column, text=text)]) from None


def read(path: str) -> Source:
    """The file at `path`. Raises ConfigError where not even YAML can be read from it."""
    return parse(read_text(path), path)


def parse(text: str, path: str) -> Source:
    """YAML text to plain values. Raises ConfigError where it is not YAML.

    What is YAML and still not allowed (a key twice, tags, merge keys) is in `.problems`.
    """
    wrong = _DIRECTIVE.search(text)
    if wrong is not None:
        line, _ = _place(text, wrong.start())
        problem = "expected YAML 1.2, got a directive for another version"
        raise ConfigError([Problem(path=path, line=line, column=1, text=problem)])
    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.composer.warn_double_anchors = False  # YAML 1.2 §7.1 lets an anchor be used again
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, path)]) from None
    except YAMLError as error:  # a character that YAML does not allow: no mark, an offset
        position = getattr(error, "position", 0)
        line, column = _place(text, position)
        bad = text[position : position + 1]
        problem = f"expected printable text, got character {json.dumps(bad)}"
        raise ConfigError([Problem(path=path, line=line, column=column, text=problem)]) from None
    except RecursionError:
        problem = "expected a configuration, got lists or mappings nested without end"
        raise ConfigError([Problem(path=path, text=problem)]) from None
    except (ValueError, TypeError, AttributeError, IndexError, KeyError, AssertionError) as error:
        # The library trips over some malformed documents; that is the document's fault.
        problem = f"expected YAML, got text that cannot be read as such ({error})"
        raise ConfigError([Problem(path=path, text=problem)]) from None
    source = Source(path, text, None, root)
    source.data = source.values()
    return source


def spell(path: Path) -> str:
    """A path as operators write it: `trunks.acme.peers[1].port`, entries counted from 1."""
    spelt = ""
    for part in path:
        if isinstance(part, int):
            spelt += f"[{part + 1}]"
        else:
            spelt += f".{part}" if spelt else part
    return spelt


class _Values:
    """Nodes to plain values, once for each place (an alias is a place of its own)."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._count = 0
        self._open: set[int] = set()

    def make(self, node: Node, path: Path) -> object:
        self._count += 1
        if self._count > _MAX_VALUES or id(node) in self._open:
            if self._count <= _MAX_VALUES + 1 or id(node) in self._open:
                self._complain(node, path, "expected a configuration, got aliases without end")
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if not str(node.tag).startswith(_TAG):
            self._complain(node, path, f"expected no tag, got {node.tag}")
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.make(one, (*path, i)) for i, one in enumerate(node.value)]
            assert isinstance(node, MappingNode)  # noqa: S101 (YAML has three kinds of node)
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, object]:
        values: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or not _names(key, path):
                written = _short(key.value) if isinstance(key, ScalarNode) else "a list or mapping"
                self._complain(key, path, f"expected a name as key (in quotes?), got {written}")
                continue
            name = key.value
            if name in values:
                text = f"expected each key once, got it again (first in line {lines[name]})"
                self._complain(key, (*path, name), text)
                continue
            lines[name] = key.start_mark.line + 1
            values[name] = self.make(value, (*path, name))
        return values

    def _scalar(self, node: ScalarNode, path: Path) -> object:
        value: str = node.value
        kind = str(node.tag).removeprefix(_TAG)
        if kind in ("str", "timestamp") or (node.style is not None and kind != node.tag):
            return value
        if kind == "null":
            return None
        if kind == "bool" and value in _BOOLEANS:
            return _BOOLEANS[value]
        if kind == "int" and len(value) < 20 and _INTEGER.match(value):
            return int(value)
        if kind == "float" and len(value) < 40 and _FLOAT.match(value):
            return float(value)
        if kind == node.tag or kind not in ("int", "float", "bool"):
            self._complain(node, path, f"expected no tag, got {node.tag}")
            return None
        return Odd(value)

    def _complain(self, node: Node, path: Path, text: str) -> None:
        mark = node.start_mark
        self._source.problems.append(
            Problem(
                path=self._source.path,
                line=mark.line + 1,
                column=mark.column + 1,
                key=spell(path),
                text=text,
            )
        )


def _names(key: ScalarNode, path: Path) -> bool:
    """Whether a key is a name: a text, or where status codes are keys, a plain number.

    So it is at the root, too, for a value of such a key is also read alone (`sbc config set`).
    """
    if key.tag == f"{_TAG}int" and path[-1:] in ((), *_BY_STATUS):
        return _INTEGER.match(key.value) is not None
    return bool(key.tag == f"{_TAG}str")


_NOWHERE: Final = ScalarNode(f"{_TAG}null", "")


def _syntax_problem(error: MarkedYAMLError, path: str) -> Problem:
    """The parser's complaint in our form."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    text = (error.problem or "this is not YAML").removeprefix("but ")
    if "'\\t'" in text:
        text = "expected spaces, got a tab (YAML indents with spaces only)"
    elif "another document" in text:
        text = "expected one document, got another one (---)"
    elif text == "mapping values are not allowed here":
        text = "expected the end of the value, got another `key: value` (indentation? quotes?)"
    elif "undefined alias" in text:
        text = text.replace("found", "expected a known anchor, got")
    elif error.context:
        text = f"{error.context}: {text}"
    return Problem(path=path, line=line, column=column, text=text)


def _place(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a character."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
