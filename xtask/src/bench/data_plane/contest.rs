//! Who is measured against whom, by which commands, and in which order.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::dice::Dice;
use super::forest::{Changing, Forest};
use super::network::Run;
use super::outcome::Heat;
use super::site::{Lease, Site, Station};
use crate::machine::{pause, say};

/// One way of bringing a tree to the other side and running a command there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contestant {
    /// `ssh` of `true`, over a connection that is open: what the others are compared with.
    Bare,
    /// `rsync -a --delete`, then `ssh`; nothing changed.
    Rsync,
    /// The same with one changed file.
    RsyncChanged,
    /// What git knows, by `rsync --files-from`, then `ssh`; it cannot delete.
    FilesFrom,
    /// `lease run --id` with nothing changed.
    Lease,
    /// The same with one changed file.
    LeaseChanged,
    /// `lease run --id` with nothing changed, over a session that waits.
    Spare,
    /// The same with one changed file.
    SpareChanged,
    /// A tree that is not there yet, by `rsync`.
    RsyncFirst,
    /// The same by `tar` through `ssh`.
    TarFirst,
    /// The same by the first `lease run` of a lease.
    LeaseFirst,
    /// 1 GiB of output through `ssh`.
    BareStream,
    /// The same through `lease run`.
    LeaseStream,
}

use Contestant::{
    Bare, BareStream, FilesFrom, Lease as Leased, LeaseChanged, LeaseFirst, LeaseStream, Rsync,
    RsyncChanged, RsyncFirst, Spare, SpareChanged, TarFirst,
};

pub(super) const WARM: &[Contestant] =
    &[Bare, Rsync, RsyncChanged, FilesFrom, Leased, LeaseChanged, Spare, SpareChanged];
pub(super) const FIRST: &[Contestant] = &[RsyncFirst, TarFirst, LeaseFirst];
pub(super) const STREAM: &[Contestant] = &[BareStream, LeaseStream];

/// How long before a command a file of its tree was changed: longer than the clock needs to tell the two apart, as with one
/// who saves a file and then types.
const CHANGED: Duration = Duration::from_millis(100);

/// What the box prints when a stream is measured.
pub(super) const STREAM_BYTES: u64 = 1 << 30;

impl Contestant {
    /// What a reader calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Bare => "bare `ssh`",
            Rsync => "`rsync` then `ssh`",
            RsyncChanged => "`rsync` then `ssh`, one file changed",
            FilesFrom => "`git ls-files`, `rsync --files-from`, `ssh`",
            Leased => "`lease run`",
            LeaseChanged => "`lease run`, one file changed",
            Spare => "`lease run`, spare",
            SpareChanged => "`lease run`, spare, one file changed",
            RsyncFirst => "`rsync -a`",
            TarFirst => "`tar` through `ssh`",
            LeaseFirst => "`lease run`, first sync",
            BareStream => "bare `ssh`",
            LeaseStream => "`lease run`",
        }
    }

    /// The command as a shell line, with `BOX` for the other side and `DIR` for a directory there.
    pub(super) fn shell(self) -> &'static str {
        match self {
            Bare => "SSH BOX true",
            Rsync | RsyncChanged => {
                "rsync -a --delete --filter=':- .gitignore' -e 'SSH' ./ BOX:DIR/ && SSH BOX true"
            }
            FilesFrom => {
                "git ls-files -z -co --exclude-standard | \
                 rsync -a --from0 --files-from=- -e 'SSH' ./ BOX:DIR/ && SSH BOX true"
            }
            Leased | LeaseChanged | LeaseFirst => "LEASE_RUN_SPARE=none lease run --id ID -- true",
            Spare | SpareChanged => "lease run --id ID -- true",
            RsyncFirst => "rsync -a --filter=':- .gitignore' -e 'SSH' ./ BOX:DIR/",
            TarFirst => {
                "git ls-files -z -co --exclude-standard | tar -c --null -T - | \
                 SSH BOX 'mkdir -p DIR && tar -x -C DIR'"
            }
            BareStream => "SSH BOX head -c 1073741824 /dev/zero",
            LeaseStream => "lease run --no-sync --id ID -- head -c 1073741824 /dev/zero",
        }
    }

    /// The tree of which a file changes before it runs.
    fn changing(self, forest: &Forest) -> Option<&Changing> {
        match self {
            LeaseChanged | SpareChanged => Some(&forest.changing),
            RsyncChanged => Some(&forest.peers),
            Bare | Rsync | FilesFrom | Leased | Spare | RsyncFirst | TarFirst | LeaseFirst
            | BareStream | LeaseStream => None,
        }
    }

    /// The directory of its own on the other side.
    fn directory(self) -> &'static str {
        match self {
            Rsync | RsyncFirst => "rsync",
            RsyncChanged => "rsync-changing",
            FilesFrom => "files-from",
            TarFirst => "tar",
            Bare | Leased | LeaseChanged | LeaseFirst | Spare | SpareChanged | BareStream
            | LeaseStream => "none",
        }
    }

    /// The words that a shell needs for [`Contestant::shell`]. The tools of the peers run in a shell, as they are used.
    fn words(self, station: &Station) -> Vec<String> {
        let directory = station.peers.join(self.directory()).display().to_string();
        let values = [("SSH", &station.ssh), ("BOX", &station.address), ("DIR", &directory)];
        let line = filled(self.shell(), &values);
        if matches!(self, Bare | BareStream) {
            return line.split(' ').map(str::to_owned).collect();
        }
        vec!["sh".to_owned(), "-c".to_owned(), line]
    }
}

