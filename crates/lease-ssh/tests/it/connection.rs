//! Logging in: what is pinned, what is refused, what is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lease_process::{Liveness, Pid, ProcessIdentity, liveness};
use lease_ssh::{Client, HostKey, LoginFailure, Settings, SshError};

use crate::fixture::{Box, LEASE, make_host_key, mode_of, sh};

const MOMENT: Duration = Duration::from_secs(4);

/// The process that holds the connection: it is the parent of the shells' `sshd`, and ssh tells it.
async fn master(it: &Box) -> ProcessIdentity {
    let config = it.at("keys").join(LEASE).join("config").display().to_string();
    let said = crate::fixture::tool("ssh", &["-F", &config, "-O", "check", LEASE]).await;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let digits: String =
        said.split_once("pid=").unwrap().1.chars().take_while(char::is_ascii_digit).collect();
    ProcessIdentity::of(Pid::new(digits.parse().unwrap()).unwrap()).unwrap().unwrap()
}

#[track_caller]
fn login_failure(error: &SshError) -> LoginFailure {
    if let SshError::NotReady { last, .. } = error {
        return login_failure(last);
    }
    let SshError::Login { failure, .. } = error else { panic!("{error:?}") };
    *failure
}

#[tokio::test]
async fn a_connection_is_shared_resumed_and_ended() {
    let it = Box::new().await;
    assert!(it.client.resume(LEASE).await.unwrap().is_none());
    let session = it.connect().await;
    let master = master(&it).await;
    let again = it.client.resume(LEASE).await.unwrap().unwrap();
    again.check().await.unwrap();
    it.connect().await.check().await.unwrap();
    assert_eq!(self::master(&it).await, master, "a second connection was opened");
    session.close().await.unwrap();
    assert_eq!(liveness(&master), Liveness::Dead);
    assert!(matches!(again.check().await, Err(SshError::Lost { .. })));
    it.end().await;
}

#[tokio::test]
async fn many_at_once_open_one_connection() {
    let it = Box::new().await;
    let attempts = (0..4).map(|_| {
        let (client, endpoint) = (it.client.clone(), it.endpoint.clone());
        tokio::spawn(async move { client.connect(LEASE, &endpoint).await.map(drop) })
    });
    for attempt in attempts.collect::<Vec<_>>() {
        attempt.await.unwrap().unwrap();
    }
    let log = fs::read_to_string(it.at("sshd.log")).unwrap();
    assert_eq!(log.matches("Accepted publickey").count(), 1, "{log}");
    it.end().await;
}

#[tokio::test]
async fn forgetting_ends_the_process_and_removes_the_key() {
    let it = Box::new().await;
    drop(it.connect().await);
    let master = master(&it).await;
    it.client.forget(LEASE).await.unwrap();
    assert_eq!(liveness(&master), Liveness::Dead);
    assert!(!it.at("keys").join(LEASE).exists());
    it.client.forget(LEASE).await.unwrap();
}

