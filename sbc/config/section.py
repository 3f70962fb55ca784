"""What all mappings of the configuration file have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from sbc.config.scalars import expected

__all__ = ["Section"]


class Section(BaseModel):
    """A mapping of the file: unknown keys are errors, an empty one is written as nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:  # noqa: ANN401 (what YAML holds)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise expected("a mapping (key: value)")
        return value
