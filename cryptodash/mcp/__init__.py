"""A Model Context Protocol server over stdio (``pip install cryptodash[mcp]``, ``python -m cryptodash.mcp --url ...``):
an assistant asks a running cryptodash for prices, and each answer says in words how fresh they are."""
