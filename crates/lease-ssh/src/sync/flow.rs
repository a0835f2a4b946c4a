//! What is done next to make the box hold the tree, from what is known and from what the box answers.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_core::retry::{Bounds, Pace};
use lease_tree::{Content, Delta, Held, Manifest};
use tokio::time::Instant;

use super::mirror::{Known, Look};
use super::packing::Distance;
use super::patch::{Packed, Patch};
use super::paths::PathSet;
use super::progress::Meter;
use super::records::is_ours;
use super::remote::{Ground, Reception, Remote, Survey, Times};
use super::seed::Seeded;
use super::stream::{Load, lead_bytes};
use super::{Drift, Extent, Order, Plan, PlannedWrite, SyncReport, script};
use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::files::random_text;
use crate::run::{Belief, Mode};
use crate::session::{REQUEST_BYTES_MAX, Reply, Session};
use crate::spare::Ahead;

/// How long it is tried when others sync the same box.
const TURNS_TIME_MAX: Duration = Duration::from_secs(60);
/// How often the box may answer otherwise than it has just said it would.
const ROUNDS_MAX: u32 = 24;
/// What a request needs beside the arguments of a patch and the command.
const SCRIPT_ROOM_BYTES: usize = 24 * 1024;

/// How long a question takes at most to which a near box answers: two round trips, and what its programs need.
const NEAR_TIME_MAX: Duration = Duration::from_millis(100);
/// How many directories a plan names.
const BIGGEST_MAX: usize = 10;

/// What a request brings along, and what it means when the box accepts it.
#[derive(Debug)]
pub(super) struct Step {
    /// The nonce of the attempt.
    pub(super) nonce: String,
    /// Whether the box has the program of the request.
    pub(super) belief: Belief,
    pub(super) args: Vec<Vec<u8>>,
    known: Known,
    patch: Option<(u64, u64, u64)>,
}

impl Step {
    /// What is done before the command.
    pub(super) fn mode(&self) -> Mode {
        if self.patch.is_some() { Mode::Patch } else { Mode::Check }
    }

    pub(super) fn look(&self) -> &'static str {
        self.known.tools.look.test()
    }
}

/// What the box answered to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It holds the tree, and goes on.
    Started,
    /// It did nothing, or marked its tree, for this reason.
    Refused(String),
}

impl Answer {
    /// Reads the line of ours out of what came on standard error, and gives back what is not ours. `None` when the line
    /// is not there.
    pub(super) fn take(said: &mut Vec<u8>, nonce: &str) -> Option<Self> {
        let head = format!("lease-1 {nonce} ").into_bytes();
        let start = said.windows(head.len()).position(|it| it == head)?;
        let end = start + said[start..].iter().position(|it| *it == b'\n')?;
        let word = String::from_utf8_lossy(&said[start + head.len()..end]).into_owned();
        said.drain(start..=end);
        Some(match word.strip_prefix("refused ") {
            Some(why) => Self::Refused(why.to_owned()),
            None => Self::Started,
        })
    }
}

pub(super) struct Flow<'a> {
    session: &'a Session,
    root: &'a BoxRoot,
    pub(super) order: Order<'a>,
    known: Option<Known>,
    /// The survey of this flow, which has looked at what commands left.
    looked: Option<String>,
    /// What the box answered last, as long as nothing was done since.
    asked: Option<(Remote<'a>, Asked)>,
    /// Whether the box needs to be told although nothing differs.
    renew: bool,
    /// Whether everything was sent in this flow. A file that changes all the time is left out then, and not tried again.
    sent: bool,
    distance: Distance,
    belief: Belief,
    rounds: u32,
    turns: Pace,
    /// The run that follows, if one does, and a session for it.
    pub(super) run: Option<&'a str>,
    pub(super) ahead: Option<Ahead>,
    pub(super) report: SyncReport,
}

impl<'a> Flow<'a> {
    pub(super) fn new(session: &'a Session, root: &'a BoxRoot, order: Order<'a>) -> Self {
        let report = SyncReport {
            source: order.scan.source(),
            sent_files: 0,
            sent_bytes: 0,
            seeded_files: 0,
            removed: 0,
            skipped: order.scan.skipped(),
            repaired: false,
            drifted: Vec::new(),
            sees_drift: true,
        };
        // Whoever has written down what the box holds has had a command run there, as a rule.
        let belief = if order.mirror.known.is_some() { Belief::Kept } else { Belief::Unknown };
        let known = order.mirror.known.clone().filter(|_| order.extent == Extent::Difference);
        let pauses = (Duration::from_millis(50), Duration::from_secs(1));
        let turns = Pace::start(Bounds::within(TURNS_TIME_MAX).paused(pauses.0, pauses.1));
        Self {
            session,
            root,
            order,
            known,
            looked: None,
            asked: None,
            renew: false,
            sent: false,
            distance: Distance::Near,
            belief,
            rounds: 0,
            turns,
            run: None,
            ahead: None,
            report,
        }
    }

