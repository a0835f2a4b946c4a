//! Running commands: exact words, exact streams, exact codes, at most once.

use std::fs;
use std::time::Duration;

use lease_process::{Limits, Program, output, wait};
use lease_ssh::{Command, Input, JobSignal, JobState, Outcome, Sink, Streams};
use tokio::io::AsyncReadExt as _;

use crate::fixture::{Box, LEASE, sh, text};

const SOON: Duration = Duration::from_secs(30);

async fn until(mut condition: impl FnMut() -> bool) {
    assert!(
        wait::until(SOON, Duration::from_millis(10), &mut condition).await,
        "it did not happen"
    );
}

#[tokio::test]
async fn codes_are_exact() {
    let it = Box::new().await;
    let session = it.ready().await;
    fs::create_dir(it.work().join("directory")).unwrap();
    fs::write(it.work().join("plain"), "x").unwrap();
    let cases: [(&str, Command, i32); 15] = [
        ("zero", sh("exit 0"), 0),
        ("seven", sh("exit 7"), 7),
        ("transport", sh("exit 255"), 255),
        ("reserved", sh("exit 222"), 222),
        ("c126", sh("exit 126"), 126),
        ("c127", sh("exit 127"), 127),
        ("kill", sh("kill -9 $$"), 137),
        ("term", sh("kill -TERM $$"), 143),
        ("group", sh("kill -9 0"), 137),
        ("pipe", sh("kill -PIPE $$"), 141),
        ("missing", Command::new(["nosuchbinary"]), 127),
        ("hyphen", Command::new(["-x"]), 127),
        ("builtin", Command::new(["export"]), 127),
        ("directory", Command::new(["./directory"]), 126),
        ("plain", Command::new(["./plain"]), 126),
    ];
    for (run, command, code) in cases {
        let ran = it.run(&session, run, &command, b"").await;
        assert_eq!(ran.code(), code, "{run}: {ran:?}");
        assert_eq!(session.job(&it.root, run).await.unwrap(), job_of(run, code), "{run}");
        if matches!(run, "kill" | "term" | "seven") {
            assert_eq!(text(&ran.stderr), "", "{run}: the shell's own words are not the command's");
        }
        if matches!(run, "missing" | "directory") {
            assert_ne!(text(&ran.stderr), "", "{run}: the reason is not told");
        }
    }
    it.end().await;
}

fn job_of(run: &str, code: i32) -> JobState {
    if run == "group" { JobState::Killed } else { JobState::Finished(code) }
}

#[tokio::test]
async fn words_arrive_byte_for_byte() {
    let it = Box::new().await;
    let session = it.ready().await;
    let long = vec![b'x'; 60_000];
    let words: [&[u8]; 12] = [
        b"a b",
        b"",
        b"'",
        b"\"",
        b"a\nb\n",
        b"$HOME `id` $(id)",
        b"\\",
        b"*",
        b"-n",
        b"\xff\xfe",
        b"\x01\x7f!",
        &long,
    ];
    for (run, repeat) in [("short", 1), ("long", 5)] {
        let mut argv = vec![b"printf".to_vec(), b"%s\\0".to_vec()];
        let mut expect = Vec::new();
        for word in words.iter().cycle().take(words.len() * repeat) {
            argv.push(word.to_vec());
            expect.extend_from_slice(word);
            expect.push(0);
        }
        let ran = it.run(&session, run, &Command::new(argv), b"").await;
        assert_eq!(ran.code(), 0, "{run}");
        assert!(ran.stdout == expect, "{run}: {} of {} bytes", ran.stdout.len(), expect.len());
    }
    it.end().await;
}

#[tokio::test]
async fn streams_are_separate_and_binary() {
    let it = Box::new().await;
    let session = it.ready().await;
    let every: Vec<u8> = (0..=255).cycle().take(3 * 1024 * 1024 + 17).collect();
    let ran = it.run(&session, "cat", &sh("cat; printf '\\001\\377' >&2"), &every).await;
    assert_eq!((ran.code(), ran.stderr.as_slice()), (0, b"\x01\xff".as_slice()));
    assert!(ran.stdout == every);
    it.end().await;
}

