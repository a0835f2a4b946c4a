//! Jobs outlive their connection: every byte exactly once, whatever is killed, and nothing is started twice.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lease_ssh::{Command, Followed, JobState, Outcome, Relays, Session, Sinks, Until};
use rustix::process::Signal;
use tokio::io::AsyncWrite;
use tokio::sync::watch;

use crate::fixture::{Box, LEASE, sh, text, tool};

const SOON: Duration = Duration::from_secs(30);
const LINES: u64 = 1_500;
/// How many cuts at random places there are on each of four boxes; with those of the command line's tests more than 200.
const CUTS_EACH: u64 = 38;
/// In how many runs at the most.
const RUNS_MAX: usize = 60;

/// A box whose login shell reads nobody's start-up files: what they print would count as the command's.
pub(crate) async fn quiet_box() -> Box {
    Box::with("", "SetEnv HOME=/nonexistent").await
}

/// A sink that tells how much it has.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) bytes: Vec<u8>,
    count: watch::Sender<usize>,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), count: watch::Sender::new(0) }
    }
}

impl AsyncWrite for Seen {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bytes.extend_from_slice(bytes);
        self.count.send_replace(self.bytes.len());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Numbers that look random and are the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Notes each start of itself, then prints numbered lines on both streams; the last one has no end.
pub(crate) fn numbered(pause_each: u64) -> Command {
    sh(&format!(
        "echo x >>started; i=0; while [ $i -lt {LINES} ]; do echo \"out $i 0123456789abcdef\"; echo \"err $i\" >&2; \
         i=$((i+1)); [ $((i % {pause_each})) -ne 0 ] || sleep 0.01; done; printf end; printf '\\0\\377' >&2; exit 7"
    ))
}

pub(crate) fn expected() -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (String::new(), String::new());
    for number in 0..LINES {
        writeln!(out, "out {number} 0123456789abcdef").unwrap();
        writeln!(err, "err {number}").unwrap();
    }
    let mut err = err.into_bytes();
    err.extend([0, 0xff]);
    ((out + "end").into_bytes(), err)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The local process that holds the connection.
    Master,
    /// The box's end of it.
    Server,
    /// What follows the log on the box for a client that came back.
    Follower,
}

const VICTIMS: [Victim; 3] = [Victim::Server, Victim::Follower, Victim::Master];

/// Kills it, if it is there.
pub(crate) async fn kill(it: &Box, run: &str, victim: Victim) -> bool {
    let job = it.at("box/.lease/jobs").join(run);
    let word = |name: &str, at: usize| -> Option<i32> {
        fs::read_to_string(job.join(name)).ok()?.split_whitespace().nth(at)?.parse().ok()
    };
    let pid = match victim {
        Victim::Master => master(it).await,
        Victim::Server => word("start", 1).and_then(parent),
        Victim::Follower => follower(it, run),
    };
    pid.is_some_and(|pid| send(pid, Signal::KILL))
}

/// The shell that follows a run on the box: nothing else has the run's records, its name and two offsets as arguments.
fn follower(it: &Box, run: &str) -> Option<i32> {
    let records = it.at("box/.lease").display().to_string();
    let table = lease_process::ProcessTable::read().unwrap();
    let follows = |process: &lease_process::Process| {
        let argv = process.argv();
        let at = argv.iter().position(|it| it.to_string_lossy() == records);
        let is_offset = |it: &std::ffi::OsString| it.to_string_lossy().parse::<u64>().is_ok();
        at.is_some_and(|at| {
            argv.get(at + 1).is_some_and(|it| it == run)
                && argv.get(at + 2..at + 4).is_some_and(|it| it.iter().all(is_offset))
        })
    };
    table.iter().find(|it| follows(it)).map(|it| it.pid.get())
}

fn send(pid: i32, signal: Signal) -> bool {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).is_ok()
}

