"""`claudemem drill`: faults, made on purpose, on a scratch team of the operator's installation.

The web, the database and the queue store are the operator's own. Only the scratch team's jobs are
worked by the drill's own workers, and only in queues of their own.
"""