    /// The next request, with room for so many bytes of the command's own.
    pub(super) async fn next(&mut self, command_bytes: usize) -> Result<Step> {
        loop {
            self.rounds += 1;
            if self.rounds > ROUNDS_MAX {
                return Err(SshError::Superseded);
            }
            let Some(known) = self.known.clone() else {
                self.settle(self.first_sending()).await?;
                continue;
            };
            if self.sent {
                return self.step(known, None);
            }
            let (scan, compare) = (self.order.scan, self.order.compare);
            if !self.renew && Delta::is_nothing(&known.manifest, scan, compare) {
                return self.step(known, None);
            }
            let room = REQUEST_BYTES_MAX.saturating_sub(command_bytes + SCRIPT_ROOM_BYTES);
            let (held, scan, renew) = (known.clone(), scan.clone(), self.renew);
            // In one go: each thread that has to be woken for a part of it costs as much as the part.
            let packed =
                blocking(move || Packed::of(&held, &scan, compare, (room, renew))).await??;
            match packed {
                Packed::Nothing(manifest) => return self.step(Known { manifest, ..known }, None),
                Packed::Patch(patch) => return self.step(known, Some(patch)),
                Packed::TooMuch => self.settle(Sending::InSteps).await?,
            }
        }
    }

    fn step(&self, known: Known, patch: Option<Patch>) -> Result<Step> {
        let (nonce, belief) = (random_text(16)?, self.belief);
        let looked = self.looked.clone().unwrap_or_default();
        let mut args: Vec<Vec<u8>> = vec![
            self.root.as_str().into(),
            nonce.clone().into(),
            known.generation.clone().into(),
            looked.into(),
        ];
        let Some(patch) = patch else {
            return Ok(Step { nonce, belief, args, known, patch: None });
        };
        args.extend(patch.args);
        let known =
            Known { generation: patch.generation, manifest: patch.manifest, tools: known.tools };
        let done = Some((patch.sent_files, patch.sent_bytes, patch.removed));
        Ok(Step { nonce, belief, args, known, patch: done })
    }

    /// Takes note that the box accepted a step. What is to be written down is returned.
    pub(super) fn accepted(&mut self, step: Step) -> Known {
        if let Some((files, bytes, removed)) = step.patch {
            self.report.sent_files += files;
            self.report.sent_bytes += bytes;
            self.report.removed += removed;
        }
        self.report.sees_drift = step.known.tools.look != Look::Never;
        self.renew = false;
        step.known
    }

    /// Whether the box is believed to have the program.
    pub(super) fn trusts(&self) -> bool {
        self.belief == Belief::Kept
    }

    /// Takes note that the box may not have the program any more.
    pub(super) fn doubt(&mut self) {
        self.belief = Belief::Unknown;
    }

    /// Takes note that the box did not accept a step.
    pub(super) async fn refused(&mut self, why: &str) -> Result<()> {
        tracing::debug!(why, "the box does not hold what was expected");
        if why == "unkept" {
            self.doubt();
            return Ok(());
        }
        self.sent = false;
        self.asked = None;
        match why {
            // Something is in the way, or the change failed: the steps say what, and remove links of the box's own.
            "blocked" | "failed" => self.settle(Sending::InSteps).await,
            "busy" => Err(SshError::Superseded),
            _ => self.settle(Sending::WhatDiffers).await,
        }
    }

    /// How a box is brought up to date of which nothing is believed.
    fn first_sending(&self) -> Sending {
        match self.order.extent {
            Extent::Everything => Sending::Everything,
            Extent::Difference => Sending::WhatDiffers,
        }
    }

    /// Brings the tree there without a command.
    pub(super) async fn alone(mut self) -> Result<SyncReport> {
        self.settle(self.first_sending()).await?;
        loop {
            let step = self.next(0).await?;
            if step.patch.is_some() {
                let args: Vec<&[u8]> = step.args.iter().map(Vec::as_slice).collect();
                let doing = "sending the changes";
                let reply = self.session.script(doing, &script::patch_alone(), &args, &[]).await?;
                let Reply { end, mut stderr, .. } = reply;
                match Answer::take(&mut stderr, &step.nonce) {
                    Some(Answer::Started) => {}
                    Some(Answer::Refused(why)) => {
                        self.refused(&why).await?;
                        continue;
                    }
                    None => {
                        Reply { end, stdout: Vec::new(), stderr }.expect_success(doing)?;
                        let detail = "it did not answer".to_owned();
                        return Err(SshError::Box { doing, detail });
                    }
                }
            }
            let known = self.accepted(step);
            self.order.mirror.keep(known)?;
            return Ok(self.report);
        }
    }

