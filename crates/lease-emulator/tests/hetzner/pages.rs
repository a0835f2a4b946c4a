//! Lists: paged, sorted, filtered, and walked while they change.

use lease_emulator::hetzner::{OversizedPage, Policy};
use serde_json::{Value, json};

use crate::client::{Client, OK, PROJECT, id, labels};

fn planted(count: usize) -> (Client, Vec<u64>) {
    let client = Client::new(Policy::immediate());
    let plant = |n: usize| {
        let parity = if n.is_multiple_of(2) { "even" } else { "odd" };
        client.cloud.plant_server(PROJECT, &format!("s{n:02}"), labels(&[("parity", parity)]))
    };
    let ids = (0..count).map(plant).collect();
    (client, ids)
}

#[tokio::test(start_paused = true)]
async fn following_the_next_page_sees_everything_once() {
    let (client, ids) = planted(60);
    for (query, sizes) in [
        ("", vec![25, 25, 10]),
        ("per_page=50&", vec![50, 10]),
        ("per_page=7&", vec![7, 7, 7, 7, 7, 7, 7, 7, 4]),
        ("per_page=60&", vec![50, 10]),
        ("label_selector=parity%3Deven&per_page=20&", vec![20, 10]),
    ] {
        let (mut page, mut found, mut seen) = (json!(1), Vec::new(), Vec::new());
        while !page.is_null() {
            let answer = client.get(&format!("/servers?{query}page={page}")).await;
            let meta = answer.body["meta"]["pagination"].clone();
            assert_eq!(meta["page"], page);
            assert_eq!(meta["last_page"], sizes.len());
            assert_eq!(meta["total_entries"], sizes.iter().sum::<usize>());
            let entries = answer.body["servers"].as_array().unwrap();
            seen.push(entries.len());
            found.extend(entries.iter().map(id));
            let next = meta["next_page"].clone();
            assert_eq!(answer.header("link").contains("rel=\"next\""), !next.is_null());
            page = next;
        }
        assert_eq!(seen, sizes, "{query}");
        let wanted: Vec<_> = if query.starts_with("label") {
            ids.iter().copied().step_by(2).collect()
        } else {
            ids.clone()
        };
        assert_eq!(found, wanted, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_pagination_says_where_it_is() {
    let (client, _) = planted(12);
    let meta = |answer: &Value| answer["meta"]["pagination"].clone();
    let second = client.get("/servers?page=2&per_page=5&sort=name").await;
    let expected = json!({
        "page": 2, "per_page": 5, "previous_page": 1, "next_page": 3, "last_page": 3, "total_entries": 12,
    });
    assert_eq!(meta(&second.body), expected);
    let link = |page, rel| {
        let query = format!("sort=name&page={page}&per_page=5");
        format!("<http://emulator.test/v1/servers?{query}>; rel=\"{rel}\"")
    };
    let links = [link(1, "prev"), link(3, "next"), link(3, "last")].join(", ");
    assert_eq!(second.header("link"), links);
    let beyond = client.get("/servers?page=9").await.expect_status(OK);
    assert_eq!(beyond.body["servers"], json!([]));
    assert_eq!(meta(&beyond.body)["next_page"], Value::Null);
    let none = client.get("/ssh_keys").await;
    let expected = json!({
        "page": 1, "per_page": 25, "previous_page": null, "next_page": null, "last_page": 1, "total_entries": 0,
    });
    assert_eq!(meta(&none.body), expected);
}

#[tokio::test(start_paused = true)]
async fn an_oversized_page_is_clamped_or_refused() {
    let (client, _) = planted(51);
    let clamped = client.get("/servers?per_page=100").await.expect_status(OK);
    assert_eq!(clamped.body["meta"]["pagination"]["per_page"], 50);
    assert_eq!(clamped.names("servers").len(), 50);
    client.cloud.change(|policy| policy.oversized_page = OversizedPage::Refused);
    let refused = client.get("/servers?per_page=100").await;
    assert_eq!(refused.problem(), (422, "invalid_input"));
    client.get("/servers?per_page=50").await.expect_status(OK);
    for query in ["page=0", "page=x", "per_page=0", "per_page=-1"] {
        let answer = client.get(&format!("/servers?{query}")).await;
        assert_eq!(answer.problem(), (422, "invalid_input"), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_between_two_pages_hides_an_entry() {
    let (client, ids) = planted(30);
    let first = client.get("/servers").await.names("servers");
    client.delete(&format!("/servers/{}", ids[0])).await.expect_status(OK);
    let second = client.get("/servers?page=2").await.names("servers");
    let seen: Vec<_> = first.iter().chain(&second).collect();
    assert_eq!(seen.len(), 29, "the entry that moved to the first page is on neither");
    assert!(!seen.iter().any(|name| *name == "s25"));
}

#[tokio::test(start_paused = true)]
async fn a_creation_between_two_pages_shows_an_entry_twice() {
    let (client, _) = planted(30);
    let query = "/servers?sort=id:desc";
    let first = client.get(query).await.names("servers");
    client.create("newest").await;
    let second = client.get(&format!("{query}&page=2")).await.names("servers");
    assert_eq!(first.last(), second.first());
}

#[tokio::test(start_paused = true)]
async fn lists_are_sorted_and_filtered_as_asked() {
    let client = Client::new(Policy::default());
    for (name, env) in [("b", "prod"), ("a", "test"), ("c", "prod")] {
        client.cloud.plant_server(PROJECT, name, labels(&[("env", env)]));
    }
    client.create("d").await;
    for (query, expected) in [
        ("", vec!["b", "a", "c", "d"]),
        ("?sort=name", vec!["a", "b", "c", "d"]),
        ("?sort=name:desc", vec!["d", "c", "b", "a"]),
        ("?sort=id:desc", vec!["d", "c", "a", "b"]),
        ("?sort=created:desc&sort=name:desc", vec!["d", "c", "b", "a"]),
        ("?name=a", vec!["a"]),
        ("?name=A", vec![]),
        ("?name=nobody", vec![]),
        ("?status=running", vec!["b", "a", "c"]),
        ("?status=initializing", vec!["d"]),
        ("?status=initializing&status=running", vec!["b", "a", "c", "d"]),
        ("?status=off", vec![]),
        ("?label_selector=env", vec!["b", "a", "c"]),
        ("?label_selector=%21env", vec!["d"]),
        ("?label_selector=env%3D%3Dprod&sort=name:desc", vec!["c", "b"]),
        ("?label_selector=env+in+%28test%2Cprod%29%2Cenv%21%3Dprod", vec!["a"]),
        ("?label_selector=env%20notin%20(prod)", vec!["a", "d"]),
    ] {
        let answer = client.get(&format!("/servers{query}")).await.expect_status(OK);
        assert_eq!(answer.names("servers"), expected, "{query}");
    }
    for query in ["sort=size", "sort=id:up", "status=happy", "label_selector=a%20b"] {
        let answer = client.get(&format!("/servers?{query}")).await;
        assert_eq!(answer.problem(), (422, "invalid_input"), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_catalogue_is_found_by_name() {
    let client = Client::new(Policy::immediate());
    let types = client.get("/server_types?name=cax11").await;
    assert_eq!(types.names("server_types"), ["cax11"]);
    let kind = &types.body["server_types"][0];
    assert_eq!((&kind["architecture"], &kind["cores"]), (&json!("arm"), &json!(2)));
    let price = &kind["prices"][0]["price_hourly"];
    assert_eq!(price, &json!({"net": "0.0100000000", "gross": "0.0119000000"}));
    assert_eq!(client.get("/locations?name=ash").await.names("locations"), ["ash"]);
    let images = client.get("/images?name=debian-13&architecture=arm").await;
    assert_eq!(images.names("images"), ["debian-13"]);
    assert_eq!(images.body["images"][0]["architecture"], "arm");
    assert_eq!(client.get("/images?type=snapshot").await.names("images"), Vec::<String>::new());
    assert_eq!(client.get("/images").await.names("images").len(), 6);
    let pricing = client.get("/pricing").await.expect_status(OK);
    let all = client.get("/server_types?per_page=50").await.names("server_types").len();
    assert_eq!(pricing.body["pricing"]["server_types"].as_array().unwrap().len(), all);
    for (list, one) in
        [("server_types", "server_type"), ("locations", "location"), ("images", "image")]
    {
        let first = client.get(&format!("/{list}")).await.body[list][0].clone();
        let found = client.get(&format!("/{list}/{}", id(&first))).await.expect_status(OK);
        assert_eq!(found.body[one], first);
    }
}
