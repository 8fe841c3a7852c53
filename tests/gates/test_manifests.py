"""Image, compose file and Kubernetes manifests say the same as the gateway and its API."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SNAKEPIT_BIN", REPO / "build/snakepit"))
LEAVE_SECONDS = 5  # after the running calls: workers leave, last answers are written


class StrictLoader(yaml.SafeLoader):
    """Refuses a member that is given twice, where YAML would take the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        given = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=True) for key in given]
        doubled = {str(key) for key in keys if keys.count(key) > 1}
        if doubled:
            raise yaml.YAMLError(f"{node.start_mark}: given twice: {doubled}")
        return super().construct_mapping(node, deep)


def load(name: str) -> Any:
    """The document in the file `name` of the repository."""
    return yaml.load((REPO / name).read_text(encoding="utf-8"), StrictLoader)


def dockerfile(instruction: str) -> str:
    """The text of the last such instruction."""
    text = (REPO / "docker/Dockerfile").read_text(encoding="utf-8")
    return str(re.findall(rf"^{instruction} (.*)$", text, re.M)[-1])


def pod() -> Any:
    """The pod of the deployment."""
    return load("k8s/deployment.yaml")["spec"]["template"]["spec"]


def container() -> Any:
    """Its only container."""
    (only,) = pod()["containers"]
    return only


def test_every_manifest_is_part_of_the_base() -> None:
    files = {path.name for path in (REPO / "k8s").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(load("k8s/kustomization.yaml")["resources"]) == files
    for name in files:
        assert {"apiVersion", "kind", "metadata", "spec"} == load(f"k8s/{name}").keys()


def test_probes_ask_what_the_api_describes() -> None:
    paths = load("openapi/openapi.yaml")["paths"]
    probes = {"startupProbe": "/startupz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for probe, path in probes.items():
        assert container()[probe]["httpGet"] == {"path": path, "port": "http"}
        assert "get" in paths[path]
    for path in re.findall(r"127\.0\.0\.1:8080(/\w+)", (REPO / "docker/Dockerfile").read_text()):
        assert "get" in paths[path]


def test_all_name_the_same_port() -> None:
    port = int(dockerfile("EXPOSE"))
    assert json.loads(dockerfile("CMD")) == container()["args"]
    assert container()["args"][:2] == ["--listen", f"0.0.0.0:{port}"]
    assert container()["ports"] == [{"name": "http", "containerPort": port}]
    assert load("k8s/service.yaml")["spec"]["ports"][0]["targetPort"] == "http"
    (published,) = load("docker/compose.yaml")["services"]["snakepit"]["ports"]
    assert published == f"127.0.0.1:{port}:{port}"


def test_flags_and_settings_are_the_gateways() -> None:
    if not BINARY.exists():
        pytest.skip(f"{BINARY} is not built")
    result = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, check=True)
    flags = set(re.findall(r"--[a-z-]+", result.stdout))
    used = {word for word in container()["args"] if word.startswith("--")}
    settings = {entry["name"] for entry in container()["env"]}
    settings |= load("docker/compose.yaml")["services"]["snakepit"]["environment"].keys()
    used |= {"--" + name.removeprefix("SNAKEPIT_").lower().replace("_", "-") for name in settings}
    assert used <= flags


def test_nothing_runs_as_root() -> None:
    uid, gid = map(int, dockerfile("USER").split(":"))
    context = pod()["securityContext"]
    assert uid > 0 and context["runAsNonRoot"] is True
    assert (context["runAsUser"], context["runAsGroup"]) == (uid, gid)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_mount_has_its_volume() -> None:
    mounts = {mount["name"] for mount in container()["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod()["volumes"]}


def test_kubernetes_puts_no_settings_into_the_environment() -> None:
    assert pod()["enableServiceLinks"] is False


def test_there_is_time_to_drain() -> None:
    config = (REPO / "server/config/config.c").read_text()
    drain = re.search(r"\.drain_timeout_us = UINT64_C\((\d+)\)", config)
    assert drain
    seconds = int(drain[1]) / 1e6 + LEAVE_SECONDS
    pause = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod()["terminationGracePeriodSeconds"] >= pause + seconds
    compose = load("docker/compose.yaml")["services"]["snakepit"]
    assert int(compose["stop_grace_period"].removesuffix("s")) >= seconds


def test_image_tag_is_the_projects_version() -> None:
    project = re.search(r"project\(snakepit VERSION (\S+)", (REPO / "CMakeLists.txt").read_text())
    assert project
    (image,) = load("k8s/kustomization.yaml")["images"]
    assert image == {"name": container()["image"], "newTag": project[1]}


def test_image_copies_what_is_there() -> None:
    ignored = (REPO / ".dockerignore").read_text().split("\n")
    text = (REPO / "docker/Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
        for name in line.split()[:-1]:
            assert (REPO / name).exists(), name
            assert name.split("/")[0] not in ignored, name


def test_selectors_find_the_pods() -> None:
    deployment = load("k8s/deployment.yaml")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert load("k8s/service.yaml")["spec"]["selector"] == labels
    assert load("k8s/disruption.yaml")["spec"]["selector"]["matchLabels"] == labels


@pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl here")
def test_base_renders() -> None:
    command = ["kubectl", "kustomize", REPO / "k8s"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    kinds = {document["kind"] for document in yaml.safe_load_all(result.stdout)}
    assert kinds == {"Deployment", "Service", "PodDisruptionBudget"}
