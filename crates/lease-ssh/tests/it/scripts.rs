//! What runs on the box, run by every kind of shell that a box may have.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use lease_process::{Input, Limits, Output, Program, Stream, output};

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use crate::fixture::{text, tool};

const WRAPPER: &str = concat!(
    include_str!("../../src/run/alive.sh"),
    include_str!("../../src/run/itself.sh"),
    include_str!("../../src/run/wrapper.sh")
);
const FOLLOW: &str =
    concat!(include_str!("../../src/run/alive.sh"), include_str!("../../src/run/follow.sh"));
const STATE: &str =
    concat!(include_str!("../../src/run/alive.sh"), include_str!("../../src/run/state.sh"));
const CLOSE: &str =
    concat!(include_str!("../../src/run/alive.sh"), include_str!("../../src/run/close.sh"));
const CANCEL: &str = concat!(
    include_str!("../../src/run/alive.sh"),
    include_str!("../../src/run/cancel.sh"),
    include_str!("../../src/run/state.sh")
);
/// What is before the output of a command, on both streams.
const BEGINNING: &[u8] = b"lease-1 nonce started\n";

/// Every program that the scripts use.
const PROGRAMS: [&str; 14] = [
    "mkdir", "tee", "cat", "dd", "wc", "sleep", "rm", "mv", "find", "ls", "seq", "head", "kill",
    "true",
];

/// The programs of a box, and a directory for its records.
struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    /// `shell` is a program that is a shell when it is called `sh`; with busybox, so is everything else.
    fn new(shell: &str, without: &[&str]) -> Self {
        let it = Self { directory: tempfile::Builder::new().prefix("lssh").tempdir().unwrap() };
        for name in ["bin", "box/.lease"] {
            fs::create_dir_all(it.at(name)).unwrap();
        }
        let found = |name: &str| {
            ["/bin", "/usr/bin"]
                .map(|it| PathBuf::from(it).join(name))
                .into_iter()
                .find(|it| it.exists())
        };
        let of =
            |name: &str| if shell == "busybox" { "busybox".to_owned() } else { name.to_owned() };
        symlink(found(shell).unwrap(), it.at("bin/sh")).unwrap();
        for name in PROGRAMS.iter().filter(|it| !without.contains(it)) {
            if let Some(program) = found(&of(name)) {
                symlink(program, it.at("bin").join(name)).unwrap();
            }
        }
        it
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn program(&self, script: &str, args: &[&str]) -> Program {
        let records = self.at("box/.lease").display().to_string();
        Program::new(self.at("bin/sh"))
            .env("PATH", self.at("bin"))
            .args(["-c", script, "lease", &records])
            .args(args.iter().copied())
    }

    /// Runs the wrapper with a limit of the log in blocks of 512 bytes.
    async fn run(&self, run: &str, blocks: u32, command: &str) -> Output {
        let work = self.at("box/work").display().to_string();
        let script = WRAPPER.replace("blocks=131072", &format!("blocks={blocks}"));
        let args = [work.as_str(), run, "nonce", "", "", "sh", "-c", command];
        let ran = output(&self.program(&script, &args), Limits::default()).await.unwrap();
        if ran.status.shell_code() == 222 { ran } else { behind_the_beginning(ran) }
    }

    async fn follow(&self, run: &str, offsets: [&str; 2]) -> Output {
        // The input stays open, as a connection's does.
        let (input, held) = std::io::pipe().unwrap();
        let program = self.program(FOLLOW, &[run, offsets[0], offsets[1], "take", "", "nonce"]);
        let program = program.stdin(Input::File(Arc::new(File::from(OwnedFd::from(input)))));
        let ended = output(&program, Limits::default()).await.unwrap();
        drop(held);
        behind_the_beginning(ended)
    }

    async fn state(&self, run: &str) -> String {
        text(&output(&self.program(STATE, &[run, ""]), Limits::default()).await.unwrap().stdout)
    }
}

