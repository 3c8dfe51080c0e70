"""nginx with nchan: every event is an HTTP POST, and nginx alone speaks to the clients.

    nchan_server.py BODIES NGINX MODULE

A turn's POSTs are pipelined: they leave in one ``send`` over one connection that stays open. ``ok`` is a stored message
of the channel, so that each client finds it there; events are not stored, which is the cheapest for nginx. What clients
send goes to a channel that nobody reads. One process of nginx serves everybody, on our core, and ends with us, however
we end; it is not stopped with us, and idle while nothing is published. Only the rates are of use: the CPU time that is
reported is ours, without nginx. One topic is all there is, since a client cannot choose with a message.
"""

from __future__ import annotations

import ctypes
import re
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from work import Work, announce, control_socket, drain, read_bodies, say

CONFIGURATION = """
load_module {module};
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events {{
    worker_connections {connections};
    multi_accept on;
}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_header_buffer_size 64k;
    keepalive_requests 1000000000;
    keepalive_timeout 1d;
    keepalive_time 1d;
    nchan_shared_memory_size 256M;
    nchan_message_timeout 0;
    server {{
        listen 127.0.0.1:{port} backlog=4096 sndbuf=128k;
        location = /ws {{
            nchan_pubsub websocket;
            nchan_subscriber_channel_id 0;
            nchan_publisher_channel_id said;
            nchan_message_buffer_length 0;
            nchan_websocket_ping_interval 0;
        }}
        location = /greet {{
            nchan_publisher http;
            nchan_channel_id 0;
            nchan_message_buffer_length 1;
        }}
        location = /0 {{
            nchan_publisher http;
            nchan_channel_id 0;
            nchan_message_buffer_length 0;
        }}
    }}
}}
"""
CONNECTIONS = 4096
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
STATUS = re.compile(rb"HTTP/1\.1 (?!20[012] )\d\d\d")
TAIL = 16


def post(path: bytes, body: bytes) -> bytes:
    """One event as a request."""
    return b"POST %b HTTP/1.1\r\nHost: nchan\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


def start_nginx(nginx: str, module: str, port: int) -> None:
    """nginx with a directory of its own, which is gone once nginx is up;
    killed by the kernel when this process is no more."""
    own = Path(tempfile.mkdtemp(prefix="nchan-"))
    try:
        text = CONFIGURATION.format(module=module, port=port, connections=CONNECTIONS)
        (own / "nginx.conf").write_text(text, encoding="utf-8")
        prctl = ctypes.CDLL(None).prctl
        command = [nginx, "-p", f"{own}/", "-c", str(own / "nginx.conf"), "-e", "stderr"]
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            preexec_fn=lambda: prctl(DIE_WITH_PARENT, signal.SIGKILL),
        )
        until = time.monotonic() + 15
        while time.monotonic() < until and child.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise OSError(
            f"nginx ended with code {child.returncode}" if child.poll() is not None else "nginx does not listen"
        )
    finally:
        shutil.rmtree(own, ignore_errors=True)


class Publisher:
    """The connection that events go out on."""

    def __init__(self, port: int, bodies: list[list[bytes]]) -> None:
        self._bodies = bodies
        self._posts: list[bytes] = []
        self._tail = b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def emit(self, topic: int, number: int) -> None:
        before, after = self._bodies[topic]
        self._posts.append(post(b"/0", b"%b%d%b" % (before, number, after)))

    def flush(self) -> None:
        """The turn's events in one write; answers are read while there is no room for it."""
        data = memoryview(b"".join(self._posts))
        self._posts.clear()
        while data:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                if select.select([self.socket], [self.socket], [])[0]:
                    self.read()

    def read(self) -> None:
        """Answers; one that refuses an event ends the measurement."""
        data = self.socket.recv(262_144)
        refusal = STATUS.search(self._tail + data)
        if refusal or not data:
            say(
                failed=f"an event was refused: {refusal[0].decode()}"
                if refusal
                else "nginx closed the publisher's connection"
            )
            sys.exit(1)
        self._tail = data[-TAIL:]


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    bodies = read_bodies(sys.argv[1])
    port = free_port()
    start_nginx(sys.argv[2], sys.argv[3], port)
    with socket.create_connection(("127.0.0.1", port)) as greeter:
        greeter.sendall(post(b"/greet", b"ok"))
        answer = greeter.recv(65536)
    if not answer.startswith(b"HTTP/1.1 202"):
        raise OSError(f"the greeting was refused: {answer[:40]!r}")
    publisher = Publisher(port, bodies)
    work, control = Work(publisher.emit), control_socket()
    poll = selectors.EpollSelector()
    poll.register(control, selectors.EVENT_READ)
    poll.register(publisher.socket, selectors.EVENT_READ)
    announce(port, control)
    wait: Any = None
    while True:
        for key, _ in poll.select(wait):
            if key.fileobj is control:
                drain(control, work)
            else:
                publisher.read()
        wait = work.turn()
        publisher.flush()


if __name__ == "__main__":
    main()