async fn master(it: &Box) -> Option<i32> {
    let config = it.at("keys").join(LEASE).join("config").display().to_string();
    let program = lease_process::Program::new("ssh").args(["-F", &config, "-O", "check", LEASE]);
    let said = lease_process::output(&program, lease_process::Limits::default()).await.unwrap();
    let said = text(&said.stderr);
    let digits = said.split_once("pid=")?.1;
    digits.split(|it: char| !it.is_ascii_digit()).next()?.parse().ok()
}

/// The parent, if it is the server: the job's own is gone when its server was killed before.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let parent: i32 = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{parent}/comm")).ok()?;
    name.starts_with("sshd").then_some(parent)
}

pub(crate) async fn run_to_the_end(
    session: &Session,
    place: (&lease_ssh::BoxRoot, &str),
    command: &Command,
    sinks: &mut Sinks<&mut Seen, &mut Seen>,
) -> Outcome {
    let mut outcome = session.run_into(place, command, tokio::io::empty(), sinks).await.unwrap();
    if matches!(outcome, Outcome::TransportLost { job: None, .. }) {
        outcome = session.take_up(place, Relays::End, sinks).await.unwrap();
    }
    outcome
}

/// One run with up to `cuts` cuts at random places. Returns how many there were.
pub(crate) async fn cut_at_random(it: &Box, session: &Session, seed: u64, cuts: u64) -> u64 {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let run = format!("cut-{seed}");
    let (out, err) = expected();
    let (mut to_out, mut to_err) = (Seen::new(), Seen::new());
    let mut passed_on = to_out.count.subscribe();
    drop(fs::remove_file(it.work().join("started")));
    let mut made = 0;
    {
        let mut sinks = Sinks::new(&mut to_out, &mut to_err);
        let command = numbered(5 + chance.below(5));
        let work = run_to_the_end(session, (&it.root, &run), &command, &mut sinks);
        let cutting = async {
            let mut from = 0;
            for _ in 0..cuts {
                from += chance.below(out.len() as u64 / cuts);
                let at = usize::try_from(from).unwrap();
                let first = usize::try_from(chance.below(VICTIMS.len() as u64)).unwrap();
                passed_on.wait_for(|count| *count > at).await.unwrap();
                for victim in VICTIMS.into_iter().cycle().skip(first).take(VICTIMS.len()) {
                    if kill(it, &run, victim).await {
                        made += 1;
                        break;
                    }
                }
            }
            std::future::pending::<Outcome>().await
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            outcome = cutting => outcome,
        };
        assert_eq!(outcome, Outcome::Finished(7), "seed {seed}");
        assert_eq!(sinks.missing_bytes(), 0, "seed {seed}");
    }
    assert!(to_out.bytes == out, "seed {seed}: {}", difference(&to_out.bytes, &out));
    assert!(to_err.bytes == err, "seed {seed}: {}", difference(&to_err.bytes, &err));
    assert_eq!(fs::read_to_string(it.work().join("started")).unwrap(), "x\n", "seed {seed}");
    made
}

pub(crate) fn difference(seen: &[u8], expected: &[u8]) -> String {
    let at = seen.iter().zip(expected).take_while(|(one, other)| one == other).count();
    let shown = text(&seen[at..seen.len().min(at + 200)]);
    let (seen, expected) = (seen.len(), expected.len());
    format!("{seen} of {expected} bytes, the first difference at {at}: {shown:?}")
}

#[tokio::test]
async fn every_byte_arrives_once_whatever_is_killed_i15() {
    let on_one_box = async |first_seed: u64| {
        let it = quiet_box().await;
        drop(it.ready().await);
        let mut made = 0;
        // On a fast machine a run offers more places for a cut than on a slow one.
        for seed in (first_seed..).take(RUNS_MAX) {
            // The last cut of the run before may have come after its end.
            let session = it.connect().await;
            made += cut_at_random(&it, &session, seed, 5).await;
            if made >= CUTS_EACH {
                break;
            }
        }
        it.end().await;
        made
    };
    // The commands sleep most of the time, so several at once take no longer than one.
    let made = tokio::join!(on_one_box(100), on_one_box(200), on_one_box(300), on_one_box(400));
    let made = [made.0, made.1, made.2, made.3];
    println!("{made:?} cuts");
    assert!(made.iter().all(|it| *it >= CUTS_EACH), "too few cuts met their victim: {made:?}");
}

