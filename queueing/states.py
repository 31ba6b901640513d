"""The states of a job and the words of its history. They are on the wire."""

from typing import Final

QUEUED: Final = "queued"
PROCESSING: Final = "processing"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"

ALL: Final = (QUEUED, PROCESSING, COMPLETED, FAILED, CANCELLED)
OPEN: Final = (QUEUED, PROCESSING)
FINAL: Final = (COMPLETED, FAILED, CANCELLED)

# What a history row can say besides the state that it led to.
ENQUEUED: Final = "queued"
CLAIMED: Final = "processing"
RETRY_SCHEDULED: Final = "retry_scheduled"
RELEASED: Final = "released"
RETRIED: Final = "retried"
HISTORY: Final = (*ALL, RETRY_SCHEDULED, RELEASED, RETRIED)

# Told of a job whose worker died or hung: its lease ran out. No history row says so.
STALLED: Final = "stalled"
