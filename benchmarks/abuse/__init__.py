"""What the others feel of one client at its worst: a real server, measured from outside."""
