"""Tapes: what came in and what went out, written down with the time of it, and read again.

Loaded with ``RECORD_DIR``, and by the commands that read tapes. ``docs/recording.md`` has the format and the promises.
"""