#[tokio::test]
async fn a_run_is_followed_again_from_any_byte() {
    let it = quiet_box().await;
    let session = it.ready().await;
    let place = (&it.root, "r");
    let (out, err) = expected();
    assert_eq!(it.run(&session, "r", &numbered(5_000), b"").await.code(), 7);
    assert_eq!(session.logged(&it.root, "r").await.unwrap(), (out.len() as u64, err.len() as u64));
    for from in [0, 1, 8_191, out.len() - 1, out.len()] {
        let (mut to_out, mut to_err) = (Vec::new(), Vec::new());
        let mut sinks = Sinks::after((&mut to_out, &mut to_err), (from as u64, 3));
        let followed =
            session.follow(place, (Relays::Leave, Until::End), &mut sinks).await.unwrap();
        assert_eq!(followed, Followed::Ended(7));
        assert!(to_out == out[from..] && to_err == err[3..], "from {from}");
    }
    let nobody = &mut Sinks::new(tokio::io::sink(), tokio::io::sink());
    let followed = session.follow((&it.root, "other"), (Relays::Leave, Until::End), nobody).await;
    assert_eq!(followed.unwrap(), Followed::Nothing(JobState::Absent));
    it.end().await;
}

#[tokio::test]
async fn what_is_there_is_fetched_while_the_command_goes_on() {
    let it = quiet_box().await;
    let session = it.ready().await;
    let command = sh("echo first; while [ ! -e go ]; do sleep 0.05; done; echo last; exit 3");
    let live = it.run(&session, "r", &command, b"");
    let looking = async {
        let mut seen = Vec::new();
        while seen.is_empty() {
            let mut sinks = Sinks::new(&mut seen, tokio::io::sink());
            let followed =
                session.follow((&it.root, "r"), (Relays::Leave, Until::Now), &mut sinks).await;
            assert!(matches!(
                followed.unwrap(),
                Followed::Running | Followed::Nothing(JobState::Absent)
            ));
        }
        assert_eq!(text(&seen), "first");
        fs::write(it.work().join("go"), "").unwrap();
    };
    let (ran, ()) = tokio::join!(live, looking);
    // Whoever only looked took nothing from the one that it belongs to.
    assert_eq!((ran.code(), text(&ran.stdout)), (3, "first\nlast".to_owned()));
    it.end().await;
}

#[tokio::test]
async fn a_command_that_has_only_just_begun_is_followed() {
    let it = quiet_box().await;
    let session = it.ready().await;
    let job = it.at("box/.lease/jobs/r");
    let (start, status) = (job.join("start"), job.join("exit"));
    fs::create_dir_all(&job).unwrap();
    // The box's shell gets as far as to its status, which it cannot put into a pipe that nobody reads.
    tool("mkfifo", &[&status.display().to_string()]).await;
    let looking = async {
        until(|| fs::metadata(&start).is_ok_and(|it| it.len() > 0)).await;
        let how = (Relays::Leave, Until::Now);
        let mut sinks = Sinks::new(tokio::io::sink(), tokio::io::sink());
        let followed = session.follow((&it.root, "r"), how, &mut sinks).await;
        // Opened for both, it waits for nobody, and keeps what is written to it.
        let open = fs::OpenOptions::new().read(true).write(true).open(&status).unwrap();
        fs::write(it.work().join("go"), "").unwrap();
        (followed.unwrap(), open)
    };
    let command = sh("while [ ! -e go ]; do sleep 0.05; done; echo last; exit 3");
    let (ran, (followed, _open)) = tokio::join!(it.run(&session, "r", &command, b""), looking);
    assert_eq!(followed, Followed::Running);
    assert_eq!((ran.code(), text(&ran.stdout)), (3, "last".to_owned()));
    it.end().await;
}

