"""What claude-mem's plugin asks of a worker: its hooks, its tools, and whoever keeps it running."""
