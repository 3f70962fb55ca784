"""What the media side raises about bytes that a peer sent."""

from __future__ import annotations

__all__ = ["ParseError"]


class ParseError(Exception):
    """Bytes that are not what they claim to be: what was expected and what came."""
