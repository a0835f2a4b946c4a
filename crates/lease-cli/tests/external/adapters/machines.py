#!/usr/bin/env python3
"""An adapter whose machines are sshd processes of this user on loopback, with a log by which it can be struck.

`config.state` is its directory. Each step writes a line into `log` there; when the number of lines equals what is in
`strike`, whoever asked gets SIGKILL at that moment, once. `garble` has the next acquire answer nonsense once, and `deaf`
has the next release do nothing but fail, once.
"""

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import time

LISTENING_TIME_MAX_S = 20


def take(path):
    try:
        os.unlink(path)
        return True
    except FileNotFoundError:
        return False


class Machines:
    def __init__(self, config):
        self.state = config["state"]
        self.work_root = config["work_root"]

    def point(self, name):
        with open(os.path.join(self.state, "log"), "a+", encoding="utf-8") as log:
            log.write(name + "\n")
            log.seek(0)
            lines = len(log.readlines())
        strike = os.path.join(self.state, "strike")
        try:
            with open(strike, encoding="utf-8") as file:
                is_now = int(file.read()) == lines
        except FileNotFoundError:
            return
        if is_now:
            os.unlink(strike)
            os.kill(os.getppid(), signal.SIGKILL)

    def path(self, lease_id, name=""):
        return os.path.join(self.state, "machines", lease_id, name)

    def keep(self, lease):
        path = self.path(lease["leaseId"], "lease")
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(lease, file)
        os.rename(path + ".new", path)

    def read(self, lease_id):
        try:
            with open(self.path(lease_id, "lease"), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    def all(self):
        base = os.path.join(self.state, "machines")
        os.makedirs(base, exist_ok=True)
        return [lease for lease in map(self.read, sorted(os.listdir(base))) if lease is not None]

    def start(self, lease, public_key):
        lease_id = lease["leaseId"]
        with open(self.path(lease_id, "authorized_keys"), "w", encoding="utf-8") as file:
            file.write(public_key + "\n")
        key = self.path(lease_id, "host_key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, stdin=subprocess.DEVNULL)
        self.point("key")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        while True:
            # Only the system knows what is free, and sshd cannot ask it: what is lost to others is tried again.
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            if self.serve(lease_id, port):
                break
        with open(key + ".pub", encoding="utf-8") as file:
            host_key = " ".join(file.read().split()[:2])
        user = pwd.getpwuid(os.geteuid()).pw_name
        lease["ssh"] = {"host": "127.0.0.1", "port": str(port), "user": user, "hostKey": host_key}

    def serve(self, lease_id, port):
        config = self.path(lease_id, "sshd_config")
        with open(config, "w", encoding="utf-8") as file:
            file.write(
                f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {self.path(lease_id, 'host_key')}\n"
                f"AuthorizedKeysFile {self.path(lease_id, 'authorized_keys')}\nStrictModes no\nUsePAM no\n"
                # bash, as the first shell below an sshd, would read the files of whoever runs the tests.
                f"SetEnv SHLVL=1\nPasswordAuthentication no\nPidFile {self.path(lease_id, 'pid')}\nPermitRootLogin prohibit-password\n"
            )
        subprocess.run(
            ["/usr/sbin/sshd", "-f", config, "-E", self.path(lease_id, "sshd.log")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )
        deadline = time.monotonic() + LISTENING_TIME_MAX_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                # What answers there is this server only if it wrote down who it is.
                if probe.connect_ex(("127.0.0.1", port)) == 0 and self.server(lease_id) is not None:
                    return True
            time.sleep(0.01)
            with open(self.path(lease_id, "sshd.log"), encoding="utf-8") as log:
                if "Cannot bind any address" in log.read():
                    os.unlink(self.path(lease_id, "sshd.log"))
                    return False
        raise RuntimeError("sshd does not listen")

    def server(self, lease_id):
        try:
            with open(self.path(lease_id, "pid"), encoding="utf-8") as file:
                return int(file.read())
        except (FileNotFoundError, ValueError):
            return None

    def end(self, lease_id):
        """Ends the server with its sessions: whatever has its directory open, or was started by what has."""
        pid = self.server(lease_id)
        family = [pid] if pid else []
        for process in family:
            children = f"/proc/{process}/task/{process}/children"
            try:
                with open(children, encoding="utf-8") as file:
                    family.extend(int(child) for child in file.read().split())
            except FileNotFoundError:
                pass
        for process in family:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        subprocess.run(["rm", "-rf", self.path(lease_id)], check=True)


def doctor(machines, _request):
    return {"message": "sshd processes on loopback"}


def acquire(machines, request):
    desired = request["desired"]
    lease = dict(desired, cloudId=desired["name"], status="ready", labels=dict(request.get("labels", {})))
    lease["labels"]["work_root"] = machines.work_root
    machines.point("begin")
    os.makedirs(machines.path(desired["leaseId"]), exist_ok=True)
    machines.keep(lease)
    machines.point("recorded")
    print("preparing a machine", file=sys.stderr, flush=True)
    machines.start(lease, request["publicKey"])
    machines.point("listening")
    machines.keep(lease)
    machines.point("made")
    if take(os.path.join(machines.state, "garble")):
        return "nonsense"
    return {"lease": lease}


def resolve(machines, request):
    lease = machines.read(request["desired"]["leaseId"])
    if lease is None:
        raise LookupError("there is no such lease")
    return {"lease": lease}


def list_all(machines, _request):
    return {"leases": machines.all()}


def touch(machines, request):
    lease = machines.read(request["lease"]["leaseId"])
    lease["labels"] = request["lease"]["labels"]
    machines.keep(lease)
    return {}


def release(machines, request):
    if take(os.path.join(machines.state, "deaf")):
        raise RuntimeError("it is not heard")
    lease_id = request["lease"]["leaseId"]
    if machines.read(lease_id) is not None:
        machines.end(lease_id)
    return {}


OPERATIONS = {"doctor": doctor, "acquire": acquire, "resolve": resolve, "list": list_all, "touch": touch,
              "release": release, "cleanup": doctor}


def main():
    request = json.loads(sys.stdin.buffer.read())
    name = request["operation"]
    machines = Machines(request["config"])
    machines.point(name)
    try:
        answer = OPERATIONS[name](machines, request)
        machines.point(name + " done")
    except Exception as error:  # whatever it is, the caller hears of it
        print(error, file=sys.stderr)
        return 1
    if answer == "nonsense":
        print("{]")
    else:
        print(json.dumps({"protocolVersion": 1, **answer}), flush=True)
        machines.point(name + " answered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
