//! The steps of a large sync on the box, and the question what it holds.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use lease_tree::Written;
use tokio::time::Instant;

use super::mirror::{Look, Tools, is_token};
use super::path_of;
use super::paths::PathSet;
use super::records::{Records, is_ours};
use super::script;
use super::stream::{CHUNKS_MAX, Load, consume, packed, produce};
use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::files::random_text;
use crate::quote::quote_all;
use crate::run::{kept_name, program};
use crate::session::{End, Question, Reply, Session, Stdio, Underway};

/// What the box says about itself.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) tools: Tools,
    /// The generation and the start of the system that it belongs to, as the box wrote them down.
    state: (String, String),
    /// Whether the box holds a whole tree of that generation.
    pub(super) whole: bool,
    pub(super) ground: Ground,
    /// Whether it can undo the compression of a stream.
    pub(super) zstd: bool,
    /// Which files of ours something on the box has changed.
    pub(super) drift: Vec<PathBuf>,
    /// What is ours on the box; `None` where the client knows it.
    pub(super) records: Option<Records>,
}

/// What is in the tree before a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// Something of ours, or of the box's own.
    Taken,
    /// Nothing at all.
    Bare,
    /// Nothing, and the box can fetch a commit.
    BareWithGit,
}

impl Survey {
    pub(super) fn generation(&self) -> &str {
        &self.state.0
    }

    /// Whether an earlier sync was not completed.
    pub(super) fn is_dirty(&self) -> bool {
        self.state.0 != "-" && !self.whole
    }

    pub(super) fn parse(answer: &[u8]) -> Result<Self> {
        let doing = "asking what the box holds";
        let wrong = || SshError::Box { doing, detail: "the answer makes no sense".to_owned() };
        let mut rest = answer;
        let mut line = || {
            let end = rest.iter().position(|it| *it == b'\n')?;
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            Some(line)
        };
        match line() {
            Some(b"lease-survey-1") => {}
            Some(b"lacks-tar") => return Err(SshError::BoxLacks { program: "tar" }),
            Some(b"lacks-xargs") => return Err(SshError::BoxLacks { program: "xargs" }),
            _ => return Err(wrong()),
        }
        let mut survey = Self {
            tools: Tools { tar: String::new(), look: Look::Never },
            state: (String::new(), String::new()),
            whole: false,
            ground: Ground::Taken,
            zstd: false,
            drift: Vec::new(),
            records: None,
        };
        loop {
            let line = line().ok_or_else(wrong)?;
            if let Some(path) = line.strip_prefix(b"drift ") {
                survey.drift.push(path_of(path.strip_prefix(b"./").unwrap_or(path).to_vec()));
                continue;
            }
            let line = std::str::from_utf8(line).map_err(|_| wrong())?;
            match line.split_once(' ').unwrap_or((line, "")) {
                ("tar", option @ ("" | "-U" | "--unlink-first")) => {
                    option.clone_into(&mut survey.tools.tar);
                }
                ("look", "cnewer fine") => survey.tools.look = Look::Fine,
                ("look", "newer whole") => survey.tools.look = Look::Whole,
                ("state", state) => {
                    let (generation, boot) = state.split_once(' ').ok_or_else(wrong)?;
                    survey.state = (generation.to_owned(), boot.to_owned());
                }
                ("whole", "") => survey.whole = is_token(&survey.state.0),
                ("bare", "") => survey.ground = Ground::Bare,
                ("zstd", "") => survey.zstd = true,
                ("git", "") => survey.ground = Ground::BareWithGit,
                ("end", "") => return Ok(survey),
                ("records", "") => break,
                _ => return Err(wrong()),
            }
        }
        survey.records = Some(Records::parse(rest)?);
        Ok(survey)
    }
}

const UNPACKING: &str = "unpacking the tree";

/// A session for the stream of a large change, which is on its way or open. Dropping it gives it up, and nothing is done.
#[derive(Debug)]
pub(super) struct Reception {
    asked: Question,
    stream: File,
}

/// One sync of one box.
pub(super) struct Remote<'a> {
    session: &'a Session,
    root: &'a BoxRoot,
    nonce: String,
}