/// The output without the lines that it begins behind.
fn behind_the_beginning(mut ended: Output) -> Output {
    for stream in [&mut ended.stdout, &mut ended.stderr] {
        assert!(stream.starts_with(BEGINNING), "{}", text(stream));
        stream.drain(..BEGINNING.len());
    }
    ended
}

/// What `seq 30000` prints.
fn numbers() -> String {
    let lines: Vec<_> = (1..=30_000).map(|it| format!("{it}\n")).collect();
    lines.concat()
}

const SHELLS: [&str; 3] = ["dash", "bash", "busybox"];

#[tokio::test]
async fn every_shell_runs_logs_and_follows_alike() {
    for shell in SHELLS {
        let it = Machine::new(shell, &[]);
        let command = "seq 30000; echo err >&2; printf '\\0\\377'; exit 7";
        let live = it.run("r", 131_072, command).await;
        let code = |ended: &Output| ended.status.shell_code();
        assert_eq!((code(&live), text(&live.stderr).as_str()), (7, "err"), "{shell}");
        assert!(live.stdout.ends_with(b"30000\n\0\xff"), "{shell}");
        for from in [0, 1, 100_000, live.stdout.len()] {
            let followed = it.follow("r", [&from.to_string(), "1"]).await;
            assert_eq!((code(&followed), text(&followed.stderr).as_str()), (7, "rr"), "{shell}");
            assert!(followed.stdout == live.stdout[from..], "{shell} from {from}");
        }
        // A second attempt with the same id starts nothing.
        let again = it.run("r", 131_072, command).await;
        assert_eq!((code(&again), again.stdout.as_slice()), (222, b"".as_slice()), "{shell}");
        let killed = it.run("k", 131_072, "echo out; kill -9 $$").await;
        assert_eq!((code(&killed), text(&killed.stdout).as_str()), (137, "out"), "{shell}");
        assert_eq!(text(&killed.stderr), "", "{shell}: the shell's own words are the command's");
    }
}

/// The wrapper, whose standard output is `to`.
fn printing_to(it: &Machine, to: OwnedFd, (run, command): (&str, &str)) -> Program {
    let work = it.at("box/work").display().to_string();
    let args = [work.as_str(), run, "nonce", "", "", "sh", "-c", command];
    it.program(WRAPPER, &args).stdout(Stream::File(Arc::new(File::from(to))))
}

#[tokio::test]
async fn a_reader_that_goes_is_not_noticed_by_the_command() {
    for shell in SHELLS {
        let it = Machine::new(shell, &[]);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let program = printing_to(&it, writer.into(), ("r", "seq 30000; exit 5"));
        let ended = output(&program, Limits::default()).await.unwrap();
        assert_eq!(ended.status.shell_code(), 5, "{shell}");
        assert!(it.state("r").await.contains("exit=5"), "{shell}");
        let followed = it.follow("r", ["0", "0"]).await;
        assert!(followed.stdout == numbers().as_bytes(), "{shell}: {}", followed.stdout.len());
        assert!(!it.at("box/.lease/jobs/r/out.relay").exists(), "{shell}: a process too many");
    }
}

/// A channel that is no pipe cannot be opened a second time, so a process of its own relays to it.
#[tokio::test]
async fn a_relay_that_dies_is_not_noticed_by_the_command() {
    for shell in SHELLS {
        let it = Machine::new(shell, &[]);
        let (reader, writer) = UnixStream::pair().unwrap();
        drop(reader);
        let program = printing_to(&it, writer.into(), ("r", "seq 30000; exit 5"));
        let ended = output(&program, Limits::default()).await.unwrap();
        // The asker is told to look at the record.
        assert_eq!(ended.status.shell_code(), 222, "{shell}");
        let state = it.state("r").await;
        assert!(state.contains("exit=5") && state.contains("unrelayed="), "{shell}: {state}");
        let followed = it.follow("r", ["0", "0"]).await;
        let whole = numbers();
        assert!(followed.stdout == whole.as_bytes(), "{shell}: {}", followed.stdout.len());
    }
}

