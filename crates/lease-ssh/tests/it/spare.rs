//! Runs over a session that waited: the same in every respect, and where anything is odd the ordinary way.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lease_ssh::{Client, Command, Drift, JobSignal, JobState};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;

use crate::fixture::{Box, LEASE, sh, text};
use crate::syncing::Case;
use crate::warm::shown;

const WITHIN: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_millis(5);

/// A box with a tree on it, and clients that use a session that waits.
struct Spared {
    case: Case,
    mark: String,
}

impl Spared {
    async fn new() -> Self {
        Self::with(Duration::from_secs(300), "").await
    }

    async fn with(idle: Duration, extra: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("LEASE_TEST_BOX={}-{count}", std::process::id());
        let mut it = Box::with("", &format!("LogLevel DEBUG1\nSetEnv {mark}\n{extra}")).await;
        let mut settings = it.client.settings().clone();
        settings.spare = idle;
        it.client = Client::new(settings);
        let case = Case::on(it).await;
        case.put("a", "one");
        case.put("d/b", "two");
        let spared = Self { case, mark };
        spared.run("first", "true").await;
        spared
    }

    async fn run(&self, run: &str, script: &str) -> String {
        let (_, ran) = self.case.run(run, script).await;
        assert_eq!(ran.code(), 0, "{run}: {}", text(&ran.stderr));
        text(&ran.stdout)
    }

    /// Keeps sessions waiting until it is aborted or has a reason to end.
    fn keeper(&self) -> JoinHandle<lease_ssh::Result<()>> {
        let client = self.case.it.client.clone();
        tokio::spawn(async move { client.keep_spare(LEASE).await })
    }

    /// Waits until a session waits, and says which process on the box that is.
    async fn waits(&self) -> u32 {
        for _ in 0..3_000 {
            if self.case.it.client.spare_waits(LEASE).await.unwrap()
                && let [pid] = self.shells()[..]
            {
                return pid;
            }
            lease_core::retry::pause(EVERY).await;
        }
        panic!("no session waits");
    }

    /// The processes on the box whose script waits, or has waited.
    fn shells(&self) -> Vec<u32> {
        let of = |pid: u32, name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let has = |hay: &[u8], needle: &[u8]| hay.windows(needle.len()).any(|it| it == needle);
        let pids = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|&pid| {
            has(&of(pid, "cmdline"), b"lease-spare")
                && has(&of(pid, "environ"), self.mark.as_bytes())
        })
        .collect()
    }

    /// Waits until no process on the box waits.
    async fn is_quiet(&self) {
        let quiet = lease_process::wait::until(WITHIN, EVERY, || self.shells().is_empty()).await;
        assert!(quiet, "{:?}", self.shells());
    }

    /// The process that let that run through.
    fn guard(&self, run: &str) -> u32 {
        let start =
            fs::read_to_string(self.case.it.at(&format!("box/.lease/jobs/{run}/start"))).unwrap();
        start.split(' ').nth(1).unwrap().parse().unwrap()
    }

    async fn end(self) {
        let runtime = self.case.it.at("run");
        self.case.it.client.forget(LEASE).await.unwrap();
        self.is_quiet().await;
        assert_eq!(fs::read_dir(runtime).unwrap().count(), 0);
    }

    fn socket(&self) -> PathBuf {
        let entries = fs::read_dir(self.case.it.at("run")).unwrap().map(|it| it.unwrap().path());
        entries.into_iter().find(|it| it.extension().is_some_and(|it| it == "spare")).unwrap()
    }

    /// Takes the session that waits as a client does, and says what has to end its parameters.
    async fn take(&self) -> (Vec<OwnedFd>, String) {
        let kind = ask(&self.socket(), "look").await.0;
        let kind = kind.trim_end().strip_prefix("lease-spare-1 waits ").unwrap().to_owned();
        let (said, open) = ask(&self.socket(), &format!("want {kind}")).await;
        let name = said.trim_end().rsplit(' ').next().unwrap().to_owned();
        assert_eq!(open.len(), 4, "{said}");
        (open, name)
    }
}

