//! The machines behind the servers: each is booted and ended as often as its server is, and never left over.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lease_emulator::hetzner::{Deletion, Fate, Hetzner, Policy};
use lease_emulator::{Birth, Machines, NoMachines};
use serde_json::json;

use crate::client::{Client, KEYS, OK, PROJECT, id, labels, wish_with};

/// Notes what is done to machines.
#[derive(Debug, Default)]
struct Noted {
    addresses: NoMachines,
    births: Mutex<Vec<Birth>>,
    events: Mutex<Vec<String>>,
}

#[async_trait]
impl Machines for Noted {
    fn address(&self) -> Ipv4Addr {
        self.addresses.address()
    }

    async fn boot(&self, birth: Birth) {
        // Whoever may overtake a boot does so here.
        tokio::task::yield_now().await;
        self.events.lock().unwrap().push(format!("boot {}", birth.id));
        self.births.lock().unwrap().push(birth);
    }

    async fn end(&self, id: &str) {
        self.events.lock().unwrap().push(format!("end {id}"));
    }
}

fn noted() -> (Client, Arc<Noted>) {
    let machines = Arc::new(Noted::default());
    let behind = Arc::<Noted>::clone(&machines);
    (Client::of(Arc::new(Hetzner::new(behind, Policy::immediate()))), machines)
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_born_with_the_keys_the_user_data_and_the_address_of_its_server() {
    let (client, machines) = noted();
    let key = json!({"name": "key", "public_key": KEYS[0]});
    client.post("/ssh_keys", &key).await.expect_status(201);
    let wish = wish_with("one", json!({"ssh_keys": ["key"], "user_data": "#cloud-config\n"}));
    let made = client.post("/servers", &wish).await.expect_status(201).body;
    let births = machines.births.lock().unwrap();
    assert_eq!(births.len(), 1);
    assert_eq!(births[0].id, id(&made["server"]).to_string());
    assert_eq!(births[0].authorized_keys, [KEYS[0]]);
    assert_eq!(births[0].user_data.as_deref(), Some("#cloud-config\n"));
    let shown = &made["server"]["public_net"]["ipv4"]["ip"];
    assert_eq!(shown, &json!(births[0].address.to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_machine_follows_the_switch_and_ends_with_its_server() {
    let (client, machines) = noted();
    let server = id(&client.create("one").await["server"]);
    let path = format!("/servers/{server}");
    for verb in ["poweroff", "poweroff", "poweron", "poweron"] {
        client.post(&format!("{path}/actions/{verb}"), &json!({})).await.expect_status(201);
    }
    client.cloud.next_deletion(Deletion::Fails);
    client.delete(&path).await.expect_status(OK);
    client.delete(&path).await.expect_status(OK);
    client.delete(&path).await.expect_status(404);
    let events: Vec<_> =
        ["boot", "end", "boot", "end"].map(|event| format!("{event} {server}")).to_vec();
    assert_eq!(*machines.events.lock().unwrap(), events);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_to_run_has_no_machine() {
    let (client, machines) = noted();
    for fate in [Fate::CreateFails, Fate::StartFails, Fate::Stuck] {
        client.cloud.next_server(fate);
        let name = format!("{fate:?}").to_lowercase();
        let server = id(&client.create(&name).await["server"]);
        client.delete(&format!("/servers/{server}")).await.expect_status(OK);
    }
    let wish = wish_with("off", json!({"start_after_create": false}));
    client.post("/servers", &wish).await.expect_status(201);
    let planted = client.cloud.plant_server(PROJECT, "planted", labels(&[]));
    client.delete(&format!("/servers/{planted}")).await.expect_status(OK);
    assert_eq!(*machines.events.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_while_the_machine_boots_leaves_no_machine() {
    let (client, machines) = noted();
    let client = Arc::new(client);
    let creating = tokio::spawn({
        let client = Arc::<Client>::clone(&client);
        async move { client.create("one").await }
    });
    let mut listed = Vec::new();
    while listed.is_empty() {
        tokio::task::yield_now().await;
        listed = client.get("/servers").await.body["servers"].as_array().unwrap().clone();
    }
    let server = id(&listed[0]);
    client.delete(&format!("/servers/{server}")).await.expect_status(OK);
    creating.await.unwrap();
    let events = [format!("boot {server}"), format!("end {server}")];
    assert_eq!(*machines.events.lock().unwrap(), events);
}