    async fn delta(&self, held: &Manifest) -> Result<Delta> {
        let (held, scan, compare) = (held.clone(), self.order.scan.clone(), self.order.compare);
        Ok(blocking(move || Delta::between(&held, &scan, compare)).await??)
    }

    /// Asks the box what it holds, and sends in steps what is too much for one request. Others that sync the same box are
    /// waited for.
    async fn settle(&mut self, sending: Sending) -> Result<()> {
        loop {
            match Box::pin(self.settle_once(sending)).await {
                Err(SshError::Superseded) if self.turns.wait(None).await => {}
                other => return other,
            }
        }
    }

    async fn settle_once(&mut self, sending: Sending) -> Result<()> {
        // When nothing has been done since the last question, its answer will do: what others did the box notices.
        let (remote, asked) = if let Some(it) = self.asked.take() {
            it
        } else {
            let remote = Remote::new(self.session, self.root)?;
            let expects_stream = self.known.is_none() || sending != Sending::WhatDiffers;
            let asked = self.ask(&remote, expects_stream).await?;
            (remote, asked)
        };
        if let (Some(manifest), Sending::WhatDiffers) = (&asked.held, sending) {
            let survey = &asked.survey;
            let (generation, tools) = (survey.generation().to_owned(), survey.tools.clone());
            self.known = Some(Known { generation, tools, manifest: manifest.clone() });
            self.asked = Some((remote, asked));
            return Ok(());
        }
        self.known = None;
        let Asked { survey, ours, held, reception } = asked;
        let held = held.filter(|_| sending != Sending::Everything);
        let known = self.send((&remote, reception), &survey, &ours, held).await?;
        self.order.mirror.keep(known.clone())?;
        (self.known, self.renew, self.sent) = (Some(known), false, true);
        self.belief = Belief::Kept;
        Ok(())
    }

    /// Asks the box what it holds.
    async fn ask(&mut self, remote: &Remote<'_>, expects_stream: bool) -> Result<Asked> {
        let generation = self.known.as_ref().map(|it| it.generation.as_str());
        let asked = Instant::now();
        let (survey, reception) = remote.survey(generation, expects_stream).await?;
        let far = asked.elapsed() > NEAR_TIME_MAX;
        self.distance = if far { Distance::Far } else { Distance::Near };
        self.looked = Some(remote.nonce().to_owned());
        self.report.repaired |= survey.is_dirty();
        self.report.sees_drift = survey.tools.look != Look::Never;
        let ours = match (&survey.records, &self.known) {
            (Some(records), _) => records.paths(),
            (None, Some(known)) => paths(&known.manifest),
            (None, None) => PathSet::default(),
        };
        let held = match self.held(&survey) {
            Some(manifest) if !survey.drift.is_empty() => Some(self.drifted(manifest, &survey)?),
            held => held,
        };
        Ok(Asked { survey, ours, held, reception })
    }

    /// Says what would be done, and does nothing.
    pub(super) async fn plan(mut self) -> Result<Plan> {
        let remote = Remote::new(self.session, self.root)?;
        if self.order.drift == Drift::Fail {
            self.order.drift = Drift::Overwrite;
        }
        let Asked { ours, held, .. } = self.ask(&remote, false).await?;
        let held = held.filter(|_| self.order.extent == Extent::Difference);
        let delta = self.delta(&held.unwrap_or_default()).await?;
        let new = PathSet::new(self.order.scan.manifest().entries().map(|it| it.path.to_owned()));
        let writes = delta.writes().map(|it| PlannedWrite {
            path: it.entry.path.to_owned(),
            bytes: it.entry.bytes,
            change: it.change,
        });
        Ok(Plan {
            source: self.report.source,
            writes: writes.collect(),
            removals: ours.without(&new).iter().map(Path::to_owned).collect(),
            bytes: delta.bytes(),
            biggest: delta.biggest_directories(BIGGEST_MAX),
            skipped: self.report.skipped,
            repairs: self.report.repaired,
            drifted: self.report.drifted,
        })
    }

    /// What the box holds, where that is known of every file.
    fn held(&self, survey: &Survey) -> Option<Manifest> {
        match (&survey.records, &self.known) {
            _ if !survey.whole => None,
            (Some(records), _) => records.clone().manifest(),
            (None, known) => known.as_ref().map(|it| it.manifest.clone()),
        }
    }

