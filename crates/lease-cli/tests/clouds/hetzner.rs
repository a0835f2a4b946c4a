//! Hetzner Cloud: labels prove what is ours, names are never used twice, and others are in the same project.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use http::Method;
use lease_emulator::Cloud as _;
use lease_emulator::hetzner::{Access, Hetzner, Stock};
use lease_emulator::machine::Access as Login;
use lease_emulator::script::{Fault, Matching, Plan, Times};

use crate::installation::{ANSWER_WITHIN, Deadline, Ended, eventually};
use crate::site::{PROJECT, Site};

/// Plants servers of somebody else, some of which look like ours by their names.
fn plant(site: &Site<Hetzner>, count: usize) {
    for number in 0..count {
        let name = format!("lse-{number:a>20}-0");
        site.cloud.inner().plant_server(PROJECT, &name, BTreeMap::new());
    }
}

/// How many servers were ever made by us.
fn servers(site: &Site<Hetzner>) -> usize {
    site.cloud.ledger().iter().filter(|it| !it.foreign && it.kind == "server").count()
}

/// The server of the only lease.
fn server(site: &Site<Hetzner>) -> String {
    site.ours().iter().find(|it| it.kind == "server").unwrap().id.clone()
}

/// The steps of a plan: what would be done, to what, and what may be typed.
fn plan(site: &Site<Hetzner>) -> Vec<(String, String, String)> {
    let plan = site.json(&["cleanup", "--dry-run"]);
    let text = |it: &serde_json::Value| it.as_str().unwrap_or_default().to_owned();
    let steps = plan["steps"].as_array().unwrap().iter();
    steps.map(|it| (text(&it["action"]), text(&it["name"]), text(&it["next"]))).collect()
}

#[test]
fn a_command_runs_on_a_server_that_comes_and_goes() {
    let site = Site::hetzner();
    let ended = site.lease(&["run", "--", "cargo", "--version"]);
    let here = site.installation.process("cargo").arg("--version").output().unwrap();
    assert_eq!((ended.code, ended.stdout), (0, here.stdout), "{}", ended.stderr);
    assert_eq!(servers(&site), 1);
    site.assert_clean();
}

