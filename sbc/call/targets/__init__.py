"""Whom an INVITE is sent to, and where that is."""
