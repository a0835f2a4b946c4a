//! The pages about adapters are true: every command and every configuration on them is tried with the real program.

use std::fs;

use crate::installation::Ended;
use crate::site::{Site, repository};

const USERS_PAGE: &str = "docs/providers/external.md";
const AUTHORS_PAGE: &str = "docs/external-protocol.md";

/// Every block of a page with its info string.
fn blocks(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(repository().join(page)).unwrap();
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let block: Vec<_> = lines.by_ref().take_while(|it| *it != "```").collect();
            found.push((info.to_owned(), block.join("\n") + "\n"));
        }
    }
    found
}

fn blocks_of(page: &str, info: &str) -> Vec<String> {
    blocks(page).into_iter().filter(|it| it.0 == info).map(|it| it.1).collect()
}

/// Runs each line with `lease` in front of the path; a comment says how it ends where that is not with 0.
fn run_each_line(site: &Site, block: &str) {
    for line in block.lines() {
        let mut shell = site.installation.process("sh");
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin", site.at("").display());
        let ended = Ended::of(&shell.args(["-c", line]).env("PATH", path).output().unwrap());
        let code =
            line.split_once("# ends with ").map_or("0", |it| &it.1[..it.1.find(':').unwrap()]);
        let said = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(ended.code.to_string(), code, "{line}\n{said}{}", ended.stderr);
    }
}

#[test]
fn every_command_of_the_pages_ends_as_they_say() {
    for page in [USERS_PAGE, AUTHORS_PAGE] {
        let found = blocks_of(page, "sh");
        assert_eq!(found.len(), 1, "{page}");
        let site = Site::new();
        run_each_line(&site, &found[0]);
    }
}

#[test]
fn a_repository_as_on_the_page_is_asked_about_and_works() {
    let site = Site::new();
    let begun = site.lease(&["provider", "new", "tools", "--language", "python"]);
    assert_eq!(begun.code, 0, "{}", begun.stderr);
    let [configuration] = &blocks_of(USERS_PAGE, "yaml repository")[..] else {
        panic!("there is one")
    };
    fs::write(site.installation.tree().join("lease.yaml"), configuration).unwrap();
    let [commands] = &blocks_of(USERS_PAGE, "sh repository")[..] else { panic!("there is one") };
    run_each_line(&site, commands);
}

#[test]
fn every_configuration_of_the_page_lists_its_machines() {
    let found = blocks_of(USERS_PAGE, "yaml");
    assert_eq!(found.len(), 3);
    for block in found {
        let site = Site::new();
        let config = site.at("home/.config/lease");
        fs::create_dir_all(&config).unwrap();
        fs::create_dir_all(site.at("leases")).unwrap();
        fs::write(site.at("hosts"), "ann@192.0.2.7\n").unwrap();
        let adapters = config.join("adapters");
        let begun = site.lease(&["provider", "new", adapters.to_str().unwrap()]);
        assert_eq!(begun.code, 0, "{}", begun.stderr);
        let sample = repository().join("docs/examples/hosts/lease-hosts");
        let block = block
            .replace("/srv/", site.at("").to_str().unwrap())
            .replace("/usr/local/lib/lease/lease-hosts", sample.to_str().unwrap());
        fs::write(config.join("config.yaml"), &block).unwrap();
        let listed = site.installation.json(&["provider", "inventory", "external"]);
        assert_eq!(listed["resources"], serde_json::json!([]), "{block}");
        let checked = site.installation.json(&["doctor"]);
        let checks = checked["checks"].as_array().unwrap();
        let ours: Vec<_> = checks.iter().filter(|it| it["group"] == "external").collect();
        assert!(ours.iter().any(|it| it["name"] == "list"), "{ours:?}");
    }
}

#[test]
fn the_page_names_every_setting_and_what_a_repository_may_do_with_it() {
    let text = fs::read_to_string(repository().join(USERS_PAGE)).unwrap();
    let schema = Site::new().installation.json(&["schema", "lease.config/1"]);
    let external = &schema["properties"]["providers"]["properties"]["external"];
    let settings = external["properties"].as_object().unwrap();
    assert!(settings.len() > 15, "{settings:?}");
    for (name, setting) in settings {
        let row = text.lines().find(|it| {
            it.starts_with("| ") && it.split('|').nth(1).unwrap().contains(&format!("`{name}`"))
        });
        let row = row.unwrap_or_else(|| panic!("{name} is not on the page"));
        let about = setting["description"].as_str().unwrap();
        assert_eq!(row.contains("*own*"), about.ends_with("; not in lease.yaml"), "{row}");
    }
}

#[test]
fn no_block_of_the_pages_is_left_untried() {
    let tried = [
        "sh",
        "sh repository",
        "yaml",
        "yaml repository",
        // Those are tried in the library, against the adapters to begin with.
        "json request",
        "console",
        "json lifecycle",
    ];
    for page in [USERS_PAGE, AUTHORS_PAGE] {
        for (info, block) in blocks(page) {
            assert!(tried.contains(&info.as_str()), "{page}: {info}: {block}");
        }
    }
}