#[tokio::test]
async fn a_hundred_megabytes_arrive_whole() {
    const BYTES: usize = 100 * 1024 * 1024;
    let it = Box::new().await;
    let session = it.ready().await;
    let script = "head -c 104857600 /dev/urandom | tee whole";
    let streams = Streams { stdout: Sink::Pipe, stderr: Sink::Null, stdin: Input::Null };
    let mut running = session.start(&it.root, "big", &sh(script), streams).await.unwrap();
    let path = it.at("received");
    let mut file = tokio::fs::File::create(&path).await.unwrap();
    let mut stdout = running.take_stdout().unwrap();
    let (copied, outcome) = tokio::join!(tokio::io::copy(&mut stdout, &mut file), running.wait());
    assert_eq!(outcome.unwrap(), Outcome::Finished(0));
    file.sync_all().await.unwrap();
    assert_eq!(copied.unwrap(), BYTES as u64);
    let paths = [path.display().to_string(), it.work().join("whole").display().to_string()];
    assert!(
        output(&Program::new("cmp").args(paths), Limits::default()).await.unwrap().status.success()
    );
    it.end().await;
}

/// ssh's connection process drops what it has not delivered when the asker leaves with the status.
#[tokio::test]
async fn output_that_is_read_late_is_whole() {
    const BYTES: usize = 1_000_000;
    let it = Box::new().await;
    let session = it.ready().await;
    for sink_is_open in [false, true] {
        let run = format!("late-{sink_is_open}");
        let (reader, writer) = std::io::pipe().unwrap();
        let stdout = if sink_is_open { Sink::Open(writer.into()) } else { Sink::Pipe };
        let streams = Streams { stdin: Input::Null, stdout, stderr: Sink::Null };
        let command = sh(&format!("head -c {BYTES} /dev/zero"));
        let mut running = session.start(&it.root, &run, &command, streams).await.unwrap();
        let taken = running.take_stdout();
        let waiting = tokio::spawn(running.wait());
        while session.job(&it.root, &run).await.unwrap() != JobState::Finished(0) {}
        let mut received = Vec::new();
        if let Some(mut taken) = taken {
            taken.read_to_end(&mut received).await.unwrap();
        } else {
            received = tokio::task::spawn_blocking(move || {
                let mut received = Vec::new();
                std::io::Read::read_to_end(&mut { reader }, &mut received).unwrap();
                received
            })
            .await
            .unwrap();
        }
        assert_eq!(
            (waiting.await.unwrap().unwrap(), received.len()),
            (Outcome::Finished(0), BYTES)
        );
    }
    it.end().await;
}

#[tokio::test]
async fn a_command_that_ignores_its_input_ends() {
    let it = Box::new().await;
    let session = it.ready().await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    // An input without an end.
    let endless = tokio::io::repeat(b'y');
    let ran = session
        .run((&it.root, "r"), &sh("echo done"), endless, (&mut out, &mut err))
        .await
        .unwrap();
    assert_eq!((ran, text(&out)), (Outcome::Finished(0), "done".to_owned()));
    it.end().await;
}

#[tokio::test]
async fn a_closed_output_ends_the_command() {
    let it = Box::new().await;
    let session = it.ready().await;
    let streams = Streams { stdin: Input::Null, stdout: Sink::Pipe, stderr: Sink::Null };
    let mut running =
        session.start(&it.root, "yes", &Command::new(["yes"]), streams).await.unwrap();
    let mut stdout = running.take_stdout().unwrap();
    let mut first = [0; 4];
    stdout.read_exact(&mut first).await.unwrap();
    drop(stdout);
    assert_eq!(running.wait().await.unwrap(), Outcome::Finished(141));
    it.end().await;
}

#[tokio::test]
async fn an_open_descriptor_is_handed_over() {
    let it = Box::new().await;
    let session = it.ready().await;
    fs::write(it.at("input"), "from a file").unwrap();
    let streams = Streams {
        stdin: Input::Open(fs::File::open(it.at("input")).unwrap().into()),
        stdout: Sink::Open(fs::File::create(it.at("output")).unwrap().into()),
        stderr: Sink::Null,
    };
    let running = session.start(&it.root, "r", &Command::new(["cat"]), streams).await.unwrap();
    assert_eq!(running.wait().await.unwrap(), Outcome::Finished(0));
    assert_eq!(fs::read_to_string(it.at("output")).unwrap(), "from a file");
    it.end().await;
}

