//! Commands with a terminal, from a terminal of our own whose settings are looked at from outside.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::installation::process::send;
use crate::installation::{ANSWER_WITHIN, Deadline, eventually, processes};
use crate::place::Place;

/// A terminal with the program in it.
struct Terminal {
    person: File,
    /// The program's end, held open so that its settings can be looked at after the program's end.
    device: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
    client: Child,
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Terminal {
    /// Runs the script on the place's box, on a terminal of 30 rows and 100 columns.
    fn new(place: &Place, script: &str) -> Self {
        let person =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let device = open(name.as_c_str(), flags, Mode::empty()).unwrap();
        tcsetwinsize(&person, size(30, 100)).unwrap();
        let end = || Stdio::from(device.try_clone().unwrap());
        // A session of its own, whose terminal this is.
        let mut command: Command = place.installation.process("setsid");
        let program = place.installation.program();
        command.args(["--ctty", "--wait"]).arg(program).env("TERM", "xterm");
        command.args(["run", "--no-sync", "--tty", "--id", "named", "--", "sh", "-c", script]);
        let client = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let (mut reader, seen) = (File::from(person.try_clone().unwrap()), Arc::clone(&shown));
        // It ends when the last end of the device is closed.
        drop(std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut chunk) {
                seen.lock().unwrap().extend_from_slice(&chunk[..read]);
            }
        }));
        Self { person: File::from(person), device, shown, client }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        let is_shown = || self.shown().contains(text);
        eventually(Deadline::after(ANSWER_WITHIN), is_shown).unwrap_or_else(|()| {
            panic!("{text:?} is not shown: {:?}", self.shown());
        });
    }

    fn types(&mut self, bytes: &[u8]) {
        self.person.write_all(bytes).unwrap();
    }

    /// Whether the terminal turns Ctrl-C into a signal, as one does that is not raw.
    fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.device).unwrap().local_modes;
        modes.contains(LocalModes::ISIG | LocalModes::ICANON | LocalModes::ECHO)
    }

    #[track_caller]
    fn ends_with(mut self, code: i32) -> String {
        let mut ended = None;
        let is_over = || {
            ended = self.client.try_wait().unwrap();
            ended.is_some()
        };
        let over = eventually(Deadline::after(ANSWER_WITHIN), is_over);
        assert!(over.is_ok(), "it goes on: {}", self.shown());
        assert_eq!(ended.and_then(|it| it.code()), Some(code), "{}", self.shown());
        assert!(self.is_cooked(), "the terminal was left raw");
        self.shown()
    }
}

#[test]
fn a_command_with_a_terminal_has_its_size_its_resizes_and_its_ctrl_c() {
    let place = Place::new(&[]);
    let script = "test -t 0 && test -t 1 && test -t 2 && echo TERM=$TERM; stty size; \
                  trap 'stty size; echo resized' WINCH; trap 'echo heard; exit 9' INT; echo ready; \
                  while :; do sleep 0.05; done";
    let mut terminal = Terminal::new(&place, script);
    terminal.shows("ready");
    assert!(terminal.shown().contains("TERM=xterm\r\n30 100\r\n"), "{:?}", terminal.shown());
    assert!(!terminal.is_cooked(), "Ctrl-C would end the program here, not the command");
    tcsetwinsize(&terminal.person, size(40, 90)).unwrap();
    terminal.shows("40 90\r\nresized");
    terminal.types(b"\x03");
    terminal.ends_with(9);
    assert_eq!(place.last()["exit"], 9);
    assert!(place.last()["recording_failed"].as_str().unwrap().contains("terminal"));
    place.end();
}

#[test]
fn what_is_typed_arrives_and_codes_are_exact() {
    let place = Place::new(&[]);
    for (script, typed, code) in [
        ("read -r it; echo got $it; exit 7", &b"words\r"[..], 7),
        ("exit 255", b"", 255),
        ("exit 222", b"", 222),
        ("kill -TERM $$", b"", 143),
        ("kill -9 $$", b"", 137),
    ] {
        let mut terminal = Terminal::new(&place, script);
        if !typed.is_empty() {
            terminal.types(typed);
            terminal.shows("got words");
        }
        let shown = terminal.ends_with(code);
        assert!(!shown.contains("lease-1 "), "{shown:?}");
    }
    place.end();
}

#[test]
fn a_terminal_is_put_back_when_the_program_or_its_connection_ends() {
    let place = Place::new(&[]);
    let script = "echo x >started; echo ready; while :; do sleep 0.05; done";
    let named = |it: &crate::installation::Process, words: &[u8]| {
        it.names(place.installation.root())
            && it.command_line.windows(words.len()).any(|at| at == words)
    };
    let victims: [(&[u8], Signal, i32); 2] =
        [(b"lease\0run\0", Signal::TERM, 143), (b"ssh\0-F\0", Signal::KILL, 125)];
    for (victim, signal, code) in victims {
        let terminal = Terminal::new(&place, script);
        terminal.shows("ready");
        let mut victims = processes();
        victims.retain(|it| named(it, victim) && !it.command_line.starts_with(b"setsid"));
        assert!(!victims.is_empty());
        for it in &victims {
            send(it.pid, signal);
        }
        terminal.ends_with(code);
    }
    place.end();
}

#[test]
fn without_a_terminal_here_there_is_none_there() {
    let place = Place::new(&[]);
    let ended = place.installation.lease(["run", "--id", "named", "--tty", "--", "true"]);
    assert_eq!(ended.code, 125, "{}", ended.stderr);
    assert!(ended.failure().contains("needs a terminal"), "{}", ended.stderr);
    place.end();
}
