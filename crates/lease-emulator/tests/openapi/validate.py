#!/usr/bin/env python3
"""Compares the answers of a running emulator with the vendor's own OpenAPI text, which is not part of this project.

    validate.py hetzner OPENAPI ORIGIN TOKEN
    validate.py fal     OPENAPI ORIGIN KEY

Needs the packages jsonschema and pyyaml. It asks every route that the emulator has, with success and with failure, and
checks each answer: the status is documented, the body fits the schema, and it has no field that the schema lacks. A
field that the schema marks as deprecated may be missing. Prints one line for each difference and a last line
`N passed, M failed`.
"""

import base64
import json
import os
import re
import struct
import sys
import time
import urllib.error
import urllib.request

import jsonschema
import yaml

TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
DECIMAL = re.compile(r"-?\d+(\.\d+)?")
WAIT_SECONDS_MAX = 60


def strict(node, document):
    """A schema in the words of JSON Schema, which admits nothing that it does not name."""
    if isinstance(node, list):
        return [strict(entry, document) for entry in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return strict(target, document)
    made = {}
    for key, value in node.items():
        if key == "properties":
            made[key] = {name: strict(entry, document) for name, entry in value.items()}
        elif key not in ("example", "examples", "default", "description", "nullable"):
            made[key] = strict(value, document) if isinstance(value, (dict, list)) else value
    properties = node.get("properties")
    if isinstance(properties, dict):
        made.setdefault("additionalProperties", False)
        outdated = {name for name, entry in properties.items() if entry.get("deprecated")}
        made["required"] = [name for name in node.get("required", []) if name not in outdated]
    if node.get("nullable"):
        return {"anyOf": [made, {"type": "null"}]}
    return made


def formats():
    checker = jsonschema.FormatChecker(formats=())
    checker.checks("date-time")(lambda text: not isinstance(text, str) or bool(TIMESTAMP.fullmatch(text)))
    checker.checks("decimal")(lambda text: not isinstance(text, str) or bool(DECIMAL.fullmatch(text)))
    return checker


class Walk:
    """Asks, and checks every answer."""

    def __init__(self, document, origin, prefix, authorization):
        self.document, self.prefix = document, prefix
        self.base = origin.rstrip("/") + prefix
        self.authorization = authorization
        self.formats = formats()
        self.passed = self.failed = 0
        self.covered = set()

    def ask(self, method, path, status, body=None, headers=None):
        """Sends a request whose answer is to have a status. Returns the body of the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method)
        request.add_header("Authorization", self.authorization)
        request.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                got, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            got, text = error.code, error.read()
        value = json.loads(text) if text else None
        faults = [] if got == status else [f"the status is {got} and not {status}: {value}"]
        faults += self.faults(method, path.split("?")[0], got, value)
        for fault in faults:
            print(f"{method} {path}: {fault}")
        self.failed += bool(faults)
        self.passed += not faults
        return value

    def template(self, method, path):
        """The documented path that a path is an instance of; one without variables comes first."""
        templates = sorted(self.document["paths"], key=lambda template: template.count("{"))
        for template in templates:
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
            if re.fullmatch(pattern, path) and method.lower() in self.document["paths"][template]:
                return template
        return None

    def faults(self, method, path, status, value):
        template = self.template(method, path)
        if template is None:
            return ["the document has no such operation"]
        self.covered.add((method, template))
        responses = self.document["paths"][template][method.lower()]["responses"]
        response = responses.get(str(status), responses.get(f"{status // 100}xx"))
        if response is None:
            return [f"the status {status} is not documented"]
        schema = response.get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            return [] if value is None else ["a body where the document has none"]
        schema = strict(schema, self.document)
        validator = jsonschema.Draft202012Validator(schema, format_checker=self.formats)
        return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]

    def wait(self, path, reached):
        """Asks until an answer is as wanted."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while time.monotonic() < deadline:
            value = self.ask("GET", path, 200)
            if reached(value):
                return value
            time.sleep(0.2)
        print(f"GET {path}: not as wanted within {WAIT_SECONDS_MAX} seconds")
        self.failed += 1
        return None


def public_key():
    """A well-formed Ed25519 key that nobody has the private half of."""
    word = lambda data: struct.pack(">I", len(data)) + data
    blob = word(b"ssh-ed25519") + word(os.urandom(32))
    return "ssh-ed25519 " + base64.b64encode(blob).decode() + " nobody"


def hetzner(walk):
    for path in ("servers", "ssh_keys", "server_types", "locations", "images", "primary_ips", "servers/actions"):
        walk.ask("GET", f"/{path}", 200)
        walk.ask("GET", f"/{path}?page=1&per_page=2", 200)
        walk.ask("GET", f"/{path}?per_page=0", 422)
    for path in ("server_types", "locations", "images"):
        first = walk.ask("GET", f"/{path}", 200)[path][0]["id"]
        walk.ask("GET", f"/{path}/{first}", 200)
        walk.ask("GET", f"/{path}/1000000", 404)
    walk.ask("GET", "/pricing", 200)
    key = {"name": "validate", "public_key": public_key(), "labels": {"a": "b"}}
    key_id = walk.ask("POST", "/ssh_keys", 201, key)["ssh_key"]["id"]
    walk.ask("POST", "/ssh_keys", 409, key)
    walk.ask("POST", "/ssh_keys", 409, {**key, "name": "other"})
    walk.ask("POST", "/ssh_keys", 422, {"name": "other"})
    walk.ask("GET", f"/ssh_keys/{key_id}", 200)
    walk.ask("GET", "/ssh_keys?name=validate", 200)
    walk.ask("PUT", f"/ssh_keys/{key_id}", 200, {"labels": {}})
    server_walk(walk, key_id)
    walk.ask("DELETE", f"/ssh_keys/{key_id}", 204)
    walk.ask("DELETE", f"/ssh_keys/{key_id}", 404)
    walk.authorization = "Bearer wrong"
    walk.ask("GET", "/servers", 401)


def server_walk(walk, key_id):
    wish = {"name": "validate", "server_type": "cx23", "image": "debian-12", "location": "fsn1"}
    wish = {**wish, "ssh_keys": [str(key_id)], "labels": {"a": "b"}, "user_data": "#cloud-config\n"}
    made = walk.ask("POST", "/servers", 201, wish)
    walk.ask("POST", "/servers", 409, wish)
    walk.ask("POST", "/servers", 422, {**wish, "name": "a_b", "image": "none"})
    walk.ask("POST", "/servers", 422, {})
    no_key = walk.ask("POST", "/servers", 201, {**wish, "name": "no-key", "ssh_keys": []})
    server, action = made["server"]["id"], made["action"]["id"]
    walk.ask("GET", f"/servers/{server}", 200)
    walk.ask("GET", "/servers?label_selector=a%3Db&sort=name:desc", 200)
    walk.ask("GET", f"/servers/{server}/actions", 200)
    walk.ask("GET", f"/servers/{server}/actions/{action}", 200)
    walk.ask("GET", f"/servers/actions/{action}", 200)
    walk.ask("GET", "/servers/actions?status=running&sort=started:desc", 200)
    walk.ask("GET", f"/actions/{action}", 200)
    walk.ask("GET", f"/actions?id={action}", 200)
    walk.ask("GET", "/actions", 422)
    walk.ask("PUT", f"/servers/{server}", 200, {"labels": {"c": "d"}})
    walk.ask("PUT", f"/servers/{server}", 422, {"labels": {"": ""}})
    walk.wait(f"/servers/{server}", lambda value: value["server"]["status"] == "running")
    walk.ask("POST", f"/servers/{server}/actions/poweroff", 201)
    walk.wait(f"/servers/{server}", lambda value: value["server"]["status"] == "off")
    walk.ask("POST", f"/servers/{server}/actions/poweron", 201)
    walk.wait(f"/servers/{server}", lambda value: value["server"]["status"] == "running")
    ips = walk.ask("GET", "/primary_ips", 200)["primary_ips"]
    walk.ask("GET", f"/primary_ips/{ips[0]['id']}", 200)
    walk.ask("PUT", f"/primary_ips/{ips[0]['id']}", 200, {"labels": {"a": "b"}})
    walk.ask("DELETE", f"/primary_ips/{ips[0]['id']}", 422)
    for gone in (server, no_key["server"]["id"]):
        deleted = walk.ask("DELETE", f"/servers/{gone}", 200)
        done = lambda value: value["action"]["status"] == "success"
        walk.wait(f"/actions/{deleted['action']['id']}", done)
        walk.ask("GET", f"/servers/{gone}", 404)
        walk.ask("DELETE", f"/servers/{gone}", 404)


def fal(walk):
    walk.ask("GET", "/compute/instances", 200)
    wish = {"instance_type": "gpu_1x_h100_sxm5", "ssh_key": public_key()}
    made = walk.ask("POST", "/compute/instances", 201, wish, {"Idempotency-Key": "validate-1"})
    again = walk.ask("POST", "/compute/instances", 201, wish, {"Idempotency-Key": "validate-1"})
    if made != again:
        print("POST /compute/instances: the same idempotency key gave another answer")
        walk.failed += 1
    walk.ask("POST", "/compute/instances", 400, {"instance_type": "abacus"})
    path = f"/compute/instances/{made['id']}"
    walk.wait(path, lambda value: value["status"] == "ready")
    walk.ask("GET", "/compute/instances?limit=1", 200)
    walk.ask("DELETE", path, 204)
    walk.ask("GET", path, 404)
    walk.authorization = "Key wrong:wrong"
    walk.ask("GET", "/compute/instances", 401)


def main():
    if len(sys.argv) != 5 or sys.argv[1] not in ("hetzner", "fal"):
        sys.exit(__doc__)
    _, provider, text, origin, token = sys.argv
    with open(text, encoding="utf-8") as file:
        document = json.load(file) if text.endswith(".json") else yaml.safe_load(file)
    if provider == "hetzner":
        walk = Walk(document, origin, "/v1", f"Bearer {token}")
        hetzner(walk)
    else:
        walk = Walk(document, origin, "/v1", f"Key {token}")
        fal(walk)
    print(f"operations covered: {len(walk.covered)}")
    print(f"{walk.passed} passed, {walk.failed} failed")
    sys.exit(1 if walk.failed else 0)


if __name__ == "__main__":
    main()