#[test]
fn what_is_out_of_stock_in_one_place_is_leased_in_another() {
    let site = Site::hetzner();
    for size in site.json(&["providers", "sizes", "hetzner"])["sizes"].as_array().unwrap() {
        let name = size["machine_type"].as_str().unwrap();
        site.cloud.inner().stock(name, "fsn1", Stock::SecretlySoldOut);
    }
    let ended = site.lease(&["run", "--", "true"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(servers(&site), 1);
    site.assert_clean();
    for size in site.json(&["providers", "sizes", "hetzner"])["sizes"].as_array().unwrap() {
        let name = size["machine_type"].as_str().unwrap();
        for location in ["nbg1", "hel1"] {
            site.cloud.inner().stock(name, location, Stock::SecretlySoldOut);
        }
    }
    let ended = site.lease(&["-q", "run", "--", "true"]);
    assert_eq!(ended.code, 125);
    assert!(
        ended.failure().ends_with("the machine was released; run: lease providers sizes hetzner"),
        "{}",
        ended.stderr
    );
    site.assert_clean();
}

#[test]
fn a_server_that_is_never_reachable_is_released_and_said_to_be() {
    let site = Site::hetzner();
    site.machines.set_access(Login::Unreachable);
    let mut command = site.command(&["run", "--", "true"]);
    let ended = site.ended(command.env("LEASE_READY_TIMEOUT", "2s"));
    assert_eq!(ended.code, 125, "{}", ended.stderr);
    assert!(
        ended.failure().contains("; the machine was released; run: lease "),
        "{}",
        ended.stderr
    );
    site.assert_clean();
}

#[test]
fn an_interface_that_is_out_of_reach_is_named_with_its_address() {
    let site = Site::hetzner();
    // Whoever had the port is gone, so nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = site.installation.root().join("home/.config/lease/config.yaml");
    let endpoint = format!(
        "provider: hetzner\nproviders: {{hetzner: {{endpoint: \"http://{address}/v1\"}}}}\n"
    );
    fs::write(config, endpoint).unwrap();
    let ended = site.ended(site.command(&["run", "--", "true"]).env("LEASE_READ_PATIENCE", "1s"));
    let said = ended.failure();
    assert!(said.contains("hetzner gives no answer of use"), "{said}");
    assert!(said.contains(&format!("{address} cannot be reached: Connection refused")), "{said}");
    assert!(said.contains("; nothing was created; run: lease doctor"), "{said}");
}

#[test]
fn a_run_whose_server_was_deleted_ends_at_once_and_says_so() {
    let site = Site::hetzner();
    let begun = site.installation.root().join("begun");
    let script = format!("touch {}; while :; do sleep 0.1; done", begun.display());
    let mut client = site.command(&["run", "--", "sh", "-c", &script]).spawn().unwrap();
    eventually(Deadline::after(ANSWER_WITHIN), || begun.exists()).unwrap();
    site.delete(&format!("/v1/servers/{}", server(&site)));
    // A lost connection is tried for ten minutes, and there is nothing left to connect to.
    let has_ended = || client.try_wait().unwrap().is_some();
    if eventually(Deadline::after(ANSWER_WITHIN), has_ended).is_err() {
        client.kill().unwrap();
    }
    let ended = Ended::wait(client);
    assert_eq!(ended.code, 125, "{}", ended.stderr);
    assert!(
        ended.failure().contains("its provider says of the machine: it is gone")
            && ended.failure().contains("; the machine was released; run: lease "),
        "{}",
        ended.stderr
    );
    site.assert_clean();
}

#[test]
fn a_token_that_turns_read_only_delays_a_release_and_loses_nothing() {
    let site = Site::hetzner();
    assert_eq!(site.lease(&["-q", "acquire", "--slug", "one-oak"]).code, 0);
    site.cloud.inner().restrict(&site.credential.1, Access::ReadOnly);
    let ended = site.lease(&["-q", "release", "one-oak"]);
    assert_eq!(ended.code, 125, "{}", ended.stderr);
    assert!(ended.failure().contains("; run: lease show one-oak"), "{}", ended.stderr);
    assert!(!site.ours().is_empty());
    site.cloud.inner().restrict(&site.credential.1, Access::ReadWrite);
    assert_eq!(site.lease(&["-q", "release", "one-oak"]).code, 0);
    site.assert_clean();
}

#[test]
fn a_rate_limit_during_a_cleanup_delays_it_and_loses_nothing() {
    let site = Site::hetzner();
    plant(&site, 2);
    assert_eq!(site.lease(&["-q", "acquire", "--slug", "one-oak"]).code, 0);
    let limit = Plan::at(0, Fault::RateLimited(Duration::from_secs(1)));
    let limit = site.cloud.plan(limit.on(Matching::method(Method::DELETE)).times(Times::Always));
    let release = site.command(&["-q", "release", "one-oak"]).spawn().unwrap();
    let is_limited = || site.cloud.trace().iter().filter(|it| it.fault.is_some()).count() > 1;
    eventually(Deadline::after(ANSWER_WITHIN), is_limited).unwrap();
    assert!(!site.ours().is_empty());
    site.cloud.cancel(limit);
    let ended = Ended::wait(release);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    site.assert_clean();
}

#[test]
fn sixty_servers_of_others_are_left_alone() {
    let site = Site::hetzner();
    plant(&site, 60);
    let before = site.foreign();
    assert_eq!(site.lease(&["-q", "run", "--", "true"]).code, 0);
    assert_eq!(plan(&site), []);
    site.assert_clean();
    assert_eq!(site.foreign(), before);
}

#[test]
fn after_the_records_are_lost_the_marks_lead_to_the_server() {
    let site = Site::hetzner();
    plant(&site, 3);
    let before = site.foreign();
    assert_eq!(site.lease(&["-q", "acquire", "--keep"]).code, 0);
    let id = server(&site);
    fs::remove_dir_all(site.installation.state()).unwrap();
    let steps = plan(&site);
    assert_eq!(steps.len(), site.ours().len(), "{steps:?}");
    assert!(steps.iter().all(|it| it.0 == "unclaimed"), "{steps:?}");
    let step = steps.iter().find(|it| it.1.contains("server")).unwrap();
    let next = step.2.strip_prefix("lease adopt hetzner ").unwrap().to_owned();
    assert!(next.ends_with(&id), "{next}");
    let text = String::from_utf8(site.lease(&["cleanup", "--dry-run"]).stdout).unwrap();
    assert!(
        text.contains("unclaimed hetzner server")
            && text.contains("if that installation is lost, run: lease adopt hetzner "),
        "{text}"
    );
    let cleaned = site.lease(&["cleanup"]);
    assert_eq!(cleaned.code, 0);
    assert!(!cleaned.stderr.contains("need a person"), "{}", cleaned.stderr);
    let document = site.json(&["adopt", "hetzner", &next, "--release"]);
    assert_eq!(document["released"]["outcome"], "released");
    assert!(document["evidence"].as_str().unwrap().contains("which is another one"), "{document}");
    site.assert_clean();
    assert_eq!(site.foreign(), before);
}

#[test]
fn what_has_our_marks_and_no_record_is_for_a_person() {
    let site = Site::hetzner();
    assert_eq!(site.lease(&["-q", "acquire", "--keep"]).code, 0);
    fs::remove_dir_all(site.installation.state().join("leases")).unwrap();
    let steps = plan(&site);
    assert!(!steps.is_empty() && steps.iter().all(|it| it.0 == "orphan"), "{steps:?}");
    let cleaned = site.lease(&["cleanup"]);
    assert!(cleaned.stderr.contains("findings need a person"), "{}", cleaned.stderr);
    assert!(!site.ours().is_empty(), "no plan deletes an orphan");
    let step = steps.iter().find(|it| it.1.contains("server")).unwrap();
    let next = step.2.strip_prefix("lease adopt hetzner ").unwrap();
    let adopted = String::from_utf8(site.lease(&["adopt", "hetzner", next]).stdout).unwrap();
    assert!(adopted.contains("of this installation"), "{adopted}");
    assert_eq!(site.lease(&["-q", "adopt", "hetzner", next]).code, 125, "it has a record now");
    let slug = site.json(&["list"])["leases"][0]["slug"].as_str().unwrap().to_owned();
    assert_eq!(site.lease(&["-q", "release", &slug]).code, 0);
    // The key pair of the lost record has no lease any more.
    drop(fs::remove_dir_all(site.installation.state().join("keys")));
    site.assert_clean();
}

#[test]
fn what_is_somebody_elses_is_never_adopted() {
    let site = Site::hetzner();
    let id = site.cloud.inner().plant_server(PROJECT, "theirs", BTreeMap::new());
    let before = site.foreign();
    for id in [format!("server/{id}"), id.to_string(), "server/999999".to_owned()] {
        let ended = site.lease(&["-q", "adopt", "hetzner", &id, "--release"]);
        assert_eq!(ended.code, 125, "{id}");
        assert!(ended.stderr.contains("; nothing was changed; run: lease "), "{}", ended.stderr);
    }
    assert_eq!(site.foreign(), before);
    site.assert_clean();
}

#[test]
fn an_inventory_says_whose_each_resource_is() {
    let site = Site::hetzner();
    let listed = || {
        let document = site.json(&["providers", "inventory", "hetzner"]);
        document["resources"].as_array().unwrap().clone()
    };
    assert_eq!(listed(), Vec::<serde_json::Value>::new());
    let acquired = site.lease(&["acquire", "-p", "hetzner", "--slug", "one-box"]);
    assert_eq!(acquired.code, 0, "{}", acquired.stderr);
    let resources = listed();
    assert_eq!(resources.len(), 3, "{resources:?}");
    let lease = site.json(&["show", "one-box"])["lease"]["id"].clone();
    for resource in &resources {
        assert_eq!((&resource["claimed_by"], &resource["lease"]), (&"one-box".into(), &lease));
    }
    assert_eq!(site.lease(&["release", "one-box"]).code, 0);
    assert_eq!(listed(), Vec::<serde_json::Value>::new());
}

#[test]
fn sizes_have_prices_and_described_options_are_those_that_are_taken() {
    let site = Site::hetzner();
    let table = String::from_utf8(site.lease(&["providers", "sizes", "hetzner"]).stdout).unwrap();
    assert!(table.contains("EUR") && table.contains("GiB"), "{table}");
    for provider in ["hetzner", "fal", "local"] {
        let described = site.json(&["providers", "describe", provider]);
        let options = described["providers"][0]["options"].as_array().unwrap();
        let names: Vec<_> = options.iter().map(|it| it["name"].as_str().unwrap()).collect();
        let mut command = site.command(&["-q", "acquire", "-p", provider, "-o", "nonsense=1"]);
        // fal is asked nothing before the option is refused, unless it is asked which account this is.
        let said = site.ended(&mut command).stderr;
        if provider != "fal" {
            assert!(said.contains(&format!("it has: {};", names.join(", "))), "{said}");
        }
    }
}

#[test]
fn a_secret_for_host_keys_is_made_with_the_first_use_and_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::hetzner();
    let path = site.installation.state().join("host-key-secret");
    assert_eq!(site.installation.lease(["cleanup", "--dry-run"]).code, 0);
    assert!(!path.exists(), "without a token none is needed");
    assert_eq!(site.lease(&["-q", "run", "--", "true"]).code, 0);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = site.lease(&["-q", "run", "--", "true"]);
    assert_eq!(ended.code, 125);
    assert!(ended.stderr.contains("; run: chmod 600 "), "{}", ended.stderr);
}
