"""Requests inside a call, and their way across."""