/// What a connection does that is silent and not known to be dead. It holds a pipe's 64 KiB, or a socket's few hundred.
#[tokio::test]
async fn whoever_comes_back_takes_the_place_of_a_reader_that_hangs() {
    for shell in SHELLS {
        for is_pipe in [true, false] {
            let it = Machine::new(shell, &[]);
            let (hangs, to): (OwnedFd, OwnedFd) = if is_pipe {
                let (reader, writer) = std::io::pipe().unwrap();
                (reader.into(), writer.into())
            } else {
                let (reader, writer) = UnixStream::pair().unwrap();
                (reader.into(), writer.into())
            };
            let command = "i=0; while [ $i -lt 9 ]; do seq 30000; i=$((i+1)); done; exit 5";
            let program = printing_to(&it, to, ("r", command));
            let logged = it.at("box/.lease/jobs/r/out");
            let running = lease_process::spawn(&program).unwrap();
            drop(program);
            let began = lease_process::wait::until(
                std::time::Duration::from_secs(20),
                std::time::Duration::from_millis(10),
                || fs::metadata(&logged).is_ok_and(|it| it.len() > 0),
            );
            assert!(began.await, "{shell}: nothing is logged");
            let followed = it.follow("r", ["0", "0"]).await;
            let whole = numbers().repeat(9);
            assert!(followed.stdout == whole.as_bytes(), "{shell}: {}", followed.stdout.len());
            assert_eq!(followed.status.shell_code(), 5, "{shell}");
            assert_eq!(running.wait().await.unwrap().shell_code(), 222, "{shell}");
            drop(hangs);
        }
    }
}

/// Whoever comes next waits for the look at what a command left; its own client does not.
#[tokio::test]
async fn a_command_has_ended_before_anybody_has_looked_at_what_it_left() {
    for shell in SHELLS {
        for without in [[].as_slice(), &["tee"]] {
            let it = Machine::new(shell, without);
            let sync = it.at("box/.lease/sync");
            fs::create_dir_all(&sync).unwrap();
            let held = sync.join("held");
            tool("mkfifo", &[&held.display().to_string()]).await;
            fs::write(sync.join("look"), "read -r _ <\"$1/held\"; rm -f \"$2\"\n").unwrap();
            let work = it.at("box/work").display().to_string();
            let args = [work.as_str(), "r", "nonce", "", "cnewer", "sh", "-c", "echo out; exit 5"];
            let (reader, writer) = std::io::pipe().unwrap();
            let program = it.program(WRAPPER, &args).stderr(Stream::Null);
            let program = program.stdout(Stream::File(Arc::new(File::from(OwnedFd::from(writer)))));
            let running = lease_process::spawn(&program).unwrap();
            drop(program);
            let mut reader = Receiver::from_owned_fd(reader.into()).unwrap();
            let mut printed = Vec::new();
            let read = reader.read_to_end(&mut printed);
            let read = tokio::time::timeout(std::time::Duration::from_secs(20), read).await;
            read.expect("the look holds the stream").unwrap();
            assert_eq!(&printed[BEGINNING.len()..], b"out\n", "{shell}");
            let mark = sync.join("open.r");
            assert_eq!(fs::read_to_string(&mark).unwrap(), "look -\n", "{shell}");
            let held = tokio::fs::write(&held, "\n");
            tokio::time::timeout(std::time::Duration::from_secs(20), held).await.unwrap().unwrap();
            let looked = lease_process::wait::until(
                std::time::Duration::from_secs(20),
                std::time::Duration::from_millis(10),
                || !mark.exists(),
            );
            assert!(looked.await, "{shell}: nobody looked");
            assert_eq!(running.wait().await.unwrap().shell_code(), 5, "{shell}");
        }
    }
}