/// A tree and a link, with everything that stays open between the rounds.
pub(super) struct Arena<'a> {
    pub(super) site: &'a mut Site,
    pub(super) station: &'a Station,
    pub(super) forest: &'a Forest,
}

impl Arena<'_> {
    /// Syncs a tree that the box already has.
    pub(super) fn warm(&mut self, rounds: usize) -> Result<Heat> {
        Site::clear(self.station)?;
        let still = self.site.acquire(self.station, &self.forest.still)?;
        let changing = self.site.acquire(self.station, &self.forest.changing.path)?;
        let heat = self.rounds(WARM, rounds, |arena, who| arena.warm_run(who, [&still, &changing]));
        for lease in [still, changing] {
            self.release(&lease)?;
        }
        Site::clear(self.station)?;
        heat
    }

    /// Syncs a tree to a box that has nothing of it. The connection is open, for everybody.
    pub(super) fn first(&mut self, rounds: usize) -> Result<Heat> {
        self.rounds(FIRST, rounds, |arena, who| {
            Site::clear(arena.station)?;
            if who != LeaseFirst {
                return arena.peer_run(who);
            }
            let lease = arena.site.acquire(arena.station, &arena.forest.still)?;
            let nothing = arena.site.run_words(&lease, &["--no-sync", "--", "true"]);
            arena.run(&nothing)?;
            let run = arena.run(&arena.site.run_words(&lease, &["--", "true"]))?;
            arena.release(&lease)?;
            Ok(run)
        })
    }

    /// Sends a lot of output.
    pub(super) fn stream(&mut self, rounds: usize) -> Result<Heat> {
        let lease = self.site.acquire(self.station, &self.forest.still)?;
        let bytes = STREAM_BYTES.to_string();
        let heat = self.rounds(STREAM, rounds, |arena, who| {
            if who == BareStream {
                return arena.peer_run(who);
            }
            let words = ["--no-sync", "--", "head", "-c", &bytes, "/dev/zero"];
            arena.run(&arena.site.run_words(&lease, &words))
        });
        self.release(&lease)?;
        heat
    }

    fn warm_run(&mut self, who: Contestant, [still, changing]: [&Lease; 2]) -> Result<Run> {
        if let Some(changing) = who.changing(self.forest) {
            // Two of them share a tree and its lease, so each has a change of its own.
            changing.change()?;
            pause(CHANGED);
        }
        match who {
            Leased => self.run(&self.site.run_words(still, &["--", "true"])),
            LeaseChanged => {
                let words = self.site.run_words(changing, &["--", "true"]);
                self.site.measure(self.station, &self.forest.changing.path, &words)
            }
            Spare => {
                let words = self.site.run_words(still, &["--", "true"]);
                self.site.measure_spare(self.station, &self.forest.still, &words)
            }
            SpareChanged => {
                let words = self.site.run_words(changing, &["--", "true"]);
                self.site.measure_spare(self.station, &self.forest.changing.path, &words)
            }
            RsyncChanged => {
                let words = who.words(self.station);
                self.site.measure(self.station, &self.forest.peers.path, &words)
            }
            Bare | Rsync | FilesFrom | RsyncFirst | TarFirst | LeaseFirst | BareStream
            | LeaseStream => self.peer_run(who),
        }
    }

    fn release(&self, lease: &Lease) -> Result<()> {
        self.site.release(self.station, lease)
    }

    fn peer_run(&mut self, who: Contestant) -> Result<Run> {
        self.run(&who.words(self.station))
    }

    fn run(&mut self, words: &[String]) -> Result<Run> {
        self.site.measure(self.station, &self.forest.still, words)
    }

    /// Runs each contestant once a round, in another order each time, so that a disturbance of the machine meets all of
    /// them alike. Before the rounds that count there is one that does not, which also brings the tree there.
    fn rounds(
        &mut self,
        who: &[Contestant],
        rounds: usize,
        run: impl Fn(&mut Self, Contestant) -> Result<Run>,
    ) -> Result<Heat> {
        let mut heat = Heat::new(self.forest.files, self.station.link, who);
        let mut order = who.to_vec();
        // First syncs have nothing that a round before them could warm but the caches, which planting the tree did.
        let warm_up = usize::from(who != FIRST);
        for round in 0..rounds + warm_up {
            Dice::new(u64::try_from(round)? + 1).shuffle(&mut order);
            for &contestant in &order {
                let run = run(self, contestant)
                    .with_context(|| format!("{} at {}", contestant.name(), self.station.link))?;
                if round >= warm_up {
                    heat.add(contestant, run);
                }
            }
        }
        say(format_args!("measured: {heat}"));
        Ok(heat)
    }
}

