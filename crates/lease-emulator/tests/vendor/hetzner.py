#!/usr/bin/env python3
"""Uses the emulator through the vendor's own Python client.

    hetzner.py ORIGIN TOKEN

Needs the package hcloud. Prints a line for each step and a last line `N passed, M failed`; exits non-zero if any failed.
Leaves nothing behind in the emulated project.
"""

import base64
import os
import struct
import sys

from hcloud import APIException, Client
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType

POLL_SECONDS = 0.2


def public_key():
    """A well-formed Ed25519 key that nobody has the private half of."""
    word = lambda data: struct.pack(">I", len(data)) + data
    blob = word(b"ssh-ed25519") + word(os.urandom(32))
    return "ssh-ed25519 " + base64.b64encode(blob).decode() + " nobody"


class Steps:
    """What is tried, one after the other; a later step may use what an earlier one left here."""

    def __init__(self, endpoint, token):
        self.endpoint = endpoint
        self.client = Client(token=token, api_endpoint=endpoint, poll_interval=POLL_SECONDS)
        self.key_text = public_key()
        self.key = self.server = None

    def refused(self, code, call):
        try:
            call()
        except APIException as error:
            assert error.code == code, f"the code is {error.code} and not {code}"
            assert error.correlation_id, "the answer has no correlation id"
            return error
        raise AssertionError(f"it was not refused with {code}")

    def lists_are_empty(self):
        assert self.client.servers.get_all() == []
        assert self.client.ssh_keys.get_all() == []
        assert self.client.primary_ips.get_all() == []

    def the_catalogue_is_read(self):
        kind = self.client.server_types.get_by_name("cx23")
        assert kind.architecture == "x86" and kind.cores == 2, kind
        assert float(kind.prices[0]["price_hourly"]["net"]) > 0
        assert self.client.locations.get_by_name("fsn1").network_zone == "eu-central"
        image = self.client.images.get_by_name_and_architecture("debian-12", "arm")
        assert image.architecture == "arm" and image.type == "system"
        assert len(self.client.server_types.get_all()) > 10

    def a_key_is_created(self):
        self.key = self.client.ssh_keys.create("vendor", self.key_text, {"by": "vendor"})
        found = self.client.ssh_keys.get_by_name("vendor")
        assert found.id == self.key.id and found.labels == {"by": "vendor"}
        assert self.client.ssh_keys.get_by_fingerprint(self.key.fingerprint).id == self.key.id

    def a_key_of_the_same_name_is_refused(self):
        self.refused("uniqueness_error", lambda: self.client.ssh_keys.create("vendor", public_key()))

    def a_key_of_the_same_material_is_refused(self):
        error = self.refused(
            "uniqueness_error", lambda: self.client.ssh_keys.create("other", self.key_text)
        )
        assert error.details["fields"][0]["name"] == "public_key", error.details

    def create(self, name, kind="cx23"):
        return self.client.servers.create(
            name=name,
            server_type=ServerType(name=kind),
            image=Image(name="debian-12"),
            location=Location(name="fsn1"),
            ssh_keys=[self.key],
            labels={"by": "vendor", "lease": "one"},
            user_data="#cloud-config\n",
        )

    def a_server_is_created_and_waited_for(self):
        made = self.create("vendor")
        assert made.root_password is None
        made.action.wait_until_finished()
        for action in made.next_actions:
            action.wait_until_finished()
        self.server = self.client.servers.get_by_id(made.server.id)
        assert self.server.status == "running", self.server.status
        assert self.server.public_net.ipv4.ip and self.server.public_net.ipv6.ip
        assert self.server.image.name == "debian-12" and self.server.location.name == "fsn1"

    def a_server_of_the_same_name_is_refused(self):
        error = self.refused("uniqueness_error", lambda: self.create("vendor"))
        assert error.message == "server name is already used", error.message

    def a_server_of_an_unknown_type_is_refused(self):
        error = self.refused("invalid_input", lambda: self.create("other", "cx99"))
        assert error.details["fields"][0]["name"] == "server_type", error.details

    def servers_are_selected_by_label_and_name(self):
        selected = self.client.servers.get_all(label_selector="by=vendor,lease in (one,two)")
        assert [server.id for server in selected] == [self.server.id]
        assert self.client.servers.get_all(label_selector="by!=vendor") == []
        assert self.client.servers.get_by_name("vendor").id == self.server.id
        assert self.client.servers.get_by_name("nobody") is None

    def labels_are_replaced(self):
        updated = self.server.update(labels={"lease": "two"})
        assert updated.labels == {"lease": "two"}, updated.labels

    def a_server_is_switched_off_and_on(self):
        self.server.power_off().wait_until_finished()
        assert self.client.servers.get_by_id(self.server.id).status == "off"
        self.server.power_on().wait_until_finished()
        assert self.client.servers.get_by_id(self.server.id).status == "running"

    def the_actions_of_the_server_are_read(self):
        commands = [action.command for action in self.server.get_actions()]
        assert commands == ["create_server", "start_server", "stop_server", "start_server"], commands

    def the_primary_ips_belong_to_the_server(self):
        ips = self.client.primary_ips.get_all()
        assert sorted(ip.type for ip in ips) == ["ipv4", "ipv6"]
        assert all(ip.assignee_id == self.server.id and ip.auto_delete for ip in ips)
        self.refused("must_be_unassigned", ips[0].delete)

    def a_server_is_deleted(self):
        self.server.delete().wait_until_finished()
        assert self.client.servers.get_all() == []
        assert self.client.primary_ips.get_all() == []

    def a_second_deletion_finds_nothing(self):
        self.refused("not_found", self.server.delete)

    def a_key_is_deleted(self):
        assert self.key.delete()
        self.refused("not_found", self.key.delete)
        assert self.client.ssh_keys.get_all() == []

    def more_than_a_page_is_listed(self):
        keys = [self.client.ssh_keys.create(f"key-{n:02}", public_key()) for n in range(55)]
        assert sorted(key.id for key in self.client.ssh_keys.get_all()) == sorted(key.id for key in keys)
        for key in keys:
            key.delete()

    def a_wrong_token_is_refused(self):
        wrong = Client(token="wrong", api_endpoint=self.endpoint)
        self.refused("unauthorized", wrong.servers.get_all)


STEPS = [
    Steps.lists_are_empty,
    Steps.the_catalogue_is_read,
    Steps.a_key_is_created,
    Steps.a_key_of_the_same_name_is_refused,
    Steps.a_key_of_the_same_material_is_refused,
    Steps.a_server_is_created_and_waited_for,
    Steps.a_server_of_the_same_name_is_refused,
    Steps.a_server_of_an_unknown_type_is_refused,
    Steps.servers_are_selected_by_label_and_name,
    Steps.labels_are_replaced,
    Steps.a_server_is_switched_off_and_on,
    Steps.the_actions_of_the_server_are_read,
    Steps.the_primary_ips_belong_to_the_server,
    Steps.a_server_is_deleted,
    Steps.a_second_deletion_finds_nothing,
    Steps.a_key_is_deleted,
    Steps.more_than_a_page_is_listed,
    Steps.a_wrong_token_is_refused,
]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    _, origin, token = sys.argv
    steps = Steps(origin.rstrip("/") + "/v1", token)
    failed = 0
    for step in STEPS:
        name = step.__name__.replace("_", " ")
        try:
            step(steps)
        except Exception as error:  # Any difference at all is a failure of its step, whatever raised it.
            failed += 1
            print(f"failed: {name}: {type(error).__name__}: {error}")
        else:
            print(f"ok: {name}")
    print(f"{len(STEPS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