/// Nobody knows how much of it the reader had, so it is told as missing.
#[tokio::test]
async fn what_is_beyond_the_log_is_counted_when_its_reader_has_gone() {
    for shell in SHELLS {
        let it = Machine::new(shell, &[]);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let script = WRAPPER.replace("blocks=131072", "blocks=8");
        let work = it.at("box/work").display().to_string();
        let args = [work.as_str(), "r", "nonce", "", "", "sh", "-c", "seq 5000; exit 5"];
        let program = it.program(&script, &args);
        let program = program.stdout(Stream::File(Arc::new(File::from(OwnedFd::from(writer)))));
        let ended = output(&program, Limits::default()).await.unwrap();
        assert_eq!(ended.status.shell_code(), 222, "{shell}");
        let state = it.state("r").await;
        let dropped = state.lines().find_map(|it| it.strip_prefix("out_dropped="));
        let dropped: u64 = dropped.expect("what is missing").parse().unwrap();
        assert!(dropped > 0, "{shell}: {state}");
    }
}

#[tokio::test]
async fn at_its_limit_the_log_ends_and_the_stream_does_not() {
    for shell in SHELLS {
        let it = Machine::new(shell, &[]);
        let live = it.run("r", 8, "seq 30000; exit 5").await;
        let whole = numbers();
        assert_eq!(live.status.shell_code(), 5, "{shell}");
        assert!(live.stdout == whole.as_bytes(), "{shell}: {}", live.stdout.len());
        assert_eq!(fs::metadata(it.at("box/.lease/jobs/r/out")).unwrap().len(), 4096, "{shell}");
        let followed = it.follow("r", ["0", "0"]).await;
        assert_eq!(followed.status.shell_code(), 222, "{shell}");
        assert!(followed.stdout == whole.as_bytes()[..4096], "{shell}");
        let state = it.state("r").await;
        let value = |name: &str| -> Option<usize> {
            let found = state.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
            found.map(|it| it.parse().unwrap())
        };
        assert_eq!(value("out_logged"), Some(4096), "{shell}: {state}");
        // What one read took across the limit is not counted, and not every `dd` counts bytes.
        match value("out_beyond") {
            Some(beyond) => {
                assert!((65_536 + 4096 + beyond) >= whole.len() && beyond < whole.len(), "{shell}");
            }
            None => assert_eq!(shell, "busybox", "{state}"),
        }
    }
}

#[tokio::test]
async fn a_stream_that_nobody_wants_is_closed_for_the_command() {
    for shell in SHELLS {
        let it = Machine::new(shell, &[]);
        let work = it.at("box/work").display().to_string();
        let command = "while echo y; do :; done 2>/dev/null; exit 9";
        let args = [work.as_str(), "r", "nonce", "", "", "sh", "-c", command];
        let program = it.program(WRAPPER, &args).stdout(Stream::Null);
        let endless = async { output(&program, Limits::default()).await.unwrap() };
        let closing = async {
            let closed = output(&it.program(CLOSE, &["r", "out"]), Limits::default()).await;
            assert_eq!(text(&closed.unwrap().stdout), "closed", "{shell}");
        };
        let (ended, ()) = tokio::join!(endless, closing);
        assert!(matches!(ended.status.shell_code(), 9 | 141), "{shell}: {}", ended.status);
    }
}

#[tokio::test]
async fn without_tee_a_command_runs_and_nothing_is_logged() {
    for shell in SHELLS {
        // A shell of busybox has its own `tee`, whatever the path says.
        if shell == "busybox" {
            continue;
        }
        let it = Machine::new(shell, &["tee"]);
        let live = it.run("r", 8, "seq 30000; echo err >&2; exit 5").await;
        assert_eq!((live.status.shell_code(), text(&live.stderr).as_str()), (5, "err"), "{shell}");
        assert_eq!(live.stdout.len(), 168_894, "{shell}");
        let state = it.state("r").await;
        assert!(state.contains("exit=5") && !state.contains("logged="), "{shell}: {state}");
        assert_eq!(it.follow("r", ["0", "0"]).await.status.shell_code(), 222, "{shell}");
    }
}

