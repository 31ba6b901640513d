"""Agents are connected to a server, and disconnected, by changes to their own settings."""
