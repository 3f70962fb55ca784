"""REFER, Replaces, and the calls that come of them."""