impl<'a> Remote<'a> {
    pub(super) fn new(session: &'a Session, root: &'a BoxRoot) -> Result<Self> {
        Ok(Self { session, root, nonce: random_text(16)? })
    }

    /// The word by which the box knows what this sync was told.
    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Asks the box what it holds, after a look at what commands left there. Where a stream is expected to follow, a session
    /// for it is opened meanwhile.
    pub(super) async fn survey(
        &self,
        known: Option<&str>,
        expects_stream: bool,
    ) -> Result<(Survey, Option<Reception>)> {
        let doing = "asking what the box holds";
        let look = script::look();
        let known = known.unwrap_or("?").as_bytes();
        let args = [self.root.as_str().as_bytes(), known, &look, self.nonce.as_bytes()];
        let began = Instant::now();
        let asked = self.session.begin(doing, &script::survey(), &args, Stdio::Null).await?;
        // Behind the question, which a box that opens one session at a time is to answer.
        let reception = if expects_stream { self.receive().await.ok() } else { None };
        let underway = asked.opened().await?;
        self.session.link.took(began.elapsed());
        let reply = underway.reply().await?;
        Ok((Survey::parse(&reply.expect_success(doing)?)?, reception))
    }

    /// Asks for a session that unpacks what comes, without waiting for the box.
    async fn receive(&self) -> Result<Reception> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|errno| SshError::storage("opening a pipe for", ".")(errno.into()))?;
        let args = [self.root.as_str(), &self.nonce].map(str::as_bytes);
        let stdin = Stdio::Open(reader);
        let asked = self.session.begin(UNPACKING, &script::unpack(), &args, stdin).await?;
        Ok(Reception { asked, stream: File::from(writer) })
    }

    /// Removes what is gone from the tree; says how many paths that were.
    pub(super) async fn clear(
        &self,
        survey: &Survey,
        ours: &PathSet,
        new: &PathSet,
    ) -> Result<u64> {
        let doing = "removing what is gone";
        let gone = ours.without(new);
        let (old_directories, new_directories) = (ours.directories(), new.directories());
        let union: Vec<u8> = ours.union(new).iter().flat_map(is_ours).collect();
        let packed = packed(&[
            ("union", union),
            ("new", new.listing()),
            ("delete", gone.listing_deepest_first()),
            ("owned", old_directories.listing()),
            ("emptied", old_directories.without(&new_directories).listing_deepest_first()),
            ("directories", new_directories.listing()),
            ("complete", Vec::new()),
        ])
        .map_err(|error| SshError::lost(&error))?;
        let (generation, boot) = &survey.state;
        let clock = survey.tools.look.clock();
        let args = [generation.as_bytes(), boot.as_bytes(), clock.as_bytes()];
        let answer = self.step(doing, &script::clear(), &args, &packed).await?;
        let in_the_way = expect_word(doing, &answer, b"cleared")?;
        let paths: Vec<PathBuf> = in_the_way
            .split(|it| *it == 0)
            .filter(|it| !it.is_empty())
            .map(|it| path_of(it.to_vec()))
            .collect();
        if paths.is_empty() { Ok(gone.len() as u64) } else { Err(SshError::Blocked { paths }) }
    }

    /// Has the box fetch a commit, and write its files where nothing is. Returns the last word of the answer, and what git
    /// said.
    pub(super) async fn seed(&self, more: &[&[u8]], lists: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
        let doing = "fetching the tree's commit";
        let mut args = vec![self.root.as_str().as_bytes(), self.nonce.as_bytes()];
        args.extend(more);
        let reply = self.session.script(doing, &script::seed(), &args, lists).await?;
        let Reply { end, stdout, stderr } = reply;
        match end {
            End::Code(0) => {}
            // How far it came is asked for.
            End::Code(_) => return Err(SshError::Superseded),
            End::Broken(detail) => return Err(SshError::Lost { detail }),
        }
        let word = stdout.trim_ascii().rsplit(|it| *it == b'\n').next().unwrap_or_default();
        if word == b"superseded" {
            return Err(SshError::Superseded);
        }
        Ok((word.to_owned(), stderr))
    }

    /// Sends the files and the new records; returns the generation that the box is in then.
    pub(super) async fn unpack(
        &self,
        load: Load,
        survey: &Survey,
        times: Times,
        (underway, mut stream): (Underway, File),
    ) -> Result<(String, Written)> {
        let generation = random_text(24)?;
        let Load { delta, meter, union, distance } = load;
        let bare: &[u8] = if union.is_some() { b"bare" } else { b"" };
        // Where nothing is, nothing has to be removed before it is written.
        let tar: &[u8] = if union.is_some() { b"" } else { survey.tools.tar.as_bytes() };
        let times: &[u8] = if times == Times::OfTheTree { b"" } else { b"-m" };
        let (clock, zstd) = (survey.tools.look.clock(), if survey.zstd { "zstd" } else { "" });
        let words = [tar, times, generation.as_bytes(), clock.as_bytes(), bare, zstd.as_bytes()];
        let mut line = quote_all(words);
        line.push(b'\n');
        let packing = survey.zstd.then_some(distance);
        let directory = format!(".lease/sync/in.{}", self.nonce);
        // On threads of their own, which a closed pipe ends.
        let (hand, taken) = std::sync::mpsc::sync_channel(CHUNKS_MAX);
        let program = program(self.session.link.settings.log_bytes_max);
        let produced = tokio::task::spawn_blocking(move || {
            let kept = kept_name(&program);
            produce(&delta, union, (&directory, (&kept, program)), hand)
        });
        let consumed = tokio::task::spawn_blocking(move || {
            // What does not reach a session that has ended is told by how it ended.
            match stream.write_all(&line) {
                Ok(()) => consume(&taken, stream, packing, meter),
                Err(error) => (Err(error), meter),
            }
        });
        let (reply, produced, consumed) = tokio::join!(underway.reply(), produced, consumed);
        let lost = |error: tokio::task::JoinError| SshError::lost(&error);
        let (produced, (consumed, mut meter)) = (produced.map_err(lost)?, consumed.map_err(lost)?);
        expect_word(UNPACKING, &reply?.expect_success(UNPACKING)?, b"sealed")?;
        let written = produced.map_err(SshError::storage("reading", "the tree"))?;
        consumed.map_err(|error| SshError::lost(&error))?;
        meter.end();
        Ok((generation, written))
    }

    /// The session of a reception, or a new one where there is none: a box may open fewer sessions than were asked for.
    pub(super) async fn open(&self, reception: Option<Reception>) -> Result<(Underway, File)> {
        if let Some(Reception { asked, stream }) = reception {
            match asked.opened().await {
                Ok(underway) => return Ok((underway, stream)),
                Err(error) => tracing::debug!(%error, "no session was opened beforehand"),
            }
        }
        let Reception { asked, stream } = self.receive().await?;
        Ok((asked.opened().await?, stream))
    }

    async fn step(
        &self,
        doing: &'static str,
        script: &[u8],
        more: &[&[u8]],
        input: &[u8],
    ) -> Result<Vec<u8>> {
        let mut args = vec![self.root.as_str().as_bytes(), self.nonce.as_bytes()];
        args.extend(more);
        self.session.script(doing, script, &args, input).await?.expect_success(doing)
    }
}

/// Which modification times files get on the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// Those of the tree, in whole seconds: nothing was built there yet.
    OfTheTree,
    /// The box's own, so that a file is newer than what was built from an older one, whatever the clocks say.
    OfTheBox,
}

/// What follows the line that a step answers with when it was done.
fn expect_word<'a>(doing: &'static str, answer: &'a [u8], word: &[u8]) -> Result<&'a [u8]> {
    let end = answer.iter().position(|it| *it == b'\n').unwrap_or(answer.len());
    match &answer[..end] {
        said if said == word => Ok(answer.get(end + 1..).unwrap_or_default()),
        b"superseded" => Err(SshError::Superseded),
        _ => Err(SshError::Box { doing, detail: "the answer makes no sense".to_owned() }),
    }
}