#[tokio::test]
async fn the_environment_arrives_and_leaves_no_trace() {
    let it = Box::new().await;
    let session = it.ready().await;
    let value = b"planted-77 '\"$x`\n\xff".to_vec();
    let command = Command {
        environment: vec![
            ("TOKEN".to_owned(), value.clone()),
            ("PATH".to_owned(), b"/usr/bin:/bin".to_vec()),
        ],
        ..sh(
            "printf %s \"$TOKEN\"; tr '\\0' ' ' </proc/$PPID/cmdline >&2; printf '%s\\n' \"${lease_job-unset}\" >&2",
        )
    };
    let ran = it.run(&session, "r", &command, b"").await;
    assert_eq!((ran.code(), ran.stdout), (0, value));
    let shown = text(&ran.stderr);
    assert!(!shown.contains("planted") && shown.ends_with("unset"), "{shown}");
    let job = it.at("box/.lease/jobs/r");
    let names: Vec<_> = fs::read_dir(job)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.starts_with("setup")), "{names:?}");
    it.end().await;
}

#[tokio::test]
async fn a_run_id_starts_one_command_i15() {
    let it = Box::new().await;
    let session = it.ready().await;
    let command = sh("echo x >>count");
    assert_eq!(it.run(&session, "once", &command, b"").await.code(), 0);
    let again = it.run(&session, "once", &command, b"").await;
    assert!(again.outcome.unwrap_err().contains("started before"));
    let at_once = (0..6).map(|_| it.run(&session, "race", &command, b""));
    let all = futures(at_once).await;
    assert_eq!(all.iter().filter(|ran| ran.outcome.is_ok()).count(), 1, "{all:?}");
    assert_eq!(fs::read_to_string(it.work().join("count")).unwrap(), "x\nx\n");
    it.end().await;
}

