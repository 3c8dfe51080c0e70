"""Several processes as one server: venues shared out by lease, what they publish carried to the others by Redis.

Imported only where ``ENABLE_REDIS`` is on. ``service.Cluster`` puts the parts together; docs/architecture.md, "Several
processes", has the way of an event from one process to another.
"""
