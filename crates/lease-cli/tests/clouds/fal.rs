//! fal: no marks and no expiry, so everything rests on the answers to our own calls.

use http::StatusCode;
use lease_emulator::fal::{FalCloud, KeyScope, MoneyGate, ONE};
use lease_emulator::machine::Access;
use lease_emulator::script::{Fault, Matching, Plan, Times};

use crate::site::{KEY, Site, WORKSPACE};

#[test]
fn a_command_runs_on_a_machine_that_comes_and_goes() {
    let site = Site::fal();
    let ended = site.lease(&["run", "--", "cargo", "--version"]);
    let here = site.installation.process("cargo").arg("--version").output().unwrap();
    assert_eq!((ended.code, ended.stdout), (0, here.stdout), "{}", ended.stderr);
    assert_eq!(site.made(), 1);
    site.assert_clean();
}

#[test]
fn the_tree_arrives_and_the_exit_code_comes_back() {
    let site = Site::fal();
    let ended = site.lease(&["run", "--", "sh", "-c", "cat a.txt src/b.txt; exit 7"]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (7, &b"a\nb\n"[..]), "{}", ended.stderr);
    site.assert_clean();
}

#[test]
fn a_machine_that_is_never_reachable_is_released_and_said_to_be() {
    let site = Site::fal();
    site.machines.set_access(Access::Unreachable);
    let mut command = site.command(&["run", "--", "true"]);
    let ended = site.ended(command.env("LEASE_READY_TIMEOUT", "2s"));
    assert_eq!(ended.code, 125, "{}", ended.stderr);
    let said = ended.failure();
    assert!(said.contains("the machine was released; run: lease "), "{said}");
    assert_eq!(site.made(), 1);
    site.assert_clean();
}

#[test]
fn what_the_provider_refuses_is_one_line_with_what_helps() {
    let check = |change: &dyn Fn(&Site<FalCloud>), expected: &[&str]| {
        let site = Site::fal();
        change(&site);
        let ended = site
            .ended(site.command(&["-q", "run", "--", "true"]).env("LEASE_READ_PATIENCE", "100ms"));
        assert_eq!((ended.code, ended.stdout.as_slice()), (125, &b""[..]));
        let said = ended.stderr.trim_end();
        assert!(!said.contains('\n'), "{said}");
        for it in expected {
            assert!(said.contains(it), "{it:?} is not in {said}");
        }
        site.assert_clean();
    };
    let poor: &dyn Fn(&Site<FalCloud>) = &|site| {
        site.cloud.inner().change_policy(|it| {
            it.money_gate = MoneyGate::Refuse(StatusCode::PAYMENT_REQUIRED);
        });
        site.cloud.inner().change_workspace(WORKSPACE, |it| it.credit_cents = 100);
    };
    check(poor, &["credit", "; run: lease "]);
    let revoked: &dyn Fn(&Site<FalCloud>) = &|site| site.cloud.inner().revoke(KEY);
    check(revoked, &["nothing was created; run: lease doctor"]);
    let weak: &dyn Fn(&Site<FalCloud>) =
        &|site| site.cloud.inner().set_key(KEY, WORKSPACE, KeyScope::Api);
    check(weak, &["nothing was created; run: lease doctor"]);
    let busy: &dyn Fn(&Site<FalCloud>) = &|site| {
        let fault = Fault::RateLimited(std::time::Duration::from_secs(3_600));
        site.cloud.plan(Plan::at(0, fault).on(Matching::all()).times(Times::Always));
    };
    check(busy, &["nothing was created; run: lease doctor"]);
}

#[test]
fn sizes_are_listed_and_a_wrong_wish_leads_to_them() {
    let site = Site::fal();
    let document = site.json(&["providers", "sizes", "fal"]);
    assert_eq!(document["schema"], "lease.sizes/1");
    assert_eq!(document["sizes"][0]["machine_type"], ONE);
    let table = String::from_utf8(site.lease(&["providers", "sizes", "fal-ai"]).stdout).unwrap();
    assert!(table.starts_with("CLASS") && table.contains(ONE), "{table}");
    let said = site.lease(&["-q", "acquire", "--class", "enormous"]).stderr;
    assert!(said.contains("nothing was created; run: lease providers sizes fal\n"), "{said}");
    let said = site.lease(&["-q", "acquire", "--type", "tpu"]).stderr;
    assert!(said.contains("nothing was created; run: lease providers sizes fal\n"), "{said}");
    let said = site.lease(&["-q", "acquire", "-o", "colour=red"]).stderr;
    assert!(said.contains("nothing was created; run: lease providers describe fal\n"), "{said}");
    assert_eq!(site.made(), 0);
    site.assert_clean();
}

#[test]
fn a_machine_without_a_record_is_adopted_on_a_persons_word_and_released() {
    let site = Site::fal();
    let foreign = site.cloud.inner().plant(WORKSPACE, "ssh-ed25519 AAAA somebody");
    assert_eq!(site.lease(&["-q", "acquire", "--keep", "--slug", "calm-otter"]).code, 0);
    let id = site.ours()[0].id.clone();
    let said = site.lease(&["adopt", "fal", &id]).stderr;
    assert!(
        said.contains("it belongs to calm-otter") && said.contains("; run: lease list"),
        "{said}"
    );
    std::fs::remove_dir_all(site.installation.state()).unwrap();
    assert_eq!(site.json(&["cleanup", "--dry-run"])["steps"], serde_json::json!([]));
    let said = site.lease(&["adopt", "fal", "inst_nobody"]).stderr;
    assert!(said.contains("; nothing was changed; run: lease cleanup --dry-run"), "{said}");
    let adopted = site.lease(&["adopt", "fal", &id, "--slug", "found-otter"]);
    let text = String::from_utf8(adopted.stdout).unwrap();
    assert!(text.starts_with(&format!("adopted instance {id} as found-otter: the word")), "{text}");
    assert!(adopted.stderr.contains("that it is yours is your word"), "{}", adopted.stderr);
    // Nothing automatic ends what was adopted.
    assert_eq!(site.json(&["cleanup"])["done"], serde_json::json!([]));
    assert_eq!(site.ours().len(), 1);
    assert_eq!(site.lease(&["-q", "release", "found-otter"]).code, 0);
    site.assert_clean();
    assert_eq!(site.foreign(), 1, "{foreign} is somebody else's");
}

#[test]
fn adopting_and_releasing_at_once_leaves_nothing() {
    let site = Site::fal();
    assert_eq!(site.lease(&["-q", "acquire", "--keep"]).code, 0);
    let id = site.ours()[0].id.clone();
    std::fs::remove_dir_all(site.installation.state()).unwrap();
    let document = site.json(&["adopt", "fal", &id, "--release"]);
    assert_eq!(document["schema"], "lease.adopt/1");
    assert_eq!(document["released"]["outcome"], "released");
    assert_eq!(document["resources"][0]["id"], id);
    site.assert_clean();
}
