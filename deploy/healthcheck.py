"""The container's health check: exit code 0 where ``/ready`` says 200, else 1 and why.

The server listens on port 8080 there, without TLS; another address is the first argument.
"""

import sys
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

URL = "http://127.0.0.1:8080/ready"
SECONDS = 4

try:
    # Without the surroundings' HTTP_PROXY: this never leaves the container.
    with build_opener(ProxyHandler({})).open(sys.argv[1] if len(sys.argv) > 1 else URL, timeout=SECONDS) as answer:
        answer.read()
except HTTPError as error:
    sys.exit(error.read(2000).decode(errors="replace"))
except OSError as error:
    sys.exit(f"no answer: {error}")
