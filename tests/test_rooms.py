"""The arrows between the rooms point one way; the global reactor has one place. Read from the code itself."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "cryptodash"

MAY_IMPORT = {
    "core": {"core"},
    "exchanges": {"core", "exchanges"},
    "hub": {"core", "hub"},
    "api": {"core", "hub", "api", "dashboard"},
    "cluster": {"core", "hub", "cluster"},
    "recording": {"core", "hub", "recording"},
    "simulator": {"core", "simulator", "recording"},
    "testing": {"core", "exchanges", "simulator", "testing"},
    "dashboard": {"dashboard"},
    "doctor": {"core", "exchanges", "doctor"},
    "client": {"client"},
    "mcp": {"client", "mcp"},
}
WINGS_OF_API = {
    "": {""},
    "access": {"access", ""},
    "fanout": {"fanout", ""},
    "ws": {"access", "fanout", "ws", ""},
    "http": {"access", "ws", "http", ""},
}
"""What each wing of ``api`` may import of ``api``. HTTP requests know where /ws begins; sockets know no HTTP routes;
the fan-out knows neither, and who may have what is no business of its own. ``""`` are the modules that both doors
share; they know no wing."""
WINGS_OF_EXCHANGES = {
    "adapter": {"adapter"},
    "venues": {"adapter", "venues"},
    "builders": {"adapter", "builders"},
    "connections": {"adapter", "connections"},
    "subscriptions": {"adapter", "builders", "connections", "subscriptions"},
    "transport": {"adapter", "connections.commands", "metrics", "transport"},
}
"""What each wing of ``exchanges`` may import of ``exchanges``; the modules beside the wings put these together."""
# Pure rooms: nothing that does I/O. (twisted.logger and the time interface are values and callbacks, not I/O.)
PURE = {
    "core": (),
    "hub": ("twisted.logger", "twisted.internet.interfaces", "twisted.internet.defer", "twisted.python.failure"),
}
IO_OF_EXCHANGES = (
    "exchanges/transport/",
    "exchanges/service.py",
    "exchanges/engine_runner.py",
    "exchanges/publish_timer.py",
    "exchanges/catalogue.py",
)

IO_OF_CLIENT = tuple(
    f"client/{name}.py" for name in ("connection", "client", "reconnect", "replay", "streams", "__init__")
)

IO_OF_DOCTOR = ("doctor/examination.py", "doctor/signal.py")

SOURCES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path, *, top_level_only: bool = False) -> list[str]:
    """Full names of what a module imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    names: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def imported_modules(path: Path) -> list[str]:
    """Full names of the modules that a module imports from, wherever in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                names.append(module if is_module(module) else node.module)
    return names


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def inside(path: Path) -> str:
    """The path below the package, with slashes."""
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def test_the_rooms_of_the_design_exist() -> None:
    assert {room_of(path) for path in SOURCES} == {*MAY_IMPORT, ""}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path: Path) -> None:
    room = room_of(path)
    if room == "":
        return
    used = {
        name.split(".")[1]
        for name in imported(path)
        if name.startswith("cryptodash.") and (PACKAGE / name.split(".")[1]).is_dir()
    }
    assert used <= MAY_IMPORT[room], f"{path.name} of {room} imports {used - MAY_IMPORT[room]}"


def wing_of(module: str) -> str:
    """The wing of a module of ``api``, by its path or its name in dots."""
    parts = module.removesuffix(".py").replace("/", ".").split(".")
    return parts[1] if len(parts) > 2 or (PACKAGE / "api" / parts[1]).is_dir() else ""


@pytest.mark.parametrize("path", [path for path in SOURCES if room_of(path) == "api"], ids=lambda path: inside(path))
def test_the_wings_of_api_follow_their_arrows(path: Path) -> None:
    used = {
        wing_of(name.removeprefix("cryptodash."))
        for name in imported_modules(path)
        if name.startswith("cryptodash.api.")
    }
    assert used <= WINGS_OF_API[wing_of(inside(path))]


def is_in_a_wing(path: Path) -> bool:
    parts = inside(path).split("/")
    return parts[0] == "exchanges" and len(parts) > 2


@pytest.mark.parametrize("path", [path for path in SOURCES if is_in_a_wing(path)], ids=lambda path: inside(path))
def test_the_wings_of_exchanges_follow_their_arrows(path: Path) -> None:
    allowed = WINGS_OF_EXCHANGES[inside(path).split("/")[1]]
    used = [name for name in imported_modules(path) if name.startswith("cryptodash.exchanges.")]
    names = [name.removeprefix("cryptodash.exchanges.") for name in used]
    assert [name for name in names if not any(f"{name}.".startswith(f"{each}.") for each in allowed)] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if room_of(path) == "api"], ids=lambda path: inside(path))
def test_api_holds_no_live_object_of_a_venue(path: Path) -> None:
    """What crosses from the hub are values: another process, or a recording, can stand behind it."""
    assert not {"cryptodash.core.interfaces.IUpstream", "cryptodash.core.instruments.Catalogue"} & set(imported(path))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "upstreams"]


@pytest.mark.parametrize("path", [path for path in SOURCES if room_of(path) in PURE], ids=lambda path: path.name)
def test_pure_rooms_import_nothing_that_does_io(path: Path) -> None:
    allowed = PURE[room_of(path)]
    foreign = [
        name
        for name in imported(path)
        if name.split(".")[0] in ("twisted", "autobahn", "treq", "klein", "socket", "ssl", "asyncio", "threading")
    ]
    assert [name for name in foreign if not name.startswith(tuple(allowed) or ("-",))] == []


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if room_of(path) == "exchanges" and not inside(path).startswith(IO_OF_EXCHANGES)],
    ids=lambda path: inside(path),
)
def test_what_is_hard_about_a_venue_needs_no_socket(path: Path) -> None:
    assert [
        name
        for name in imported(path)
        if name.startswith(("twisted.internet", "twisted.web", "autobahn", "treq", "socket"))
    ] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if room_of(path) == "doctor"], ids=lambda path: inside(path))
def test_the_doctor_judges_without_io(path: Path) -> None:
    foreign = [name for name in imported(path) if name.startswith(("twisted", "autobahn", "treq", "socket"))]
    assert foreign == [] or inside(path) in IO_OF_DOCTOR


@pytest.mark.parametrize("path", [path for path in SOURCES if room_of(path) == "client"], ids=lambda path: inside(path))
def test_the_client_needs_nothing_of_the_server_and_its_state_no_socket(path: Path) -> None:
    names = [*imported(path), *(f"{name}." for name in imported_modules(path))]
    assert [name for name in names if name.split(".")[0] in ("twisted", "autobahn", "treq", "klein", "zope")] == []
    if inside(path) not in IO_OF_CLIENT:
        own = {f"cryptodash.client.{name}." for name in ("connection", "client", "reconnect", "replay", "streams")}
        foreign = ("asyncio", "websockets", "socket", "ssl", "threading", "time", "random")
        assert [name for name in names if name.split(".")[0] in foreign or name in own] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if room_of(path) not in ("client", "mcp")], ids=inside)
def test_the_server_runs_without_the_libraries_of_its_clients(path: Path) -> None:
    assert [name for name in imported(path) if name.split(".")[0] in ("websockets", "mcp")] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_knows_the_global_reactor(path: Path) -> None:
    if path.name == "tap.py":
        return
    assert "twisted.internet.reactor" not in imported(path)


REAL_TIME = {"end_to_end", "dashboard", "real"}
"""Tests of whole processes: what is on the other side of the socket (a peer, a browser, Redis) has no clock of ours."""
PROGRAMS = {"run_wstest.py", "interop.py", "recorder_process.py"}
"""Not tests but programs that a test starts: each has a process and a reactor of its own."""


def test_the_real_reactor_has_three_places_in_the_tests_and_none_sleeps() -> None:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path.name in PROGRAMS:
            continue
        names = imported(path)
        assert not {"time.sleep", "asyncio.sleep"} & set(names), path
        text = path.read_text(encoding="utf-8")
        assert "time.sleep(" not in text.replace("time.sleep(`", "") or path.name == "test_rooms.py", path
        if path.name != "conftest.py" or path.parent.name not in REAL_TIME:
            assert "twisted.internet.reactor" not in names, path


WIRE_WORDS = (
    *("lastUpdateId", "depthUpdate", "bookTicker", "aggTrade", "miniTicker", "markPrice", "exchangeInfo", "kline"),
    *(
        "orderbook",
        "publicTrade",
        "tickers",
        "req_id",
        "ret_msg",
        "retCode",
        "conn_id",
        "instruments-info",
        "SUBSCRIBE",
    ),
    *(
        "@depth",
        "@trade",
        "usdm",
        "fapi",
        "/api/v3",
        "/v5/",
        "depth?",
        "instId",
        "books5",
        "product_id",
        "level2",
        "ohlc",
    ),
)
"""Of streams, frames and URLs, of the venues that there are or will be soon."""
VENUES = ("binance", "bybit", "okx", "coinbase", "kraken")
GENERIC_OF_SIMULATION = [
    *(path for path in SOURCES if re.match(r"simulator/(?!dialects/\w+/)", inside(path))),
    *(PACKAGE / name for name in ("tap.py", "options.py", "exchanges/venues/recorded.py")),
]


@pytest.mark.parametrize("path", GENERIC_OF_SIMULATION, ids=inside)
def test_simulation_and_replay_know_venues_from_their_dialects_only(path: Path) -> None:
    """Comments and docstrings included: who writes a dialect of his own reads these files."""
    text = path.read_text(encoding="utf-8")
    assert [word for word in WIRE_WORDS if word in text] == []
    assert [name for name in VENUES if name in text.lower()] == []


def test_a_dialect_knows_no_other_dialect() -> None:
    for path in SOURCES:
        own = re.match(r"simulator/dialects/(\w+)/", inside(path))
        if own is not None:
            foreign = [name for name in imported(path) if name.startswith("cryptodash.simulator.dialects.")]
            assert all(name.startswith(f"cryptodash.simulator.dialects.{own[1]}.") for name in foreign), path
