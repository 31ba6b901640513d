"""Whether this web process was told to end: it takes no more than it must then.

What is asked of it is answered still, and each answer ends its connection, so that the next request
of a client that keeps connections goes to whoever serves the address then.
"""

import threading

begun = threading.Event()