    /// What the box holds, with what was changed there as something that nobody knows.
    fn drifted(&mut self, manifest: Manifest, survey: &Survey) -> Result<Manifest> {
        // The box reports it until it is told.
        self.renew = true;
        let listed: HashSet<&Path> = survey.drift.iter().map(PathBuf::as_path).collect();
        // A directory that is none any more has taken everything below it along.
        let is_changed = |path: &Path| path.ancestors().any(|it| listed.contains(it));
        let paths: Vec<PathBuf> = manifest
            .entries()
            .map(|it| it.path)
            .filter(|it| is_changed(it))
            .map(ToOwned::to_owned)
            .collect();
        if paths.is_empty() {
            return Ok(manifest);
        }
        if self.order.drift == Drift::Fail {
            return Err(SshError::Drifted { paths });
        }
        self.report.drifted.extend(paths);
        self.report.drifted.sort();
        self.report.drifted.dedup();
        if self.order.drift == Drift::Keep {
            return Ok(manifest);
        }
        let unknown = Content::of(b"what the box has made of it");
        let held = manifest.entries().filter_map(|it| {
            let content = if is_changed(it.path) { Some(unknown) } else { it.content };
            Some(Held {
                path: it.path.to_owned(),
                kind: it.kind,
                permissions: it.permissions,
                bytes: it.bytes,
                content: content?,
            })
        });
        let doing = "reading what the box has changed";
        let detail = || "the list makes no sense".to_owned();
        Manifest::of_held(held).ok_or_else(|| SshError::Box { doing, detail: detail() })
    }

    /// Sends in steps what the box lacks.
    async fn send(
        &mut self,
        (remote, reception): (&Remote<'_>, Option<Reception>),
        survey: &Survey,
        ours: &PathSet,
        held: Option<Manifest>,
    ) -> Result<Known> {
        let first = survey.generation() == "-" && ours.len() == 0;
        let mut delta = self.delta(&held.unwrap_or_default()).await?;
        let new = PathSet::new(self.order.scan.manifest().entries().map(|it| it.path.to_owned()));
        let is_bare = survey.ground != Ground::Taken;
        let mut union: Option<Vec<u8>> = is_bare.then(|| new.iter().flat_map(is_ours).collect());
        let removed = match &union {
            Some(_) => 0,
            None => remote.clear(survey, ours, &new).await?,
        };
        // Once: whatever becomes of it, the stream goes on from there.
        if let Some(all) = &union
            && let Some(seeding) = self.order.seeding.take()
        {
            match seeding.seed(remote, survey, (&delta, all)).await? {
                Seeded::Not => {}
                Seeded::Half => union = None,
                Seeded::Whole(overlap) => {
                    self.report.seeded_files += overlap.files;
                    (delta, union) = (overlap.rest, None);
                }
            }
        }
        let lead_bytes = union.as_ref().map_or(0, |it| lead_bytes(it.len() as u64));
        let meter = Meter::of(&delta, lead_bytes, self.order.progress.clone());
        let times = if first { Times::OfTheTree } else { Times::OfTheBox };
        let load = Load { delta, meter, union, distance: self.distance };
        let opened = remote.open(reception).await?;
        // The next session opens while the stream is on its way, and after it: a box may open one at a time.
        if let (Some(run), None) = (self.run, &self.ahead) {
            self.ahead = self.session.open_beside((self.root, run)).await;
        }
        let (generation, written) = remote.unpack(load, survey, times, opened).await?;
        self.report.removed += removed;
        self.report.sent_files += written.sent_files;
        self.report.sent_bytes += written.sent_bytes;
        self.report.skipped.extend(written.left_out);
        self.report.skipped.sort();
        self.report.skipped.dedup();
        Ok(Known { generation, tools: survey.tools.clone(), manifest: written.manifest })
    }
}

/// How the box is brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// It is asked first, and nothing is sent if what differs may be small.
    WhatDiffers,
    /// In steps of their own.
    InSteps,
    /// In steps, whatever it holds.
    Everything,
}

/// What the box has answered.
struct Asked {
    survey: Survey,
    /// Which paths are ours.
    ours: PathSet,
    /// What they hold, if it is known of every one.
    held: Option<Manifest>,
    /// Where a stream was expected to follow.
    reception: Option<Reception>,
}

fn paths(manifest: &Manifest) -> PathSet {
    PathSet::new(manifest.entries().filter(|it| it.content.is_some()).map(|it| it.path.to_owned()))
}

/// Runs what reads many files on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| SshError::lost(&error))
}
