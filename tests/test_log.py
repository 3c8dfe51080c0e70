"""What reaches the log."""

from __future__ import annotations

from io import StringIO

import pytest
from twisted.logger import Logger

from cryptodash.log import make_observer


@pytest.mark.parametrize(
    ("levels", "namespace", "shown"),
    [
        ("info", "cryptodash.service", True),
        ("info", "twisted.web.http.HTTPChannel", False),
        ("info,twisted.web.http=info", "twisted.web.http.HTTPChannel", True),
        ("warn", "cryptodash.service", False),
        ("warn,cryptodash=info", "cryptodash.service", True),
    ],
)
def test_what_any_peer_can_cause_is_quieter_unless_the_operator_names_it(
    levels: str, namespace: str, shown: bool
) -> None:
    stream = StringIO()
    Logger(namespace=namespace, observer=make_observer(levels, stream)).info("timing out client")
    assert ("timing out client" in stream.getvalue()) is shown
