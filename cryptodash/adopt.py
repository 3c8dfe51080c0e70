"""A server process on a socket that ``supervisor.py`` has bound: ``python -m cryptodash.adopt run ...``."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Take the socket that is passed on, as if systemd had started us, and be ``twistd cryptodash``."""
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "cryptodash"}
    # Not before: Twisted looks at these as it is imported.
    from twisted.scripts.twistd import run

    sys.argv[1:] = ["--nodaemon", "--pidfile=", "cryptodash", *sys.argv[1:]]
    run()


if __name__ == "__main__":
    main()