#[tokio::test]
async fn an_unused_connection_ends_by_itself() {
    let mut it = Box::new().await;
    let mut settings = it.client.settings().clone();
    settings.persist = Duration::from_secs(1);
    it.client = Client::new(settings);
    drop(it.connect().await);
    let master = master(&it).await;
    let gone = || liveness(&master) == Liveness::Dead;
    assert!(
        lease_process::wait::until(Duration::from_secs(30), Duration::from_millis(50), gone).await
    );
    it.end().await;
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let it = Box::new().await;
    let session = it.connect().await;
    let master = master(&it).await;
    let pid = rustix::process::Pid::from_raw(master.pid.get()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let gone = || liveness(&master) == Liveness::Dead;
    assert!(
        lease_process::wait::until(Duration::from_secs(10), Duration::from_millis(5), gone).await
    );
    assert!(session.check().await.is_err());
    it.connect().await.check().await.unwrap();
    session.check().await.unwrap();
    it.end().await;
}

#[tokio::test]
async fn another_host_key_is_refused_at_once() {
    let mut it = Box::new().await;
    it.endpoint.host_key = HostKey::Pinned(make_host_key(&it.at("other")).await);
    // An hour: a retry would show as a test that never ends.
    let refused =
        it.client.ready(LEASE, &it.endpoint, Duration::from_secs(3_600)).await.unwrap_err();
    assert_eq!(login_failure(&refused), LoginFailure::HostKeyMismatch);
    assert!(!refused.may_pass());
    it.end().await;
}

#[tokio::test]
async fn a_key_learnt_at_first_use_is_strict_afterwards() {
    let mut it = Box::new().await;
    let HostKey::Pinned(real) = it.endpoint.host_key.clone() else { panic!() };
    it.endpoint.host_key = HostKey::FirstUse;
    assert_eq!(it.client.host_key(LEASE).unwrap(), None);
    it.connect().await.close().await.unwrap();
    let learnt = it.client.host_key(LEASE).unwrap().unwrap();
    assert!(real.starts_with(&learnt), "{real} {learnt}");
    fs::remove_file(it.at("host_key")).unwrap();
    fs::remove_file(it.at("host_key.pub")).unwrap();
    make_host_key(&it.at("host_key")).await;
    let refused = it.client.connect(LEASE, &it.endpoint).await.unwrap_err();
    assert_eq!(login_failure(&refused), LoginFailure::HostKeyMismatch);
    it.end().await;
}

#[tokio::test]
async fn a_refused_key_is_named() {
    let it = Box::new().await;
    fs::write(it.at("authorized_keys"), "").unwrap();
    let refused = it.client.ready(LEASE, &it.endpoint, MOMENT).await.unwrap_err();
    assert!(matches!(refused, SshError::NotReady { .. }));
    assert_eq!(login_failure(&refused), LoginFailure::AuthRefused);
    it.end().await;
}

#[tokio::test]
async fn a_box_that_becomes_ready_later_is_found() {
    let it = Box::with("echo x >>\"$6.attempts\"", "").await;
    let keys = fs::read(it.at("authorized_keys")).unwrap();
    fs::write(it.at("authorized_keys"), "").unwrap();
    let waiting = it.client.ready(LEASE, &it.endpoint, Duration::from_secs(60));
    let attempts = it.at("sshd.log.attempts");
    let opening = async {
        // The second attempt begins when the first has failed.
        let second = || fs::read(&attempts).is_ok_and(|it| it.len() >= 4);
        assert!(
            lease_process::wait::until(Duration::from_secs(30), Duration::from_millis(10), second)
                .await
        );
        fs::write(it.at("authorized_keys"), keys).unwrap();
    };
    let (found, ()) = tokio::join!(waiting, opening);
    found.unwrap().check().await.unwrap();
    it.end().await;
}

#[tokio::test]
async fn failures_on_the_way_are_told_apart() {
    let mut it = Box::new().await;
    it.endpoint.proxy_command = Some(vec!["/nonexistent/proxy".to_owned()]);
    let failed = it.client.connect(LEASE, &it.endpoint).await.unwrap_err();
    assert_eq!(login_failure(&failed), LoginFailure::ProxyFailed);
    assert!(failed.to_string().contains("/nonexistent/proxy"), "{failed}");

    it.endpoint.proxy_command = None;
    it.endpoint.host = "127.0.0.1".to_owned();
    it.endpoint.port = free_port();
    let refused = it.client.connect(LEASE, &it.endpoint).await.unwrap_err();
    assert_eq!(login_failure(&refused), LoginFailure::Refused);

    it.endpoint.host = "no-such-host.invalid".to_owned();
    let unknown = it.client.connect(LEASE, &it.endpoint).await.unwrap_err();
    assert_eq!(login_failure(&unknown), LoginFailure::NameResolution);
    it.end().await;
}

#[tokio::test]
async fn a_host_that_never_speaks_is_a_timeout() {
    let mut it = Box::new().await;
    let mut settings = it.client.settings().clone();
    settings.connect_timeout = Duration::from_secs(1);
    it.client = Client::new(settings);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    it.endpoint.proxy_command = None;
    it.endpoint.host = "127.0.0.1".to_owned();
    it.endpoint.port = listener.local_addr().unwrap().port();
    let silent = it.client.connect(LEASE, &it.endpoint).await.unwrap_err();
    assert_eq!(login_failure(&silent), LoginFailure::Timeout, "{silent}");
    it.end().await;
}

#[tokio::test]
async fn a_missing_ssh_is_named() {
    let it = Box::new().await;
    let mut settings = it.client.settings().clone();
    settings.environment = vec![("PATH".into(), "/nonexistent".into())];
    let missing = Client::new(settings).connect(LEASE, &it.endpoint).await.unwrap_err();
    assert!(matches!(missing, SshError::SshMissing), "{missing:?}");
    it.end().await;
}

#[tokio::test]
async fn what_a_login_lacks_on_this_machine_is_told_before_there_is_a_key() {
    const OTHER: &str = "lse-bbbbbbbbbbbbbbbbbbbb";
    let it = Box::new().await;
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = it.client.settings().clone();
        change(&mut settings);
        Client::new(settings).prepare(OTHER).unwrap_err()
    };
    let missing = refused(&|it| it.environment = vec![("PATH".into(), "/nonexistent".into())]);
    assert!(matches!(missing, SshError::SshMissing), "{missing:?}");
    let deep = it.at(&"r".repeat(100));
    let long = refused(&|it| it.runtime.clone_from(&deep));
    assert!(matches!(long, SshError::SocketPathTooLong { .. }), "{long:?}");
    let open = it.at("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let readable = refused(&|it| it.runtime.clone_from(&open));
    assert!(matches!(readable, SshError::NotPrivate { .. }), "{readable:?}");
    assert!(!it.at("keys").join(OTHER).exists());
    // What was never there need not be given up.
    let mut settings = it.client.settings().clone();
    settings.runtime = deep;
    Client::new(settings).forget(OTHER).await.unwrap();
    it.end().await;
}

#[tokio::test]
async fn a_proxy_argument_arrives_byte_for_byte() {
    let mut it = Box::new().await;
    let odd = "a b'c\"d\\e\nf$HOME%h`x`";
    let script = "printf %s \"$1\" >\"$2\"; shift 2; exec \"$@\"";
    let seen = it.at("seen").display().to_string();
    let mut argv: Vec<String> =
        ["/bin/sh", "-c", script, "x", odd, &seen].map(str::to_owned).to_vec();
    argv.extend(it.sshd.clone());
    it.endpoint.proxy_command = Some(argv);
    it.connect().await;
    assert_eq!(fs::read_to_string(it.at("seen")).unwrap(), odd);
    it.end().await;
}

#[tokio::test]
async fn files_of_a_lease_are_private() {
    let it = Box::new().await;
    let session = it.ready().await;
    it.run(&session, "r", &sh("true"), b"").await.code();
    let directory = it.at("keys").join(LEASE);
    assert_eq!((mode_of(&directory), mode_of(&it.at("run"))), (0o700, 0o700));
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("proxy.log") && !path.ends_with("known_hosts.old") {
            assert_eq!(mode_of(&path), 0o600, "{path:?}");
        }
    }
    it.end().await;
}