#[tokio::test]
async fn old_logs_go_and_what_happened_stays() {
    for shell in SHELLS {
        let it = Machine::new(shell, &[]);
        let jobs = it.at("box/.lease/jobs");
        let hour_ago = std::time::SystemTime::UNIX_EPOCH;
        for number in 0..80 {
            let job = jobs.join(format!("old{number}"));
            fs::create_dir_all(&job).unwrap();
            for name in ["start", "exit", "out", "err"] {
                fs::write(job.join(name), "=3\n").unwrap();
            }
            let end = File::create(job.join("end")).unwrap();
            if number >= 10 {
                end.set_modified(hour_ago).unwrap();
            }
        }
        // One runs, and one was killed without a word.
        for (name, pid) in [("running", std::process::id()), ("killed", 0x7fff_ffff)] {
            fs::create_dir_all(jobs.join(name)).unwrap();
            fs::write(jobs.join(name).join("start"), format!("nonce {pid} \n")).unwrap();
            fs::write(jobs.join(name).join("out"), "").unwrap();
        }
        let work = it.at("box/work").display().to_string();
        let args = [work.as_str(), "r", "nonce", "", "", "sh", "-c", "exit 0"];
        let program = it.program(WRAPPER, &args).stdout(Stream::Null).stderr(Stream::Null);
        // What sweeps goes on after the answer, in the group that is ended with this value.
        let wrapper = lease_process::spawn(&program).unwrap();
        let names = || fs::read_dir(&jobs).unwrap().map(|it| it.unwrap().path());
        let count = || names().filter(|it| it.join("out").exists()).count();
        let swept = lease_process::wait::until(
            std::time::Duration::from_secs(20),
            std::time::Duration::from_millis(10),
            || count() == 49,
        );
        assert!(swept.await, "{shell}: {} are left", count());
        assert_eq!(wrapper.wait().await.unwrap().shell_code(), 0, "{shell}");
        assert_eq!(names().count(), 83, "{shell}: a guard is gone");
        assert!(jobs.join("old3/out").exists(), "{shell}");
        assert!(jobs.join("running/out").exists() && !jobs.join("running/end").exists());
        assert!(jobs.join("killed/end").exists(), "{shell}: it would stay for ever");
        let gone = names().find(|it| it.join("swept").exists()).unwrap();
        let gone = gone.file_name().unwrap().to_str().unwrap().to_owned();
        let state = it.state(&gone).await;
        assert!(state.contains("exit=3") && state.contains("swept="), "{shell}: {state}");
        assert_eq!(it.run(&gone, 8, "touch ../again").await.status.shell_code(), 222, "{shell}");
        assert!(!it.at("box/again").exists(), "{shell}: it was started again");
    }
}

#[tokio::test]
async fn a_run_that_was_cancelled_never_starts() {
    for shell in SHELLS {
        let it = Machine::new(shell, &[]);
        let cancel = async |run: &str| {
            let said = output(&it.program(CANCEL, &[run, "other"]), Limits::default()).await;
            text(&said.unwrap().stdout)
        };
        assert!(cancel("r").await.contains("why=it was cancelled"), "{shell}");
        assert!(cancel("r").await.contains("why=it was cancelled"), "{shell}");
        assert_eq!(it.run("r", 8, "touch ../started").await.status.shell_code(), 222, "{shell}");
        assert!(!it.at("box/started").exists(), "{shell}");
        assert_eq!(it.run("s", 8, "exit 4").await.status.shell_code(), 4, "{shell}");
        let said = cancel("s").await;
        assert!(said.contains("exit=4") && !said.contains("why="), "{shell}: {said}");
    }
}

/// A shell that reads byte after byte may have read blanks before the status was written over them.
#[tokio::test]
async fn a_status_that_is_just_being_written_is_none_yet() {
    for shell in SHELLS {
        let it = Machine::new(shell, &[]);
        let job = it.at("box/.lease/jobs/r");
        fs::create_dir_all(&job).unwrap();
        fs::write(job.join("start"), "nonce 2147483647 1\n").unwrap();
        for torn in ["", "        ", " \n", " 37\n      ", "=\n", "=1"] {
            fs::write(job.join("exit"), torn).unwrap();
            let state = it.state("r").await;
            assert!(state.contains("nonce=") && !state.contains("exit="), "{shell}: {torn:?}");
        }
        fs::write(job.join("exit"), "=137\n   ").unwrap();
        assert!(it.state("r").await.lines().any(|it| it == "exit=137"), "{shell}");
    }
}
