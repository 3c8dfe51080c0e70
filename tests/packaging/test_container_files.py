"""What holds of the container's files, where no engine runs them: by hadolint, and by rules of our own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from cryptodash.core.config import SETTINGS
from tests.packaging.container_files import DEPLOY, compose, environment, last, stages
from tests.processes import ROOT

SECRET = re.compile(r"(?i)token|passw|secret|_key\b|credential")
MADE = {"requirements.lock"}
"""``make lock`` makes it."""
SERVICES = sorted(compose()["services"])


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        reason = "hadolint is not installed (extra `containers`)"
        if os.environ.get("CRYPTODASH_REQUIRE_HADOLINT"):
            pytest.fail(f"{reason}, and CRYPTODASH_REQUIRE_HADOLINT is set")
        pytest.skip(reason)
    done = subprocess.run(
        [program, "--failure-threshold", "info", str(DEPLOY / "Dockerfile")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def is_pinned(image: str) -> bool:
    """Whether the image is named by a version."""
    name, colon, tag = image.rpartition(":")
    return bool(name and colon and tag != "latest" and "/" not in tag)


def test_the_image_is_of_stages_that_name_their_versions() -> None:
    assert len(stages()) == 2
    for stage in stages():
        assert stage[0].word == "FROM" and is_pinned(stage[0].rest.partition(" ")[0]), stage[0]
    assert stages()[0][0].rest.partition(" ")[0] == stages()[1][0].rest, "the environment is of that very Python"


def test_nobody_is_root_in_it_and_nothing_is_installed_there() -> None:
    user = last("USER").rest.split(":")
    assert len(user) == 2 and all(each.isdigit() and int(each) >= 1000 for each in user)
    assert not [each for each in stages()[-1] if each.word in ("RUN", "ADD", "VOLUME")]


def test_what_is_run_is_run_without_a_shell() -> None:
    assert last("ENTRYPOINT").command == ["twistd", "--nodaemon", "--pidfile=", "cryptodash"]
    assert last("CMD").command == ["run"]
    assert last("HEALTHCHECK").command[0] == "python"
    assert last("STOPSIGNAL").rest == "SIGTERM"


def test_the_port_is_that_of_the_health_check() -> None:
    port = environment()["BIND_ADDR"].rpartition(":")[2]
    assert last("EXPOSE").rest == port
    assert f"127.0.0.1:{port}/ready" in (DEPLOY / "healthcheck.py").read_text(encoding="utf-8")


def test_what_is_installed_is_held_by_hashes() -> None:
    installs = re.findall(r"pip install ([^&]*)", " && ".join(each.rest for each in stages()[0] if each.word == "RUN"))
    assert len(installs) == 2
    assert "--require-hashes -r requirements.lock" in installs[0]
    assert "--no-deps" in installs[1] and "cryptodash-*.whl" in installs[1]


def test_no_secret_is_in_the_image_or_beside_it() -> None:
    for stage in stages():
        for each in stage:
            assert each.word not in ("ARG", "ENV") or not SECRET.search(each.rest), each
    for name, service in compose()["services"].items():
        settings = service.get("environment", {})
        assert not [key for key in settings if SECRET.search(key)], name
        assert not [value for value in map(str, settings.values()) if re.search(r"://[^/]*:[^/]*@", value)], name


def test_the_context_is_what_is_copied() -> None:
    copied = {
        source
        for stage in stages()
        for each in stage
        if each.word == "COPY" and "--from" not in each.rest
        for source in each.rest.split()[:-1]
    }
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    admitted = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert next(line for line in lines if not line.startswith("#")) == "*"
    assert admitted == copied
    assert [each for each in copied - MADE if not (ROOT / each).exists()] == []


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_bounded_and_closed(name: str) -> None:
    service = compose()["services"][name]
    assert is_pinned(service["image"])
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and not service.get("privileged")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped" and service["mem_limit"] and service["logging"]["options"]["max-size"]
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ())), "seen from outside"
    assert set(service["networks"]) <= compose()["networks"].keys()
    for volume in service.get("volumes", ()):
        source = volume.partition(":")[0]
        if source.startswith("."):
            assert (DEPLOY / source).is_file() and volume.endswith(":ro"), volume
        else:
            assert source in compose()["volumes"]


def test_the_server_is_three_processes_by_a_redis_that_forgets_nothing() -> None:
    services = compose()["services"]
    server, redis = services["cryptodash"], services["redis"]
    assert server["command"] == ["run", "--processes", "3"]
    assert server["environment"].keys() <= {setting.name for setting in SETTINGS}
    assert server["environment"]["REDIS_URL"] == "redis://redis:6379"
    words = redis["command"]
    assert words[words.index("--maxmemory-policy") + 1] == "noeviction"
    assert int(words[words.index("--maxmemory") + 1].removesuffix("mb")) < int(redis["mem_limit"].removesuffix("m"))
    assert redis["networks"] == ["redis"] and compose()["networks"]["redis"]["internal"] is True
    assert [name for name in SERVICES if "redis" in services[name]["networks"]] == ["cryptodash", "redis"]
    grace = int(server["stop_grace_period"].removesuffix("s"))
    assert grace > 5, "what a shutdown may take"


def test_a_proxy_of_the_machine_is_trusted_and_nobody_else() -> None:
    (config,) = compose()["networks"]["outside"]["ipam"]["config"]
    trusted = compose()["services"]["cryptodash"]["environment"]["TRUSTED_PROXIES"]
    assert trusted == config["gateway"] and ip_address(trusted) in ip_network(config["subnet"])


def test_prometheus_and_grafana_find_what_they_show() -> None:
    def read(path: str) -> Any:
        return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))

    services = compose()["services"]
    ((job,),) = [read("prometheus.yml")["scrape_configs"]]
    assert job["static_configs"] == [{"targets": ["cryptodash:8080"]}]
    assert set(services["prometheus"]["networks"]) & set(services["cryptodash"]["networks"])
    (source,) = read("grafana/datasource.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090" and source["isDefault"]
    assert set(services["prometheus"]["networks"]) & set(services["grafana"]["networks"])
    (provider,) = read("grafana/dashboards.yml")["providers"]
    mounted = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    assert f"{provider['options']['path']}/cryptodash.json" in mounted