/// Drives all to their ends at the same time.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|it| (Some(std::boxed::Box::pin(it)), None)).collect();
    std::future::poll_fn(move |cx| {
        let mut waiting = false;
        for (future, done) in &mut all {
            if let Some(it) = future {
                match it.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => (*future, *done) = (None, Some(value)),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(all.iter_mut().filter_map(|(_, done)| done.take()).collect())
    })
    .await
}

#[tokio::test]
async fn a_missing_directory_is_told_and_starts_nothing() {
    let it = Box::new().await;
    let session = it.ready().await;
    let command = Command { directory: Some("nowhere".to_owned()), ..sh("touch started") };
    let ran = it.run(&session, "r", &command, b"").await;
    let said = ran.outcome.unwrap_err();
    assert!(said.contains("not started") && said.contains("nowhere"), "{said}");
    assert!(matches!(session.job(&it.root, "r").await.unwrap(), JobState::Refused { .. }));
    assert_eq!(session.job(&it.root, "other").await.unwrap(), JobState::Absent);
    it.end().await;
}

#[tokio::test]
async fn signals_reach_the_whole_group() {
    let it = Box::new().await;
    let session = it.ready().await;
    let cases = [
        (JobSignal::Interrupt, "int", 130),
        (JobSignal::Terminate, "term", 143),
        (JobSignal::Hangup, "hup", 129),
        (JobSignal::Kill, "kill", 137),
    ];
    for (signal, run, code) in cases {
        let started = it.work().join(run);
        // Two generations: the grandchild writes its pid and must be gone afterwards.
        let script =
            format!("sh -c 'echo $$ >{run}.tmp; mv {run}.tmp {run}; exec sleep 1000'; exit 3");
        let command = sh(&script);
        let running = it.run(&session, run, &command, b"");
        let signalling = async {
            until(|| started.exists()).await;
            assert!(matches!(session.job(&it.root, run).await.unwrap(), JobState::Running { .. }));
            assert!(session.signal(&it.root, run, signal).await.unwrap());
        };
        let (ran, ()) = tokio::join!(running, signalling);
        assert_eq!(ran.code(), code, "{run}");
        let pid: i32 = text(&fs::read(&started).unwrap()).parse().unwrap();
        let pid = lease_process::Pid::new(pid).unwrap();
        until(|| lease_process::ProcessIdentity::of(pid).unwrap().is_none()).await;
        assert!(!session.signal(&it.root, run, signal).await.unwrap(), "{run} has ended");
    }
    it.end().await;
}

#[tokio::test]
async fn a_command_may_handle_a_signal() {
    let it = Box::new().await;
    let session = it.ready().await;
    let command = sh("trap 'echo bye; exit 9' INT; touch ready; while :; do sleep 0.05; done");
    let running = it.run(&session, "r", &command, b"");
    let signalling = async {
        until(|| it.work().join("ready").exists()).await;
        assert!(session.signal(&it.root, "r", JobSignal::Interrupt).await.unwrap());
    };
    let (ran, ()) = tokio::join!(running, signalling);
    assert_eq!((ran.code(), text(&ran.stdout)), (9, "bye".to_owned()));
    it.end().await;
}

/// Kills the local connection process, or the box's end of it, while a command runs.
async fn lose(victim: &str) {
    let it = Box::new().await;
    let session = it.ready().await;
    let command = sh(
        "echo $$ >pid.tmp; mv pid.tmp pid; echo x >>count; while [ ! -e go ]; do sleep 0.05; done; exit 5",
    );
    let running = it.run(&session, "r", &command, b"");
    let killing = async {
        until(|| it.work().join("pid").exists()).await;
        let script = match victim {
            "master" => format!(
                "ssh -F '{}' -O check {LEASE} 2>&1 | tr -dc 0-9",
                it.at("keys").join(LEASE).join("config").display()
            ),
            _ => "cat pid | while read p; do while :; do q=$(ps -o ppid= -p $p | tr -d ' '); \
                  case $(ps -o comm= -p $q) in sshd*) echo $q; break;; esac; p=$q; done; done"
                .to_owned(),
        };
        let program = Program::new("sh").arg("-c").arg(script).cwd(it.work());
        let said = output(&program, Limits::default()).await.unwrap();
        let pid: i32 = text(&said.stdout).parse().unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
    };
    let (ran, ()) = tokio::join!(running, killing);
    let Ok(Outcome::TransportLost { job, .. }) = ran.outcome else { panic!("{ran:?}") };
    assert!(matches!(job, Some(JobState::Running { .. })), "{job:?}");
    assert!(
        it.run(&session, "r", &command, b"").await.outcome.unwrap_err().contains("started before")
    );
    fs::write(it.work().join("go"), "").unwrap();
    let mut seen = session.job(&it.root, "r").await.unwrap();
    for _ in 0..600 {
        if !matches!(seen, JobState::Running { .. }) {
            break;
        }
        seen = session.job(&it.root, "r").await.unwrap();
    }
    assert_eq!(seen, JobState::Finished(5));
    assert_eq!(
        fs::read_to_string(it.work().join("count")).unwrap(),
        "x\n",
        "it was executed again"
    );
    it.end().await;
}

#[tokio::test]
async fn a_killed_connection_process_is_a_lost_transport_i15() {
    lose("master").await;
}

#[tokio::test]
async fn a_killed_server_is_a_lost_transport_i15() {
    lose("server").await;
}

#[tokio::test]
async fn a_terminal_is_given() {
    let it = Box::new().await;
    let session = it.ready().await;
    let command = sh("test -t 0 && test -t 1 && stty size >/dev/null; exit $(( $? + 40 ))");
    let exit = session.interactive(&it.root, Some(&command)).await.unwrap();
    assert_eq!(exit.shell_code(), 40);
    it.end().await;
}

#[tokio::test]
async fn an_embedder_runs_through_the_contracts_of_the_core() {
    use lease_core::host::Command as HostCommand;
    use lease_core::{Effect, Probe, Reach, Transport};

    let it = Box::new().await;
    fs::create_dir_all(it.work()).unwrap();
    let lease = LEASE.parse().unwrap();
    let lease_ssh::HostKey::Pinned(key) = it.endpoint.host_key.clone() else { panic!() };
    let host_key = lease_core::HostKey::Pinned(key.clone());
    let user = it.endpoint.user.as_str();
    let mut reach = Reach::new("box", user, host_key, it.root.as_str());
    reach.proxy.clone_from(&it.sshd);
    let transport: &dyn Transport = &it.client;
    let Probe::Ready { host_key } = transport.probe(&lease, &reach).await.unwrap() else {
        panic!()
    };
    assert!(key.starts_with(&host_key));
    let host = transport.connect(&lease, &reach).await.unwrap();
    let mut command = HostCommand::new(["sh", "-c", "cat; echo err >&2; exit 9"]);
    command.stdin = b"in".to_vec();
    command.output_bytes_max = 100;
    let output = host.output(&command).await.unwrap();
    assert_eq!((output.code, output.stdout, output.stderr), (9, b"in".to_vec(), b"err\n".to_vec()));
    command.output_bytes_max = 1;
    assert_eq!(host.output(&command).await.unwrap_err().effect(), Effect::Unknown);
    transport.forget(&lease).await.unwrap();
    transport.prepare(&lease).await.unwrap();
    reach.user = "-oProxyCommand=x".to_owned();
    assert!(matches!(transport.probe(&lease, &reach).await.unwrap(), Probe::Never { .. }));
    it.end().await;
}
