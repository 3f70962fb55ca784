"""Requests that belong to no call: MESSAGE, PUBLISH, SUBSCRIBE, OPTIONS."""
