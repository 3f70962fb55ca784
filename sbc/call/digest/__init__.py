"""Digest authentication both ways (RFC 8760): we ask, and we answer."""
