//! What cannot be had: sold out, not to be placed, over a limit.

use lease_emulator::hetzner::{Limits, Policy, Stock, ToldFirst};
use serde_json::{Value, json};

use crate::client::{Client, OK, PROJECT, id, labels, wish, wish_with};

async fn available(client: &Client) -> Value {
    let types = client.get("/server_types?name=cx23").await;
    types.body["server_types"][0]["locations"][0]["available"].clone()
}

#[tokio::test(start_paused = true)]
async fn stock_runs_out_with_the_documented_errors() {
    let client = Client::new(Policy::immediate());
    assert_eq!(available(&client).await, true);
    for (stock, problem, shown) in [
        (Stock::SoldOut, (412, "resource_unavailable"), false),
        (Stock::SecretlySoldOut, (412, "resource_unavailable"), true),
        (Stock::Unplaceable, (422, "placement_error"), true),
    ] {
        client.cloud.stock("cx23", "fsn1", stock);
        let answer = client.post("/servers", &wish("one")).await;
        assert_eq!(answer.problem(), problem);
        assert_eq!(answer.message(), "error during placement");
        assert_eq!(available(&client).await, shown, "{stock:?}");
    }
    client
        .post("/servers", &wish_with("one", json!({"location": "nbg1"})))
        .await
        .expect_status(201);
    assert_eq!(client.get("/servers").await.names("servers"), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_counted_down_and_given_back() {
    let client = Client::new(Policy::immediate());
    client.cloud.stock("cx23", "fsn1", Stock::Left(1));
    let made = client.create("one").await;
    let second = client.post("/servers", &wish("two")).await;
    assert_eq!(second.problem(), (412, "resource_unavailable"));
    assert_eq!(available(&client).await, false);
    let path = format!("/servers/{}", id(&made["server"]));
    client.delete(&path).await.expect_status(OK);
    assert_eq!(available(&client).await, true);
    client.create("two").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_location_goes_where_there_is_room() {
    let client = Client::new(Policy::immediate());
    let anywhere = |name: &str| wish_with(name, json!({"location": null}));
    client.cloud.stock("cx23", "fsn1", Stock::SoldOut);
    client.cloud.stock("cx23", "nbg1", Stock::Left(1));
    for (name, location) in [("one", "nbg1"), ("two", "hel1")] {
        let made = client.post("/servers", &anywhere(name)).await.expect_status(201);
        assert_eq!(made.body["server"]["location"]["name"], location);
    }
    client.cloud.stock("cx23", "hel1", Stock::Unplaceable);
    let none = client.post("/servers", &anywhere("three")).await;
    assert_eq!(none.problem(), (412, "resource_unavailable"));
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_refused_with_its_name() {
    let client = Client::new(Policy::immediate());
    client.cloud.plant_server(PROJECT, "theirs", labels(&[]));
    client.cloud.plant_server("elsewhere", "not counted", labels(&[]));
    let none = Limits::default();
    let cases = [
        (Limits { servers: Some(1), ..none }, "server_limit"),
        (Limits { primary_ips: Some(3), ..none }, "primary_ip_limit"),
        (Limits { dedicated_cores: Some(3), ..none }, "dedicated_core_limit"),
    ];
    for (limits, name) in cases {
        client.cloud.limit(PROJECT, limits);
        let large = json!({"server_type": "ccx23"});
        let answer = client.post("/servers", &wish_with("one", large)).await;
        assert_eq!(answer.problem(), (403, "resource_limit_exceeded"));
        assert_eq!(answer.body["error"]["details"], json!({"limits": [{"name": name}]}));
    }
    let only_six = json!({"public_net": {"enable_ipv4": false}});
    client.cloud.limit(PROJECT, Limits { servers: Some(2), primary_ips: Some(3), ..none });
    client.post("/servers", &wish_with("one", only_six)).await.expect_status(201);
}

#[tokio::test(start_paused = true)]
async fn which_of_two_reasons_is_told_can_be_switched() {
    for (told_first, code) in
        [(ToldFirst::Name, "uniqueness_error"), (ToldFirst::Means, "resource_unavailable")]
    {
        let client = Client::new(Policy { told_first, ..Policy::immediate() });
        client.cloud.stock("cx23", "fsn1", Stock::Left(1));
        client.create("one").await;
        let again = client.post("/servers", &wish("one")).await;
        assert_eq!(again.problem().1, code, "{told_first:?}");
        assert_eq!(client.get("/servers").await.names("servers"), ["one"]);
    }
}
