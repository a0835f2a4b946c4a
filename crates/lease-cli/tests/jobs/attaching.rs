//! Clients that are killed, and those that take their place.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;

use crate::chance::Chance;
use crate::installation::process::send;
use crate::installation::{ANSWER_WITHIN, Deadline, Ended, eventually};
use crate::place::{Place, connections, errors, expected, kill_after, numbered};

/// With the cuts of `lease-ssh`'s own tests these are more than two hundred.
const RUNS: u64 = 10;
const CUTS_EACH: u64 = 5;

#[test]
fn every_byte_is_followed_again_after_any_kill_i15() {
    let place = Place::new(&[]);
    let (out, err) = expected();
    for seed in 1..=RUNS {
        let mut chance = Chance::new(seed);
        let script = numbered(10 + chance.below(40));
        let mut client = place.client(&script);
        let run = place.begun();
        for _ in 0..CUTS_EACH {
            let seen = kill_after(client, chance.below(out.len() as u64));
            assert!(out.starts_with(&seen), "seed {seed}: {} bytes differ", seen.len());
            let mut next = place.installation.command(["attach", &run]);
            client = next.stderr(Stdio::piped()).spawn().unwrap();
        }
        let mut ended = Ended::wait(client);
        if ended.code == 125 {
            // The last but one saw the end.
            assert!(ended.failure().contains("has ended with 7"), "seed {seed}: {}", ended.stderr);
            ended = place.installation.lease(["logs", &run]);
        } else {
            assert_eq!(ended.code, 7, "seed {seed}: {}", ended.stderr);
        }
        assert!(ended.stdout == out, "seed {seed}: {} of {}", ended.stdout.len(), out.len());
        assert_eq!(errors(&ended), err, "seed {seed}");
        assert_eq!(place.starts(), "x\n", "seed {seed}");
        assert_eq!(place.last()["exit"], 7, "seed {seed}");
        fs::remove_file(place.work().join("started")).unwrap();
    }
    place.end();
}

#[test]
fn a_lost_connection_is_taken_up_by_the_run_itself() {
    let place = Place::new(&[]);
    let (out, err) = expected();
    let arguments = ["run", "--no-sync", "--id", "named", "--", "sh", "-c", &numbered(4)];
    let client = place.installation.command(arguments).spawn().unwrap();
    place.begun();
    for connection in connections(&place.installation) {
        send(connection.pid, Signal::KILL);
    }
    let ended = Ended::wait(client);
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert!(ended.stdout == out, "{} of {}", ended.stdout.len(), out.len());
    assert_eq!(errors(&ended), err);
    assert!(ended.stderr.contains("the connection to the box was lost"), "{}", ended.stderr);
    assert_eq!(place.starts(), "x\n");
    place.end();
}

#[test]
fn without_reconnecting_a_lost_connection_is_told_at_once() {
    let place = Place::new(&[]);
    let script = "echo x >>started; while [ ! -e go ]; do sleep 0.05; done";
    let arguments = ["run", "--no-sync", "--id", "named", "--", "sh", "-c", script];
    let mut command = place.installation.command(arguments);
    let client = command.env("LEASE_RUN_RECONNECT", "none").spawn().unwrap();
    let run = place.begun();
    let server = fs::read_to_string(place.work().join(format!("../.lease/jobs/{run}/start")));
    let shell: u32 = server.unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    let stat = fs::read_to_string(format!("/proc/{shell}/stat")).unwrap();
    let parent = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap();
    send(parent, Signal::KILL);
    let ended = Ended::wait(client);
    assert_eq!(ended.code, 125, "{}", ended.stderr);
    assert!(ended.stderr.contains("may still run and is not started again"), "{}", ended.stderr);
    fs::write(place.work().join("go"), "").unwrap();
    place.end();
}

#[test]
fn ctrl_c_reaches_a_command_that_was_attached_and_a_request_to_end_does_not() {
    let place = Place::new(&[]);
    let script = "trap 'echo heard; exit 9' INT; trap 'echo wrong' TERM; echo x >>started; echo ready; \
                  while :; do sleep 0.05; done";
    let client = place.client(script);
    let run = place.begun();
    assert_eq!(kill_after(client, 6), b"ready\n");
    let attach = || {
        let said = place.installation.root().join("said");
        let mut command = place.installation.command(["attach", &run]);
        command.stdout(fs::File::create(&said).unwrap());
        let client = command.spawn().unwrap();
        let is_there = || fs::read(&said).is_ok_and(|it| it == b"ready\n");
        eventually(Deadline::after(ANSWER_WITHIN), is_there).unwrap();
        (client, said)
    };
    let (client, _) = attach();
    send(client.id(), Signal::TERM);
    let ended = Ended::wait(client);
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(ended.stderr.contains("the command goes on"), "{}", ended.stderr);
    let (client, said) = attach();
    send(client.id(), Signal::INT);
    let ended = Ended::wait(client);
    assert_eq!(ended.code, 9, "{}", ended.stderr);
    assert_eq!(fs::read_to_string(said).unwrap(), "ready\nheard\n");
    place.end();
}
