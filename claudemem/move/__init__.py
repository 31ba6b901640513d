"""Takes the SQLite store of a data directory to an empty PostgreSQL database, and verifies it.

The source is only read. All that is written to the target is written in one transaction, which is
committed when every row was read back and is the same: whatever happens before leaves it empty.
"""
