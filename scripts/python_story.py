"""What authors of operators do with the official Python client; every assertion is on the server's answer."""

import threading
import time

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from kubernetes.dynamic.exceptions import (
    ConflictError,
    NotFoundError,
    ResourceNotFoundError,
    UnprocessibleEntityError,
)

NS = "python"


def step(words):
    print(f"== {words}", flush=True)


def until(what, probe):
    """Waits for a level, not an edge."""
    for _ in range(150):
        found = probe()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"never: {what}")


def refused(kind, call):
    """The refusal that a call ends with."""
    try:
        call()
    except kind as refusal:
        return refusal
    raise AssertionError("nothing was refused")


def typed(core):
    step("typed client: create, read, change, list in pages")
    core.create_namespace({"metadata": {"name": NS}})
    for n in range(7):
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"m{n}", labels={"app": "story"}), data={"k": str(n)})
        core.create_namespaced_config_map(NS, body)
    first = core.list_namespaced_config_map(NS, limit=3, label_selector="app=story")
    names, token = [m.metadata.name for m in first.items], first.metadata._continue
    while token:
        page = core.list_namespaced_config_map(NS, limit=3, label_selector="app=story", _continue=token)
        assert page.metadata.resource_version == first.metadata.resource_version, page.metadata
        names += [m.metadata.name for m in page.items]
        token = page.metadata._continue
    assert names == [f"m{n}" for n in range(7)], names

    step("a stale write is 409, a wrong one 422, what is not there 404")
    old = core.read_namespaced_config_map("m0", NS)
    core.patch_namespaced_config_map("m0", NS, {"data": {"k": "new"}})
    old.data["k"] = "stale"
    conflict = refused(ApiException, lambda: core.replace_namespaced_config_map("m0", NS, old))
    assert (conflict.status, '"reason":"Conflict"' in conflict.body) == (409, True), conflict
    wrong = {"metadata": {"name": "Wrong_Name"}}
    invalid = refused(ApiException, lambda: core.create_namespaced_config_map(NS, wrong))
    assert (invalid.status, "a lowercase RFC 1123 subdomain" in invalid.body) == (422, True), invalid
    missing = refused(ApiException, lambda: core.read_namespaced_config_map("none", NS))
    assert missing.status == 404, missing


def watches(core):
    step("a watch goes on from a resource version")
    start = core.list_namespaced_config_map(NS).metadata.resource_version

    def write():
        for n in range(3):
            core.patch_namespaced_config_map("m1", NS, {"data": {"k": f"turn{n}"}})

    writer = threading.Thread(target=write)
    writer.start()
    seen, last = [], None
    stream = watch.Watch()
    for event in stream.stream(core.list_namespaced_config_map, NS, resource_version=start, timeout_seconds=20):
        seen.append((event["type"], event["object"].data["k"]))
        last = event["object"].metadata.resource_version
        if len(seen) == 2:
            stream.stop()
    writer.join()
    resumed = watch.Watch()
    for event in resumed.stream(core.list_namespaced_config_map, NS, resource_version=last, timeout_seconds=20):
        seen.append((event["type"], event["object"].data["k"]))
        resumed.stop()
    assert seen == [("MODIFIED", f"turn{n}") for n in range(3)], seen

    step("a watch in a window of time ends by itself")
    began = time.monotonic()
    assert list(watch.Watch().stream(core.list_namespaced_secret, NS, timeout_seconds=1)) == []
    assert time.monotonic() - began < 15


def definitions(api):
    step("dynamic client: a definition, and objects of it")
    cluster = dynamic.DynamicClient(api)
    crds = cluster.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "colour": {"type": "string", "default": "grey"},
                },
            }
        },
    }
    crds.create(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "gadgets.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
            },
        }
    )

    def established():
        conditions = (crds.get(name="gadgets.example.com").status or {}).get("conditions") or []
        return any(c.type == "Established" and c.status == "True" for c in conditions)

    until("the definition is established", established)

    def served():
        try:
            cluster.resources.invalidate_cache()
            return cluster.resources.get(api_version="example.com/v1", kind="Gadget")
        except (NotFoundError, ResourceNotFoundError):
            return None

    gadgets = until("discovery names gadgets", served)
    made = gadgets.create({"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": 3}}, namespace=NS)
    assert (made.spec.size, made.spec.colour) == (3, "grey"), made
    patched = gadgets.patch({"metadata": {"name": "g"}, "spec": {"size": 4}}, namespace=NS, content_type="application/merge-patch+json")
    assert (patched.spec.size, patched.metadata.generation) == (4, 2), patched
    assert [g.metadata.name for g in gadgets.get(namespace=NS).items] == ["g"]
    small = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "small"}, "spec": {"size": 0}}
    invalid = refused(UnprocessibleEntityError, lambda: gadgets.create(small, namespace=NS))
    assert "spec.size" in str(invalid.body), invalid.body
    stale = made.to_dict()
    stale["spec"]["size"] = 9
    refused(ConflictError, lambda: gadgets.replace(stale, namespace=NS))
    for event in gadgets.watch(namespace=NS, resource_version=made.metadata.resourceVersion, timeout=20):
        assert (event["type"], event["object"].spec.size) == ("MODIFIED", 4), event
        break

    step("server-side apply")
    apply = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "h"}, "spec": {"size": 1}}
    applied = gadgets.server_side_apply(apply, namespace=NS, field_manager="story")
    assert applied.metadata.name == "h", applied
    crds.delete(name="gadgets.example.com")

    def gone():
        try:
            crds.get(name="gadgets.example.com")
        except NotFoundError:
            return True

    until("the definition and its objects are gone", gone)


def pods(core, api):
    step("a pod runs and its log is read")
    until("the service account", lambda: [a for a in core.list_namespaced_service_account(NS).items if a.metadata.name == "default"])
    spec = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox", "command": ["echo", "hello"]}]}
    core.create_namespaced_pod(NS, {"metadata": {"name": "p"}, "spec": spec})
    until("the pod has run", lambda: core.read_namespaced_pod("p", NS).status.phase == "Succeeded")
    assert core.read_namespaced_pod_log("p", NS) == "hello\n"
    step("who may do what")
    review = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=client.V1ResourceAttributes(verb="delete", resource="nodes"))
    )
    assert client.AuthorizationV1Api(api).create_self_subject_access_review(review).status.allowed
    assert client.VersionApi(api).get_code().major == "1"


def main():
    config.load_kube_config()
    api = client.ApiClient()
    core = client.CoreV1Api(api)
    typed(core)
    watches(core)
    definitions(api)
    pods(core, api)
    core.delete_namespace(NS)


main()