#[tokio::test]
async fn a_stalled_reader_loses_nothing_and_a_stalled_channel_is_taken_away() {
    const BYTES: usize = 6_000_000;
    let it = quiet_box().await;
    let session = it.ready().await;
    let command = sh(&format!("echo x >>started; head -c {BYTES} /dev/zero; : >done; exit 5"));
    let streams = lease_ssh::Streams::default();
    let mut running = session.start(&it.root, "r", &command, streams).await.unwrap();
    // Nobody reads, so the command fills every buffer on the way and waits.
    let stalled = running.take_stdout().unwrap();
    let log = it.at("box/.lease/jobs/r/out");
    until(|| fs::metadata(&log).is_ok_and(|it| it.len() > 65_536)).await;
    assert!(!it.work().join("done").exists());
    let mut late = Vec::new();
    let mut sinks = Sinks::new(&mut late, tokio::io::sink());
    let followed = session.follow((&it.root, "r"), (Relays::End, Until::End), &mut sinks).await;
    assert_eq!((followed.unwrap(), late.len()), (Followed::Ended(5), BYTES));
    drop(stalled);
    drop(running);
    assert_eq!(fs::read_to_string(it.work().join("started")).unwrap(), "x\n");
    it.end().await;
}

/// The network is cut: nothing is refused and nothing arrives, until ssh gives the connection up after a minute.
#[tokio::test]
async fn a_connection_that_goes_silent_for_a_minute_is_replaced() {
    const BYTES: usize = 6_000_000;
    let it = quiet_box().await;
    let session = it.ready().await;
    let script = "echo x >>started; echo first; while [ ! -e go ]; do sleep 0.05; done; \
                  head -c 6000000 /dev/zero; : >done; exit 5";
    let (mut out, mut err) = (Seen::new(), Seen::new());
    let mut seen = out.count.subscribe();
    let silent = {
        let mut sinks = Sinks::new(&mut out, &mut err);
        let command = sh(script);
        let work = run_to_the_end(&session, (&it.root, "r"), &command, &mut sinks);
        let cutting = async {
            seen.wait_for(|count| *count > 0).await.unwrap();
            let start = fs::read_to_string(it.at("box/.lease/jobs/r/start")).unwrap();
            let server = parent(start.split(' ').nth(1).unwrap().parse().unwrap()).unwrap();
            assert!(send(server, Signal::STOP));
            fs::write(it.work().join("go"), "").unwrap();
            server
        };
        let (outcome, silent) = tokio::join!(work, cutting);
        assert_eq!(outcome, Outcome::Finished(5));
        silent
    };
    // It is still there, so what the command wrote to it had to be taken away for the command to end.
    assert!(send(silent, Signal::KILL));
    assert_eq!(out.bytes.len(), "first\n".len() + BYTES);
    assert_eq!(fs::read_to_string(it.work().join("started")).unwrap(), "x\n");
    it.end().await;
}

#[tokio::test]
async fn long_and_binary_lines_are_exact_after_a_cut() {
    let it = quiet_box().await;
    let session = it.ready().await;
    // 64 KiB lines with NUL bytes; the last has no end.
    let script = "i=0; while [ $i -lt 40 ]; do printf '%03d\\0\\377' $i; head -c 65530 /dev/zero | tr '\\0' '\\1'; echo; \
                  i=$((i+1)); sleep 0.005; done; printf tail";
    let mut expected = Vec::new();
    for number in 0..40 {
        expected.extend(format!("{number:03}").bytes());
        expected.extend([0, 0xff]);
        expected.resize(expected.len() + 65_530, 1);
        expected.push(b'\n');
    }
    expected.extend(b"tail");
    let (mut out, mut err) = (Seen::new(), Seen::new());
    let mut seen = out.count.subscribe();
    {
        let mut sinks = Sinks::new(&mut out, &mut err);
        let command = sh(script);
        let work = run_to_the_end(&session, (&it.root, "r"), &command, &mut sinks);
        let cutting = async {
            seen.wait_for(|count| *count > 1_000_000).await.unwrap();
            assert!(kill(&it, "r", Victim::Master).await);
        };
        let (outcome, ()) = tokio::join!(work, cutting);
        assert_eq!(outcome, Outcome::Finished(0));
    }
    assert!(out.bytes == expected, "{}", difference(&out.bytes, &expected));
    it.end().await;
}

