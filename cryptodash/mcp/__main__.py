"""``python -m cryptodash.mcp --url http://127.0.0.1:8080``: speaks on stdin and stdout until stdin ends."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

TOKEN = "CRYPTODASH_TOKEN"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m cryptodash.mcp", description=__doc__, allow_abbrev=False)
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="of the server (default: %(default)s)")
    parser.add_argument(
        "--token-file",
        type=Path,
        help=f"a file that holds the token, where access is on; else the variable {TOKEN}, if it is set. "
        "Not an option: those can be seen by every user of the machine",
    )
    options = parser.parse_args(arguments)
    try:
        from cryptodash.mcp.rest import Rest
        from cryptodash.mcp.server import make
    except ModuleNotFoundError as missing:
        parser.exit(1, f"{missing.name} is missing: pip install 'cryptodash[mcp]'\n")
    try:
        token = options.token_file.read_text(encoding="utf-8") if options.token_file else os.environ.get(TOKEN, "")
        rest = Rest(options.url, token.strip() or None)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    make(rest).run("stdio")


if __name__ == "__main__":
    main()