/// `line` with each name replaced by its value. What a value contains is not looked at.
fn filled(line: &str, values: &[(&str, &String)]) -> String {
    let mut filled = String::new();
    let mut rest = line;
    while let Some((at, name, value)) = values
        .iter()
        .filter_map(|(name, value)| rest.find(name).map(|at| (at, name, value)))
        .min_by_key(|(at, _, _)| *at)
    {
        filled.push_str(&rest[..at]);
        filled.push_str(value);
        rest = &rest[at + name.len()..];
    }
    filled + rest
}

/// Whether the directory is one that a contestant may be pointed at in a shell line without quotes.
pub(super) fn is_plain(path: &Path) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    path.to_str().is_some_and(|text| text.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_anything_but_plain_letters_is_not_put_into_a_shell_line() {
        assert!(is_plain(Path::new("/tmp/lease-bench-x1Yz")));
        assert!(!is_plain(Path::new("/tmp/a b")) && !is_plain(Path::new("/tmp/$(x)")));
    }

    #[test]
    fn a_value_is_not_searched_for_names() {
        let values = [("SSH", &"ssh -S /tmp/xBOX".to_owned()), ("BOX", &"10.77.0.2".to_owned())];
        assert_eq!(filled("a && SSH BOX true", &values), "a && ssh -S /tmp/xBOX 10.77.0.2 true");
        assert_eq!(filled("nothing", &values), "nothing");
    }

    #[test]
    fn every_contestant_is_in_one_heat() {
        let all: Vec<_> = WARM.iter().chain(FIRST).chain(STREAM).collect();
        for (at, who) in all.iter().enumerate() {
            assert!(!all[..at].contains(who), "{who:?}");
        }
        assert_eq!(all.len(), 13);
        assert!(LeaseStream.shell().contains(&STREAM_BYTES.to_string()));
        assert!(BareStream.shell().contains(&STREAM_BYTES.to_string()));
    }
}