#[tokio::test]
async fn signals_reach_a_command_that_was_taken_up() {
    let it = quiet_box().await;
    let session = it.ready().await;
    let command = sh("trap 'echo heard; exit 9' INT; echo ready; while :; do sleep 0.05; done");
    let (mut out, mut err) = (Seen::new(), Seen::new());
    let mut seen = out.count.subscribe();
    {
        let mut sinks = Sinks::new(&mut out, &mut err);
        let work = run_to_the_end(&session, (&it.root, "r"), &command, &mut sinks);
        let cutting = async {
            seen.wait_for(|count| *count > 0).await.unwrap();
            assert!(kill(&it, "r", Victim::Server).await);
            loop {
                let sent = session.signal(&it.root, "r", lease_ssh::JobSignal::Interrupt).await;
                if matches!(sent, Ok(true)) {
                    break;
                }
                lease_core::retry::pause(Duration::from_millis(20)).await;
            }
        };
        let (outcome, ()) = tokio::join!(work, cutting);
        assert_eq!(outcome, Outcome::Finished(9));
    }
    assert_eq!(text(&out.bytes), "ready\nheard");
    it.end().await;
}

pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    assert!(
        lease_process::wait::until(SOON, Duration::from_millis(10), &mut condition).await,
        "it did not happen"
    );
}

#[tokio::test]
async fn a_command_that_nobody_waits_for_goes_on_and_is_fetched_later() {
    let it = quiet_box().await;
    let session = it.ready().await;
    let streams = lease_ssh::Streams {
        stdin: lease_ssh::Input::Null,
        stdout: lease_ssh::Sink::Null,
        stderr: lease_ssh::Sink::Null,
    };
    let running = session.start(&it.root, "r", &numbered(100), streams).await.unwrap();
    until(|| it.work().join("started").exists()).await;
    drop(running);
    session.clone().close().await.unwrap();
    let (out, err) = expected();
    let (mut to_out, mut to_err) = (Vec::new(), Vec::new());
    {
        let mut sinks = Sinks::new(&mut to_out, &mut to_err);
        assert_eq!(
            session.take_up((&it.root, "r"), Relays::End, &mut sinks).await.unwrap(),
            Outcome::Finished(7)
        );
    }
    assert!(to_out == out && to_err == err);
    assert_eq!(fs::read_to_string(it.work().join("started")).unwrap(), "x\n");
    it.end().await;
}

#[tokio::test]
async fn nobody_follows_for_somebody_who_has_gone() {
    let it = quiet_box().await;
    let session = it.ready().await;
    let command = sh("echo $$ >pid.tmp; mv pid.tmp pid; while [ ! -e go ]; do sleep 0.05; done");
    let live = it.run(&session, "r", &command, b"");
    let following = async {
        until(|| it.work().join("pid").exists()).await;
        let followers = || follower(&it, "r").is_some();
        let mut nobody = Sinks::new(tokio::io::sink(), tokio::io::sink());
        let follow = session.follow((&it.root, "r"), (Relays::Leave, Until::End), &mut nobody);
        let begun = async {
            while !followers() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            followed = follow => panic!("{followed:?}"),
            () = begun => {}
        }
        until(|| !followers()).await;
        fs::write(it.work().join("go"), "").unwrap();
    };
    let (ran, ()) = tokio::join!(live, following);
    assert_eq!(ran.code(), 0);
    it.end().await;
}
