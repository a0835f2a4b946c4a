//! The form without an adapter program: a directory is the cloud, and `mkdir`, `ls` and `rmdir` are its interface.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lease_core::engine::{Left, Outcome};
use lease_core::store::memory::MemoryStore;
use lease_core::{ErrorKind, HostKey, Provider as _, Sighting, Store};
use lease_external::lifecycle::{Connection, Lifecycle, Operation, OutputForm};
use lease_external::{ExternalConfig, ExternalProvider, Unheard};
use lease_testkit::sim::WallClock;
use tempfile::TempDir;

use crate::bench::{Bench, lose, path, quick};

const NAMES: &str = r#"cd "$0" && printf '[' && for it in *; do [ -d "$it" ] && printf '%s"%s"' "$c" "$it" && c=,; done; printf ']'"#;
const LEASES: &str = r#"cd "$0" && printf '[' && for it in *; do [ -f "$it/lease" ] && printf '%s' "$c" && cat "$it/lease" && c=,; done; printf ']'"#;
const MAKE: &str = r#"mkdir "$0/$1" && printf '{"leaseId":"%s","slug":"%s","name":"%s","cloudId":"%s"}' "$2" "$3" "$1" "$1" | tee "$0/$1/lease""#;

fn sh<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    ["sh", "-c"].into_iter().chain(words).map(str::to_owned).collect()
}

/// A cloud that shows names, with the templates that a user would write.
fn names(directory: &str) -> (Lifecycle, Connection) {
    let text = serde_json::json!({
        "acquire": {"argv": ["mkdir", format!("{directory}/{{{{resourceName}}}}")]},
        "list": {"argv": sh([NAMES, directory]), "output": "json-name-array", "namePrefix": "all-"},
        "release": {"argv": ["rm", "-rf", format!("{directory}/{{{{resourceName}}}}")]},
    });
    let connection = serde_json::json!({
        "resourceName": "all-{{name}}",
        "ssh": {"user": "ann", "host": "{{resourceName}}.example", "port": "{{config.port}}"},
    });
    (serde_json::from_value(text).unwrap(), serde_json::from_value(connection).unwrap())
}

/// A cloud that shows leases.
fn leases(directory: &str) -> (Lifecycle, Connection) {
    let make = sh([MAKE, directory, "{{name}}", "{{leaseId}}", "{{slug}}"]);
    let lifecycle = Lifecycle {
        acquire: Operation::argv(make).printing(OutputForm::JsonLease),
        list: Operation::argv(sh([LEASES, directory])).printing(OutputForm::JsonLeaseArray),
        release: Operation::argv(["rm", "-rf", &format!("{directory}/{{{{cloudId}}}}")]),
        ..Lifecycle::default()
    };
    (lifecycle, names(directory).1)
}

async fn bench(
    make: fn(&str) -> (Lifecycle, Connection),
    change: impl FnOnce(&mut Lifecycle, &mut Connection),
) -> (Bench, PathBuf) {
    let directory: TempDir = tempfile::tempdir().unwrap();
    let cloud = directory.path().join("cloud");
    fs::create_dir_all(cloud.join("precious")).unwrap();
    let (mut lifecycle, mut connection) = make(&path(&cloud));
    change(&mut lifecycle, &mut connection);
    let store = MemoryStore::new().unwrap();
    let mut config = ExternalConfig::lifecycle(lifecycle, connection);
    quick(&mut config);
    config.environment.push(("TOKEN".to_owned(), "planted-9f".to_owned()));
    config.config.insert("port".to_owned(), 2200.into());
    config.installation = Some(store.installation().await.unwrap());
    (Bench::of(directory, config, Arc::new(store)), cloud)
}

fn machines(cloud: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(cloud).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|it| it != "precious").collect()
}

async fn check_round(bench: &Bench, cloud: &std::path::Path) {
    let claim = bench.acquire().await.unwrap();
    let reach = claim.usable().unwrap();
    assert!(reach.host.ends_with(".example"), "{reach:?}");
    assert_eq!((reach.port, reach.user.as_str()), (2200, "ann"));
    assert!(matches!(bench.doors.asked()[0].host_key, HostKey::FirstUse));
    assert_eq!(machines(cloud).len(), 1);
    let listed = bench.provider.list().await.unwrap().items;
    let marks = listed[0].marks.as_ref().unwrap();
    assert_eq!((listed.len(), &marks.lease), (1, claim.lease()));
    let resource = &claim.resources()[0];
    assert_eq!(Some(&listed[0].id), resource.id());
    assert!(matches!(bench.release(claim.lease()).await, Outcome::Released));
    assert_eq!(machines(cloud), [""; 0]);
    assert!(cloud.join("precious").exists());
}

#[tokio::test]
async fn names_alone_carry_a_lease_from_its_acquire_to_its_release() {
    let (bench, cloud) = bench(names, |_, _| {}).await;
    check_round(&bench, &cloud).await;
}

#[tokio::test]
async fn leases_that_commands_print_carry_it_too() {
    let (bench, cloud) = bench(leases, |_, _| {}).await;
    check_round(&bench, &cloud).await;
}