#[tokio::test]
async fn a_long_runtime_directory_is_refused_with_a_reason() {
    let it = Box::new().await;
    let runtime = it.at(&"r".repeat(90));
    let client = Client::new(Settings::new(it.at("keys"), runtime));
    let refused = client.connect(LEASE, &it.endpoint).await.unwrap_err();
    assert!(matches!(refused, SshError::SocketPathTooLong { .. }), "{refused:?}");
    it.end().await;
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_strangers_machine_is_tried_and_nothing_of_it_is_remembered() {
    use lease_core::{Recognition, Transport};

    let (it, stranger) = (Box::new().await, Box::new().await);
    let lease = LEASE.parse().unwrap();
    let transport: &dyn Transport = &it.client;
    let refused = transport.recognise(&lease, &reach_of(&stranger)).await.unwrap();
    assert!(
        matches!(&refused, Recognition::NotOurs { why } if why.contains("denied")),
        "{refused:?}"
    );
    let mut dead = reach_of(&stranger);
    dead.proxy = vec!["/bin/false".to_owned()];
    let unclear = transport.recognise(&lease, &dead).await.unwrap();
    assert!(matches!(unclear, Recognition::Unclear { .. }), "{unclear:?}");
    // The stranger's host key was seen first, and neither pins ours nor is held against it.
    assert_eq!(transport.recognise(&lease, &reach_of(&it)).await.unwrap(), Recognition::Ours);
    assert_eq!(it.client.host_key(LEASE).unwrap(), None);
    assert!(it.client.resume(LEASE).await.unwrap().is_none(), "no connection stays open");
    stranger.end().await;
    it.end().await;
}

/// How `of` is reached by somebody who does not know its key.
fn reach_of(of: &Box) -> lease_core::Reach {
    let first_use = lease_core::HostKey::FirstUse;
    let user = of.endpoint.user.as_str();
    let mut reach = lease_core::Reach::new("box", user, first_use, of.root.as_str());
    reach.proxy.clone_from(&of.sshd);
    reach
}

#[tokio::test]
async fn a_host_that_lets_every_key_in_is_never_taken_for_ours() {
    use lease_core::{Recognition, Transport};

    let open =
        Box::with("", "AuthorizedKeysCommand /bin/echo %t %k\nAuthorizedKeysCommandUser root")
            .await;
    let reach = reach_of(&open);
    let transport: &dyn Transport = &open.client;
    let unclear = transport.recognise(&LEASE.parse().unwrap(), &reach).await.unwrap();
    assert!(
        matches!(&unclear, Recognition::Unclear { why } if why.contains("every key")),
        "{unclear:?}"
    );
    open.end().await;
}

#[tokio::test]
async fn a_box_is_ready_once_it_says_that_it_is_set_up() {
    use lease_core::{Probe, Transport};

    let it = Box::new().await;
    let lease = LEASE.parse().unwrap();
    let marker = it.at("set up 'here'");
    let mut reach = reach_of(&it);
    reach.ready_file = Some(marker.display().to_string());
    let transport: &dyn Transport = &it.client;
    let early = transport.probe(&lease, &reach).await.unwrap();
    assert!(matches!(&early, Probe::NotYet { why } if why.contains("set up")), "{early:?}");
    fs::write(&marker, "").unwrap();
    let ready = transport.probe(&lease, &reach).await.unwrap();
    assert!(matches!(ready, Probe::Ready { .. }), "{ready:?}");
    it.end().await;
}
