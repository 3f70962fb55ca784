"""Settings as they would be written in the file."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from pydantic import BaseModel

from sbc.config.grammar import read_models
from sbc.config.media import Ports
from sbc.config.problems import ConfigError
from sbc.config.source import Odd, Source

__all__ = ["everything", "written"]


def everything(source: Source) -> object:
    """The whole configuration with its defaults. Raises ConfigError if it is not in order."""
    grammar = read_models(source)
    problems = sorted({*source.problems, *grammar.problems})
    if problems:
        raise ConfigError(problems)
    return written(grammar.border)


def written(value: object) -> object:
    """A value of the models or of the file in plain types; what has no value is left out."""
    if isinstance(value, BaseModel):
        fields = (
            (field.alias or name, getattr(value, name))
            for name, field in type(value).model_fields.items()
        )
        return {name: written(_shorthand(name, one)) for name, one in fields if one is not None}
    if isinstance(value, dict):
        return {str(name): written(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [written(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (IPv4Network, IPv6Network)):
        single = value.num_addresses == 1
        return str(value.network_address) if single else str(value)
    if isinstance(value, Odd):
        return value.written
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _shorthand(name: str, value: object) -> object:
    """The texts that the grammar takes apart, put together again."""
    if not isinstance(value, tuple):
        return "auto" if (name, value) == ("workers", 0) else value
    if isinstance(value, Ports):
        return value.written
    if name == "bind":
        transport, host, port = value
        return f"{transport}:{_host_port(host, port)}"
    host, port = value  # advertise
    return _host_port(host, port) if port else host


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