#[tokio::test]
async fn i3_a_lost_acquire_is_found_by_its_name() {
    for make in [names as fn(&str) -> _, leases] {
        let (bench, cloud) = bench(make, |_, _| {}).await;
        let mut writer = bench.intend().await;
        let (intent, created) = bench.create(&mut writer).await;
        created.unwrap();
        lose(&mut writer).await;
        let sighting = bench.provider.find(&intent).await.unwrap();
        assert!(matches!(sighting, Sighting::Found(_)), "{sighting:?}");
        let lease = writer.claim().lease().clone();
        drop(writer);
        assert!(matches!(bench.release(&lease).await, Outcome::Released));
        assert_eq!(machines(&cloud), [""; 0]);
    }
}

#[tokio::test]
async fn a_failure_after_the_first_step_gives_the_machine_back() {
    let (bench, cloud) = bench(names, |lifecycle, _| {
        let first = std::mem::take(&mut lifecycle.acquire.argv);
        lifecycle.acquire.steps = vec![first, vec!["false".to_owned()]];
        lifecycle.acquire.rollback_on_failure = true;
    })
    .await;
    let failure = bench.acquire().await.unwrap_err();
    assert!(failure.error.to_string().contains("exit status 1"), "{}", failure.error);
    assert_eq!(failure.left, Left::Released);
    assert_eq!(machines(&cloud), [""; 0]);
}

#[tokio::test]
async fn a_bad_template_in_the_last_step_changes_nothing() {
    for bad in ["{{unknown}}", "{{env.UNSET}}", "{{config.missing}}", "{{env.TOKEN}}", "{{name"] {
        let (bench, cloud) = bench(names, |lifecycle, _| {
            let first = std::mem::take(&mut lifecycle.acquire.argv);
            lifecycle.acquire.steps = vec![first, vec!["echo".to_owned(), bad.to_owned()]];
        })
        .await;
        let failure = bench.acquire().await.unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Invalid, "{bad}: {}", failure.error);
        assert!(!failure.error.to_string().contains("planted"), "{}", failure.error);
        assert_eq!(machines(&cloud), [""; 0], "{bad}");
    }
}

#[tokio::test]
async fn what_comes_from_the_environment_is_shown_only_where_that_is_allowed() {
    let (allowed, cloud) = bench(names, |lifecycle, connection| {
        let make = std::mem::take(&mut lifecycle.acquire.argv);
        let check = sh([r#"[ "$0" = planted-9f ] && [ "$SECRET" = planted-9f ]"#, "{{env.TOKEN}}"]);
        lifecycle.acquire.steps = vec![check, make];
        lifecycle.acquire.allow_env_argv = true;
        lifecycle.acquire.env.insert("SECRET".to_owned(), "{{env.TOKEN}}".to_owned());
        connection.ssh.user = "{{env.TOKEN}}".to_owned();
        connection.ssh.allow_env = Some(true);
    })
    .await;
    let claim = allowed.acquire().await.unwrap();
    assert_eq!(claim.usable().unwrap().user, "planted-9f");
    assert!(matches!(allowed.release(claim.lease()).await, Outcome::Released));
    assert_eq!(machines(&cloud), [""; 0]);
    let (refused, cloud) =
        bench(names, |_, connection| connection.ssh.user = "{{env.TOKEN}}".to_owned()).await;
    let failure = refused.acquire().await.unwrap_err();
    assert!(!failure.error.to_string().contains("planted"), "{}", failure.error);
    assert_eq!(machines(&cloud), [""; 0]);
}

#[tokio::test]
async fn a_list_of_names_needs_the_own_installation() {
    let (lifecycle, connection) = names("/srv/cloud");
    let config = ExternalConfig::lifecycle(lifecycle, connection);
    let error = ExternalProvider::open(config, Arc::new(WallClock), Arc::new(Unheard)).unwrap_err();
    assert!(error.to_string().contains("installation"), "{error}");
}

#[tokio::test]
async fn what_commands_print_about_a_login_counts_only_where_it_is_trusted() {
    let ssh = r#","ssh":{"host":"elsewhere","user":"eve"} }"#;
    for trusted in [true, false] {
        let (bench, cloud) = bench(leases, |lifecycle, connection| {
            let script = lifecycle.acquire.argv[2].replace("}' \"$2\"", &format!("{ssh}' \"$2\""));
            lifecycle.acquire.argv[2] = script;
            connection.ssh.trust_provider_output = Some(trusted);
        })
        .await;
        let acquired = bench.acquire().await;
        if trusted {
            let claim = acquired.unwrap();
            assert_eq!(claim.usable().unwrap().host, "elsewhere");
            assert!(matches!(bench.release(claim.lease()).await, Outcome::Released));
        } else {
            let error = acquired.unwrap_err().error;
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        }
        assert_eq!(machines(&cloud), [""; 0]);
        assert!(bench.doors.asked().iter().all(|it| trusted && it.user == "eve"));
    }
}
