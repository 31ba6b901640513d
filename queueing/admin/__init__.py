"""Delivery in the admin. One module a noun."""

from queueing.admin import jobs, lanes, pauses, shares

__all__ = ["jobs", "lanes", "pauses", "shares"]