async fn ask(socket: &Path, words: &str) -> (String, Vec<OwnedFd>) {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut keeper = tokio::net::UnixStream::connect(socket).await.unwrap();
    keeper.write_all(format!("lease-spare-1 {words}\n").as_bytes()).await.unwrap();
    let mut open = Vec::new();
    let received = keeper.async_io(tokio::io::Interest::READABLE, || {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut text = [0; 256];
        let mut slices = [std::io::IoSliceMut::new(&mut text)];
        let received = recvmsg(keeper.as_fd(), &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                open.extend(descriptors);
            }
        }
        Ok(String::from_utf8(text[..received.bytes].to_vec()).unwrap())
    });
    let text = received.await.unwrap();
    (text, open)
}

#[tokio::test]
async fn a_run_takes_the_session_that_waits_and_the_next_run_takes_the_next() {
    let it = Spared::new().await;
    let keeper = it.keeper();
    let small = "it's\n\\0 \u{1} new\n";
    // More than the box's shell reads byte by byte.
    let large = small.repeat(1000);
    let changes =
        [("same", None), ("small", Some(small)), ("large", Some(&large)), ("again", None)];
    for (run, change) in changes {
        let waiting = it.waits().await;
        if let Some(content) = change {
            it.case.put("d/b", content);
            drop(fs::remove_file(it.case.tree.join("a")));
            it.case.put("new/c", run);
        }
        let (report, ran) = it.case.run(run, "cat d/b; echo err >&2; exit 3").await;
        assert_eq!(it.guard(run), waiting, "{run}");
        assert_eq!(report.sent_files, if change.is_some() { 2 } else { 0 });
        assert_eq!((ran.code(), text(&ran.stderr)), (3, "err".to_owned()));
        assert_eq!(ran.stdout, fs::read(it.case.tree.join("d/b")).unwrap());
        assert_eq!(shown(&it.case.it.work()), shown(&it.case.tree));
        let state = it.case.session.job(&it.case.it.root, run).await.unwrap();
        assert_eq!(state, JobState::Finished(3));
    }
    it.end().await;
    keeper.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_command_gets_its_own_input_words_and_environment_byte_for_byte() {
    let it = Spared::new().await;
    let keeper = it.keeper();
    let every: Vec<u8> = (1..=255).collect();
    let inputs: [Vec<u8>; 4] = [
        Vec::new(),
        b"lease-spare x end\n".to_vec(),
        (0..=255).cycle().take(1_000_003).collect(),
        b"no newline at the end".to_vec(),
    ];
    let script =
        "printf '%s' \"$A\" | od -An -tx1 >&2; printf '%s' \"$1\" | od -An -tx1 >&2; cat; exit 255";
    for (index, input) in inputs.iter().enumerate() {
        let waiting = it.waits().await;
        let mut command = Command::new([b"sh".as_slice(), b"-c", script.as_bytes(), b"sh", &every]);
        command.environment = vec![("A".to_owned(), every.clone())];
        let run = format!("bytes-{index}");
        let (report, ran) = it.case.try_run(&run, &command, (Drift::Overwrite, input)).await;
        report.unwrap();
        assert_eq!((ran.code(), it.guard(&run)), (255, waiting));
        assert!(ran.stdout == *input, "{index}: {} bytes", ran.stdout.len());
        let said = text(&ran.stderr);
        let said: Vec<_> =
            said.split_whitespace().map(|it| u8::from_str_radix(it, 16).unwrap()).collect();
        assert_eq!(said, every.repeat(2));
        let left = fs::read_dir(it.case.it.at(&format!("box/.lease/jobs/{run}"))).unwrap();
        let setups =
            left.filter(|it| it.as_ref().unwrap().file_name().as_bytes().starts_with(b"setup"));
        assert_eq!(setups.count(), 0, "what was sent for the command stays behind");
    }
    it.end().await;
    keeper.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_the_box_refuses_it_refuses_over_a_session_that_waited_too() {
    let it = Spared::new().await;
    let keeper = it.keeper();
    it.waits().await;
    // A command has changed a file, and nobody knows yet.
    it.run("changes", "echo more >>a").await;
    it.waits().await;
    let (report, ran) = it.case.run("drifted", "cat a").await;
    assert_eq!((report.drifted, text(&ran.stdout)), (vec![PathBuf::from("a")], "one".to_owned()));
    it.waits().await;
    // The box was made anew below a connection that held.
    it.case.vanished().await;
    let (report, ran) = it.case.run("rebuilt", "cat a d/b").await;
    assert_eq!((report.sent_files, text(&ran.stdout)), (2, "onetwo".to_owned()));
    it.waits().await;
    // And another system was started since the box wrote its name down.
    let generation = it.case.it.at("box/.lease/sync/generation");
    let held = fs::read_to_string(&generation).unwrap();
    fs::write(&generation, format!("{} another-boot\n", held.split(' ').next().unwrap())).unwrap();
    let (report, ran) = it.case.run("rebooted", "cat a").await;
    assert_eq!((report.sent_files, text(&ran.stdout)), (2, "one".to_owned()));
    it.end().await;
    keeper.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_run_id_starts_one_command_whichever_way_it_comes() {
    let it = Spared::new().await;
    let keeper = it.keeper();
    it.waits().await;
    it.run("once", "echo x >>../once").await;
    it.waits().await;
    let (_, ran) = it.case.try_run("once", &sh("echo x >>../once"), (Drift::Overwrite, b"")).await;
    assert!(ran.outcome.unwrap_err().contains("started before"));
    assert_eq!(fs::read_to_string(it.case.it.at("box/once")).unwrap(), "x\n");
    it.end().await;
    keeper.await.unwrap().unwrap();
}

#[tokio::test]
async fn of_two_clients_at_once_one_gets_the_session_and_both_run() {
    let it = Spared::new().await;
    let keeper = it.keeper();
    let waiting = it.waits().await;
    let (one, two) = (sh("cat a"), sh("cat d/b"));
    let ((_, one), (_, two)) = tokio::join!(
        it.case.try_run("one", &one, (Drift::Overwrite, b"")),
        it.case.try_run("two", &two, (Drift::Overwrite, b""))
    );
    assert_eq!((text(&one.stdout), text(&two.stdout)), ("one".to_owned(), "two".to_owned()));
    let took = [it.guard("one"), it.guard("two")].iter().filter(|&&it| it == waiting).count();
    assert!(took <= 1, "both had the same process");
    it.end().await;
    keeper.await.unwrap().unwrap();
}

#[tokio::test]
async fn without_a_keeper_a_run_goes_the_ordinary_way() {
    let it = Spared::new().await;
    assert_eq!(it.run("none", "cat a").await, "one");
    let keeper = it.keeper();
    it.waits().await;
    keeper.abort();
    assert!(keeper.await.unwrap_err().is_cancelled());
    it.is_quiet().await;
    assert_eq!(it.run("aborted", "cat a").await, "one");
    // What a killed one leaves behind: a socket on which nobody listens.
    drop(tokio::net::UnixListener::bind(it.case.it.at("run/0.spare")).unwrap());
    let control = fs::read_dir(it.case.it.at("run")).unwrap().map(|it| it.unwrap().path());
    let control = control.into_iter().find(|it| it.extension().is_none()).unwrap();
    fs::rename(it.case.it.at("run/0.spare"), control.with_extension("spare")).unwrap();
    assert_eq!(it.run("dead", "cat a").await, "one");
    // A program of another version, or other settings.
    let keeper = it.keeper();
    it.waits().await;
    let mut other = it.case.it.client.settings().clone();
    other.log_bytes_max = 4096;
    let other = Client::new(other).resume(LEASE).await.unwrap().unwrap();
    let case = Case { session: other, ..it.case };
    let (_, ran) = case.run("other", "cat d/b").await;
    assert_eq!(text(&ran.stdout), "two");
    keeper.await.unwrap().unwrap();
    let it = Spared { case, mark: it.mark };
    it.end().await;
}

#[tokio::test]
async fn a_client_that_dies_before_the_last_line_starts_nothing_and_leaves_nothing() {
    let it = Spared::new().await;
    let keeper = it.keeper();
    let jobs = || fs::read_dir(it.case.it.at("box/.lease/jobs")).unwrap().count();
    let before = jobs();
    for part in ["", "lease_mode=check\nset -- 'a", "lease_mode=check\nset --\nlease-spare NAME en"]
    {
        let waiting = it.waits().await;
        let (open, name) = it.take().await;
        if !part.is_empty() {
            let mut stdin = fs::File::from(open[1].try_clone().unwrap());
            std::io::Write::write_all(&mut stdin, part.replace("NAME", &name).as_bytes()).unwrap();
        }
        drop(open);
        let gone = || !it.shells().contains(&waiting);
        assert!(lease_process::wait::until(WITHIN, EVERY, gone).await, "{part}");
    }
    assert_eq!(jobs(), before);
    it.waits().await;
    assert_eq!(it.run("after", "cat a").await, "one");
    it.end().await;
    keeper.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_session_that_dies_in_our_hands_is_replaced_by_an_ordinary_one() {
    let it = Spared::new().await;
    let keeper = it.keeper();
    let waiting = it.waits().await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(waiting).unwrap()).unwrap();
    // It takes what is written to it and does nothing, until it is killed.
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let killed = async {
        let taken = || it.shells().iter().any(|it| *it != waiting);
        assert!(lease_process::wait::until(WITHIN, EVERY, taken).await);
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    let ((), said) = tokio::join!(killed, it.run("replaced", "cat a"));
    assert_eq!(said, "one");
    assert_ne!(it.guard("replaced"), waiting);
    it.end().await;
    keeper.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_command_over_it_is_signalled_and_outlives_its_keeper() {
    let it = Spared::new().await;
    let keeper = it.keeper();
    let waiting = it.waits().await;
    let script = "trap 'echo heard; exit 9' INT; touch ../ready; while :; do sleep 0.05; done";
    let end = async {
        let ready = it.case.it.at("box/ready");
        assert!(lease_process::wait::until(WITHIN, EVERY, || ready.exists()).await);
        // Nothing of the session is the keeper's any more.
        keeper.abort();
        assert!(keeper.await.unwrap_err().is_cancelled());
        let signalled = it.case.session.signal(&it.case.it.root, "long", JobSignal::Interrupt);
        assert!(signalled.await.unwrap());
    };
    let ((), (_, ran)) = tokio::join!(end, it.case.run("long", script));
    assert_eq!((ran.code(), text(&ran.stdout), it.guard("long")), (9, "heard".to_owned(), waiting));
    it.end().await;
}

#[tokio::test]
async fn a_release_ends_the_keeper_and_a_second_one_never_comes() {
    let it = Spared::new().await;
    let (keeper, second) = (it.keeper(), it.keeper());
    it.waits().await;
    assert!(it.case.it.client.is_kept(LEASE).unwrap());
    let one = tokio::select! { one = keeper => one, two = second => two };
    one.unwrap().unwrap();
    it.waits().await;
    it.case.it.client.end_spare(LEASE).await.unwrap();
    assert!(!it.case.it.client.is_kept(LEASE).unwrap());
    it.is_quiet().await;
    assert_eq!(it.run("after", "cat a").await, "one");
    let keeper = it.keeper();
    it.waits().await;
    it.end().await;
    keeper.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_keeper_ends_by_itself_with_its_connection_and_when_nobody_wants_it() {
    let it = Spared::with(Duration::from_millis(300), "").await;
    // By time, which is short here and not measured.
    it.keeper().await.unwrap().unwrap();
    assert!(!it.case.it.client.is_kept(LEASE).unwrap());
    it.is_quiet().await;
    let it = Spared { case: it.case, mark: it.mark };
    it.end().await;
    let it = Spared::new().await;
    let keeper = it.keeper();
    it.waits().await;
    let told = lease_process::Program::new("ssh")
        .args(["-F"])
        .arg(it.case.it.at(&format!("keys/{LEASE}/config")));
    let told = told.args(["-O", "exit", LEASE]).env("PATH", "/usr/bin:/bin");
    let told = lease_process::output(&told, lease_process::Limits::default()).await.unwrap();
    assert!(told.status.success(), "{}", text(&told.stderr));
    keeper.await.unwrap().unwrap();
    it.is_quiet().await;
    it.end().await;
}

#[tokio::test]
async fn what_a_login_shell_prints_is_heard_by_nobody() {
    let noise = "ForceCommand echo hello; echo there >&2; eval \"$SSH_ORIGINAL_COMMAND\"";
    let it = Spared::with(Duration::from_secs(300), noise).await;
    let keeper = it.keeper();
    let waiting = it.waits().await;
    let (_, ran) = it.case.run("quiet", "cat a; cat d/b >&2").await;
    assert_eq!((ran.code(), text(&ran.stdout), text(&ran.stderr)), (0, "one".into(), "two".into()));
    assert_eq!(it.guard("quiet"), waiting);
    it.end().await;
    keeper.await.unwrap().unwrap();
}
