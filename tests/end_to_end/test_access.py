"""Access as an operator sets it up and strangers meet it: real processes, by ``twistd``."""

from __future__ import annotations

import base64
import json
import signal
import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import jwt
import pytest

from tests.processes import Process, all_ended, descendants, direct, run

TOKEN = "token-of-this-test-0123456789"
KEY = bytes(range(32))
OPEN = "open to everyone: without a rule of access"


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    with all_ended() as started:
        yield started


def start(processes: list[Process], cwd: Path, *arguments: str, **values: str) -> tuple[Process, int]:
    address = values.pop("BIND_ADDR", "127.0.0.1:0")
    process = Process("-n", "--pidfile=", "cryptodash", "--demo", *arguments, cwd=cwd, BIND_ADDR=address, **values)
    processes.append(process)
    process.line("cryptodash.service#info. started: ")
    return process, process.port()


def ask(port: int, path: str, token: str | None = None, method: str = "GET") -> tuple[int, bytes, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with direct(Request(f"http://127.0.0.1:{port}{path}", headers=headers, method=method), timeout=20) as answer:
            return answer.status, answer.read(), answer.headers
    except HTTPError as error:
        return error.code, error.read(), error.headers


def new_token(cwd: Path, *scopes: str) -> tuple[str, str]:
    done = run("cryptodash", "token", "new", *scopes, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done
    token, line = done.stdout.splitlines()
    return token, line


def test_token_new_prints_the_token_and_the_line_of_the_file(tmp_path: Path) -> None:
    token, line = new_token(
        tmp_path, "page", "--scope", "read:ticker:binance:*", "--scope", "max_rate=5 max_channels=10"
    )
    digest = sha256(token.encode()).hexdigest()
    assert line == f"page:{digest}:read:ticker:binance:* max_rate=5 max_channels=10"
    assert new_token(tmp_path, "page")[1].endswith(":read")
    assert new_token(tmp_path, "--scope", "admin", "page")[1].endswith(":admin"), "options may stand anywhere"


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("arguments", "values", "named"),
    [
        (("token",), {}, "token takes: new NAME"),
        (("token", "old", "page"), {}, "token takes: new NAME"),
        (("token", "new", "a b"), {}, "name 'a b'"),
        (("token", "new", "page", "--scope", "write"), {}, "'write' is no scope; allowed are read"),
        (("run", "--auth-token", "short"), {}, "AUTH_TOKEN (command line): is not allowed"),
        (("run",), {"AUTH_TOKENS_FILE": "gone"}, "AUTH_TOKENS_FILE: gone cannot be read"),
        (("check-config",), {"AUTH_TOKENS_FILE": "broken"}, "broken line 2: the hash"),
        (("run",), {"AUTH_TOKENS_FILE": "broken"}, "broken line 2: the hash"),
        (("run",), {"AUTH_JWT_KEYS": "HS256:S3CRET"}, "AUTH_JWT_KEYS: key 1"),
        (("run",), {"PROTECT_OPS": "true"}, "PROTECT_OPS: nobody would be let in"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_every_mistake_is_one_line_without_a_secret(
    arguments: tuple[str, ...], values: dict[str, str], named: str, tmp_path: Path
) -> None:
    (tmp_path / "broken").write_text("# tokens\npage:S3CRET:read\n")
    done = run("-n", "--pidfile=", "cryptodash", *arguments, cwd=tmp_path, **values)
    assert done.returncode == 1, done
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("cryptodash: ") and named in line
    assert "S3CRET" not in line and "short" not in line


def test_check_config_hides_the_secrets_of_access(tmp_path: Path) -> None:
    keys = f"HS256:{base64.urlsafe_b64encode(KEY).decode()}"
    done = run("cryptodash", "check-config", cwd=tmp_path, AUTH_TOKEN=TOKEN, AUTH_JWT_KEYS=keys)
    assert "auth_token = (set)" in done.stdout and "auth_jwt_keys = (set)" in done.stdout
    assert TOKEN not in done.stdout and keys[6:] not in done.stdout


def test_a_server_with_tokens_of_both_kinds(tmp_path: Path, processes: list[Process]) -> None:
    token, line = new_token(tmp_path, "page", "--scope", "read:ticker:binance")
    operator, second = new_token(tmp_path, "operator", "--scope", "admin")
    (tmp_path / "tokens").write_text(f"{line}\n{second}\n")
    keys = f"HS256:{base64.urlsafe_b64encode(KEY).decode()}"
    process, port = start(
        processes,
        tmp_path,
        *("--auth-tokens-file", "tokens", "--protect-ops", "true"),
        AUTH_JWT_KEYS=keys,
        LOG_LEVEL="debug",
        BIND_ADDR="0.0.0.0:0",
    )
    signed = jwt.encode({"exp": 4_000_000_000, "scope": "read"}, KEY, "HS256")
    path = "/api/ticker?exchange=binance&symbol=BTC-USDT"
    assert ask(port, path)[0] == 401
    assert ask(port, path, "wrong")[0] == 401
    assert ask(port, f"{path}&token={token}")[0] == 401
    assert ask(port, path, token)[0] == ask(port, path, signed)[0] == 200
    assert ask(port, path.replace("ticker", "trades"), token)[0] == 403
    assert [ask(port, each, signed)[0] for each in ("/metrics", "/api/streams", "/api/quality")] == [403] * 3
    assert ask(port, "/api/symbols/refresh?exchange=bybit", signed, "POST")[0] == 403
    status, metrics, _ = ask(port, "/metrics", operator)
    assert status == 200 and b'cryptodash_auth_refused_total{reason="wrong"} 1' in metrics
    for opened in ("/", "/assets/app.js", "/health", "/ready", "/openapi.json", "/asyncapi.json"):
        assert ask(port, opened)[0] == 200, opened
    assert json.loads(ask(port, "/ready")[1]) == {"status": "ready"}
    for query in (f"?token={token}", "?token=S3CRET"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
            peer.sendall(
                f"GET /ws{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            expected = b"101" if token in query else b"401"
            assert peer.recv(12) == b"HTTP/1.1 " + expected
    log = "\n".join(process.lines)
    assert OPEN not in log
    for secret in (token, operator, signed, "S3CRET", keys[6:], sha256(token.encode()).hexdigest()):
        assert secret not in log and secret.encode() not in metrics


def test_tokens_are_read_again_on_sighup_and_a_broken_file_changes_nothing(
    tmp_path: Path, processes: list[Process]
) -> None:
    (old, line), (new, other) = new_token(tmp_path, "old"), new_token(tmp_path, "new")
    tokens, path = tmp_path / "tokens", "/api/exchanges"
    tokens.write_text(f"{line}\n")
    process, port = start(processes, tmp_path, AUTH_TOKENS_FILE="tokens")
    assert [ask(port, path, each)[0] for each in (old, new)] == [200, 401]
    tokens.write_text(f"{other}\n")
    process.signal(signal.SIGHUP)
    process.line("rules of access: 1 tokens, 0 keys")
    process.line("settings read again: nothing has changed")
    assert [ask(port, path, each)[0] for each in (old, new)] == [401, 200]
    tokens.write_text("S3CRET\n")
    process.signal(signal.SIGHUP)
    process.line("tokens line 1: .*; the rules of access stay as they are")
    assert [ask(port, path, each)[0] for each in (old, new)] == [401, 200]
    assert "S3CRET" not in "\n".join(process.lines)


@pytest.mark.parametrize(
    ("address", "values", "said"),
    [
        ("0.0.0.0:0", {}, 1),
        ("0.0.0.0:0", {"AUTH_TOKEN": TOKEN}, 0),
        ("127.0.0.1:0", {}, 0),
    ],
)
def test_who_listens_to_everybody_without_a_rule_says_what_is_open(
    address: str, values: dict[str, str], said: int, tmp_path: Path, processes: list[Process]
) -> None:
    process, port = start(processes, tmp_path, BIND_ADDR=address, **values)
    ask(port, "/health")
    assert sum(OPEN in line for line in process.lines) == said
    if said:
        line = process.line(OPEN).string
        assert "/metrics" in line and "AUTH_TOKENS_FILE" in line and f"0.0.0.0:{port}" in line


def test_several_processes_have_the_same_rules_and_no_secret_in_their_commands(
    tmp_path: Path, processes: list[Process], redis_port: int
) -> None:
    token, line = new_token(tmp_path, "operator", "--scope", "admin")
    (tmp_path / "tokens").write_text(line)
    process = Process(
        *("-n", "--pidfile=", "cryptodash", "run", "--processes", "2", "--auth-token", TOKEN, "--protect-ops", "true"),
        cwd=tmp_path,
        BIND_ADDR="127.0.0.1:0",
        AUTH_TOKENS_FILE="tokens",
        ENABLE_REDIS="true",
        REDIS_URL=f"redis://127.0.0.1:{redis_port}",
        REDIS_PREFIX="access-of-two",
    )
    processes.append(process)
    port = int(process.line(r"2 processes listen on 127\.0\.0\.1:(\d+)").group(1))
    for number in (1, 2):
        process.line(rf"\[{number}\] .*cryptodash.service#info. started: ", 30.0)
    for _ in range(10):
        assert ask(port, "/api/exchanges")[0] == ask(port, "/metrics")[0] == 401
        assert ask(port, "/api/exchanges", TOKEN)[0] == ask(port, "/metrics", token)[0] == 200
        assert ask(port, "/metrics", TOKEN)[0] == 403
    commands = {each: Path(f"/proc/{each}/cmdline").read_bytes() for each in descendants(process._process.pid)}
    serving = [command for command in commands.values() if b"cryptodash.adopt" in command]
    assert len(serving) == 2 and not [command for command in serving if TOKEN.encode() in command]
    assert TOKEN not in "\n".join(process.lines)
