"""The manifests of infra/kubernetes: clusters take them, and they may do no more than needed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from service.clock import VirtualClock
from service.processes.embedded import EmbeddedValkey
from service.settings import Settings
from service.store import Pool
from tests.harness.site import site
from tests.infra.programs import INFRA, ROOT, checked

Manifest: TypeAlias = dict[str, Any]

FOLDER = INFRA / "kubernetes"
# What people apply: with a PostgreSQL of its own, and on one that is there.
OVERLAYS = ["quickstart", "external"]
# The oldest that anybody still gives support for, and the newest that the validator knows.
VERSIONS = ["1.29", "1.37"]
SECRET_WORDS = ("PASSWORD", "TOKEN", "SECRET", "DATABASE_URL")
SETTINGS = {name.upper() for name in Settings.model_fields}


def read(*pages: Path | str) -> list[Manifest]:
    yaml = YAML(typ="safe")
    return [one for page in pages for one in yaml.load_all(page) if one["kind"] != "Kustomization"]


def written() -> list[Manifest]:
    """All manifests as they stand in their files."""
    return read(*sorted(FOLDER.rglob("*.yaml")))


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """What each Deployment and StatefulSet runs, by its name."""
    running = [one for one in manifests if one["kind"] in {"Deployment", "StatefulSet"}]
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in running}


def containers(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for name, pod in pods(manifests).items():
        for one in [*pod.get("initContainers", ()), *pod["containers"]]:
            yield f"{name}: {one['name']}", one


def example(overlay: str) -> list[str]:
    """The lines of the example of its secrets."""
    return (FOLDER / overlay / "secrets.env.example").read_text(encoding="utf-8").splitlines()


def rendering(folder: Path, overlay: str) -> list[Manifest]:
    """What `kubectl apply -k` sends, with the files that a person puts there."""
    copy = shutil.copytree(FOLDER, folder / "kubernetes") / overlay
    shutil.copy(INFRA / "taskbell.example.yaml", copy / "taskbell.yaml")
    shutil.copy(copy / "secrets.env.example", copy / "secrets.env")
    return read(checked("kubectl", "kustomize", copy))


@pytest.fixture(params=OVERLAYS)
def rendered(tmp_path: Path, request: pytest.FixtureRequest) -> list[Manifest]:
    """Each overlay as it is sent."""
    return rendering(tmp_path, request.param)


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_hold_to_their_schemas(version: str) -> None:
    """Strictly: a misspelt word is no setting."""
    for one in written():
        kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_overlay_is_whole(rendered: list[Manifest], version: str) -> None:
    """What it is made of holds to the schemas, and whatever one names another is."""
    for one in rendered:
        kubernetes_validate.validate(one, version, strict=True)
    named = {(one["kind"], one["metadata"]["name"]) for one in rendered}
    for pod in pods(rendered).values():
        volumes = [one["configMap"] for one in pod.get("volumes", ()) if "configMap" in one]
        assert {("ConfigMap", one["name"]) for one in volumes} <= named
    for _, one in containers(rendered):
        refs = [source["secretRef"]["name"] for source in one.get("envFrom", ())]
        refs += [
            env["valueFrom"]["secretKeyRef"]["name"]
            for env in one.get("env", ())
            if "valueFrom" in env
        ]
        assert {("Secret", name) for name in refs} <= named
    assert {one["metadata"].get("namespace") for one in rendered if one["kind"] != "Namespace"} == {
        "taskbell"
    }


def test_services_and_policies_find_their_pods(rendered: list[Manifest]) -> None:
    """Each selector chooses just the pods of its own component, and each port is one of theirs."""
    labels = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in rendered
        if one["kind"] in {"Deployment", "StatefulSet"}
    }
    ports = {
        name: {port["name"] for one in pod["containers"] for port in one.get("ports", ())}
        for name, pod in pods(rendered).items()
    }
    for one in rendered:
        spec, name = one.get("spec", {}), one["metadata"]["name"]
        if one["kind"] == "Service":
            assert chosen(spec["selector"], labels) == [name]
            assert {port["targetPort"] for port in spec["ports"]} <= ports[name]
        elif one["kind"] in {"NetworkPolicy", "PodDisruptionBudget"}:
            selector = spec["podSelector" if one["kind"] == "NetworkPolicy" else "selector"]
            assert chosen(selector["matchLabels"], labels) == [name]


def chosen(selector: dict[str, str], labels: dict[str, dict[str, str]]) -> list[str]:
    return [name for name, has in labels.items() if selector.items() <= has.items()]


def test_nothing_may_do_more_than_it_has_to() -> None:
    """No root, nothing written beside a folder for it, no way up, no token for the cluster."""
    assert len(pods(written())) == 4
    for pod in pods(written()).values():
        context = pod["securityContext"]
        assert context["runAsNonRoot"]
        assert context["runAsUser"] >= 999
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not [one for one in pod["volumes"] if "hostPath" in one]
    for name, one in containers(written()):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert one["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert one["resources"]["limits"].keys() == {"memory"}, name


def test_whoever_listens_is_asked_whether_it_is_well() -> None:
    """With three probes; none of them restarts the door because the database is away."""
    for name, one in containers(written()):
        probes = {key for key in one if key.endswith("Probe")}
        listens = {"startupProbe", "readinessProbe", "livenessProbe"} if "ports" in one else set()
        assert probes == listens, name
        for probe in probes:
            assert one[probe].get("httpGet", {}).get("path") in {None, "/healthz"}


async def test_taskbell_answers_its_probes(
    tmp_path: Path, pool: Pool, clock: VirtualClock, valkey: EmbeddedValkey
) -> None:
    """At each path that a probe asks for, and without a token."""
    probes = [
        one[key]["httpGet"]
        for _, one in containers(written())
        for key in one
        if "Probe" in key and "httpGet" in one[key]
    ]
    assert {one["port"] for one in probes} == {"http"}
    async with site(tmp_path, pool, clock, valkey.url, "a-token-that-nobody-knows") as web:
        for path in {one["path"] for one in probes}:
            assert (await web.client.get(path)).is_success


def test_no_secret_is_written_down() -> None:
    """They come from a Secret that the repository does not have; the example has empty places."""
    assert [one for one in written() if one["kind"] == "Secret"] == []
    for name, one in containers(written()):
        for env in one.get("env", ()):
            is_secret = any(word in env["name"] for word in SECRET_WORDS)
            assert not (is_secret and "value" in env), name
    for overlay in OVERLAYS:
        lines = [line for line in example(overlay) if line and line[0] != "#"]
        assert [line for line in lines if not line.endswith("=")] == []
        ignored = (FOLDER / overlay / ".gitignore").read_text(encoding="utf-8").split()
        assert ignored == ["secrets.env", "taskbell.yaml"]


def test_the_pods_run_what_the_image_has() -> None:
    """By the image that infra/Dockerfile makes, which nobody has to fetch from anywhere."""
    procfile = (ROOT / "Procfile").read_text(encoding="utf-8")
    image = (INFRA / "Dockerfile").read_text(encoding="utf-8")
    runs = {name: one for name, one in containers(written()) if one["image"] == "taskbell"}
    commands = {name: " ".join(one["command"]) for name, one in runs.items()}
    assert f"CMD {json.dumps(commands['taskbell-web: web'].split())}" in image
    assert commands["taskbell-worker: worker"] in procfile
    assert commands["taskbell-web: migrate"] == "taskbell migrate"
    assert {one["imagePullPolicy"] for one in runs.values()} == {"IfNotPresent"}
    users = {
        pods(written())[name.partition(":")[0]]["securityContext"]["runAsUser"] for name in runs
    }
    assert [f"USER {user}\n" in image for user in users] == [True]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_of_an_example_means_something(overlay: str) -> None:
    """Each is a setting, of PostgreSQL, or named in the example configuration."""
    names = {line.removesuffix("=") for line in example(overlay) if line.endswith("=")}
    configuration = (INFRA / "taskbell.example.yaml").read_text(encoding="utf-8")
    others = names - SETTINGS - {"POSTGRES_PASSWORD"}
    assert {name for name in others if f"${{{name}}}" not in configuration} == set()
    assert {"TASKBELL_ADMIN_TOKEN", "DATABASE_URL"} <= names


def test_every_variable_of_a_container_is_a_setting() -> None:
    """What Taskbell's own containers are given beside the Secret is one that it reads."""
    ours = [one for _, one in containers(written()) if one["image"] == "taskbell"]
    assert {env["name"] for one in ours for env in one.get("env", ())} <= SETTINGS


def test_on_servers_that_are_there_none_is_started(tmp_path: Path) -> None:
    """Nothing of PostgreSQL and Valkey is left, and the Secret says where they are."""
    sent = rendering(tmp_path, "external")
    assert set(pods(sent)) == {"taskbell-web", "taskbell-worker"}
    assert [one["metadata"]["name"] for one in sent if one["kind"] == "Service"] == ["taskbell-web"]
    [secret] = [one for one in sent if one["kind"] == "Secret"]
    assert {"DATABASE_URL", "REDIS_URL"} <= secret["data"].keys()
    for name, one in containers(sent):
        assert not one.get("env"), name
        assert [source["secretRef"]["name"] for source in one["envFrom"]] == [
            secret["metadata"]["name"]
        ]
