#!/usr/bin/env python3
"""An adapter for lease: one JSON request on standard input, one JSON answer on standard output, one process each.

What is specific to your machines is in the class Backend; everything below it is the protocol and may stay as it is.
As it stands, the backend is a directory in which each lease is a file, so that the adapter works before it is changed:

    lease provider test -- ./adapter.py
"""

import fcntl
import json
import os
import re
import sys
import tempfile

LEASE_ID = re.compile(r"cbx_[0-9a-f]{12}")
# Labels that say what the lease itself says; where lease ids are fixed they must not come from an adapter.
CORE_LABELS = ("lease", "slug", "name")


class Failure(Exception):
    """Something that did not work; `changed` says whether it may have changed anything."""

    def __init__(self, message, changed=True):
        super().__init__(message)
        self.changed = changed


class Backend:
    """Where the machines come from. A lease is a dict that is kept as it is and given back by `all`.

    Three promises matter. What `make` was asked for is recorded before anything is made, so that it is found again
    whatever happens. `all` shows everything or fails. And `end` returns only when nothing is left.
    """

    def __init__(self, config):
        fallback = os.path.join(os.environ.get("HOME", "/var/tmp"), ".lease-adapter")
        self.directory = config.get("directory") or os.environ.get("LEASE_ADAPTER_DIRECTORY") or fallback
        self.login = {
            "host": config.get("host", "127.0.0.1"),
            "port": str(config.get("port", "22")),
            "user": config.get("user", "root"),
        }
        if config.get("hostKey"):
            self.login["hostKey"] = config["hostKey"]

    def check(self):
        """Says how things are; raises when no lease could be made."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        if not os.access(self.directory, os.W_OK):
            raise Failure(f"{self.directory} cannot be written to", changed=False)
        return f"leases are files in {self.directory}"

    def make(self, lease, public_key):
        """Makes a machine on which `public_key` logs in, or finds the one of the same lease id."""
        lease["ssh"] = self.login
        lease["publicKey"] = public_key
        lease["status"] = "ready"
        self.keep(lease)
        return lease

    def end(self, lease_id):
        """Ends the machine; that there is none is fine."""
        try:
            os.unlink(self.path(lease_id))
        except FileNotFoundError:
            pass

    def all(self):
        """Every lease that there is."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        names = sorted(name for name in os.listdir(self.directory) if LEASE_ID.fullmatch(name))
        return [lease for lease in map(self.read, names) if lease is not None]

    def read(self, lease_id):
        try:
            with open(self.path(lease_id), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    def keep(self, lease):
        """Writes a lease down so that a crash leaves the old one, the new one, and never half of one."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        handle, path = tempfile.mkstemp(dir=self.directory, prefix=".new-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(lease, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path, self.path(lease["leaseId"]))

    def path(self, lease_id):
        return os.path.join(self.directory, lease_id)

    def locked(self):
        """Held while something is changed, so that two requests do not make two machines of one lease."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        lock = open(os.path.join(self.directory, ".lock"), "w", encoding="utf-8")
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock


def lease_id_of(lease):
    lease_id = (lease or {}).get("leaseId", "")
    if not LEASE_ID.fullmatch(lease_id):
        raise Failure(f"{lease_id!r} is no lease id", changed=False)
    return lease_id


def shown(lease):
    """A lease as it is answered."""
    return {name: value for name, value in lease.items() if name != "publicKey"}


def doctor(backend, _request):
    return {"message": backend.check()}


def acquire(backend, request):
    desired = request.get("desired")
    lease_id = lease_id_of(desired)
    with backend.locked():
        lease = backend.read(lease_id)
        if lease is None:
            lease = {"leaseId": lease_id, "slug": desired["slug"], "name": desired["name"]}
            lease["cloudId"] = desired["name"]
            lease["labels"] = dict(request.get("labels", {}))
            lease = backend.make(lease, request.get("publicKey", ""))
        elif (lease["slug"], lease["name"]) != (desired["slug"], desired["name"]):
            raise Failure(f"{lease_id} has another slug or name", changed=False)
    return {"lease": shown(lease)}


def resolve(backend, request):
    wanted = request.get("id", "")
    desired = (request.get("desired") or {}).get("leaseId")
    for lease in backend.all():
        if lease["leaseId"] == desired or (not desired and wanted in (lease["leaseId"], lease["slug"], lease["name"])):
            expected = (request.get("expected") or {}).get("leaseId", lease["leaseId"])
            if expected == lease["leaseId"]:
                return {"lease": shown(lease)}
    raise Failure(f"there is no lease {wanted!r}", changed=False)


def list_all(backend, _request):
    return {"leases": [shown(lease) for lease in backend.all()]}


def release(backend, request):
    lease_id = lease_id_of(request.get("lease"))
    with backend.locked():
        backend.end(lease_id)
    return {}


def touch(backend, request):
    lease_id = lease_id_of(request.get("lease"))
    with backend.locked():
        lease = backend.read(lease_id)
        if lease is None:
            raise Failure(f"there is no lease {lease_id}", changed=False)
        labels = request["lease"].get("labels", {})
        lease["labels"] = {name: value for name, value in labels.items() if name not in CORE_LABELS}
        lease["status"] = request.get("state", lease["status"])
        backend.keep(lease)
    return {"lease": shown(lease)}


def cleanup(_backend, _request):
    return {"message": "there is nothing that nobody needs"}


OPERATIONS = {
    "doctor": doctor,
    "acquire": acquire,
    "resolve": resolve,
    "list": list_all,
    "release": release,
    "touch": touch,
    "cleanup": cleanup,
}


def answer():
    request = json.loads(sys.stdin.buffer.read())
    if request.get("protocolVersion") != 1:
        raise Failure("version 1 of the protocol is spoken here", changed=False)
    operation = OPERATIONS.get(request.get("operation"))
    if operation is None:
        raise Failure(f"there is no operation {request.get('operation')!r}", changed=False)
    return operation(Backend(request.get("config") or {}), request)


def main():
    try:
        response = {"protocolVersion": 1, **answer()}
    except Failure as failure:
        print(failure, file=sys.stderr)
        response = {"protocolVersion": 1, "error": str(failure)}
        if not failure.changed:
            response["effect"] = "none"
    json.dump(response, sys.stdout)
    print()
    return 1 if "error" in response else 0


if __name__ == "__main__":
    sys.exit(main())
