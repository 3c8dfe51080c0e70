"""The doctor: connects to venues for half a minute with the server's own parts, and says what is wrong.

``facts.py`` holds what was seen, ``findings.py`` judges it (both pure), ``examination.py`` goes and looks.
"""
