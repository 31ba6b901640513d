"""`claudemem` on a machine with no server but those its PATH leads to: `bare.py ARGUMENTS`.

Its user is root where BARE_ROOT is 1. What the installation brings and what lies in the folders of
package managers, which differ between the machines that tests run on, is out of sight.
"""

import os

from claudemem import cli, servers
from queueing import binaries

binaries.bundled = lambda: None
binaries.KNOWN = ()
servers.ROOT = os.environ["BARE_ROOT"] == "1"

if __name__ == "__main__":
    cli.main()
