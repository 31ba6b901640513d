"""`python -m claudemem` is `claudemem`."""

from claudemem.cli import main

main()
