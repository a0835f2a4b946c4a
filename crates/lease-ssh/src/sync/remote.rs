//! The steps of a large sync on the box, and the question what it holds.

use std::fs::File;
use std::path::{Path, PathBuf};

use lease_tree::{Delta, Layout, Manifest, Written, write_delta};
use openssh::Stdio;
use tokio::io::AsyncReadExt as _;

use super::mirror::{Look, Tools, is_token};
use super::path_of;
use super::paths::{PathSet, watched};
use super::records::{Records, comes, is_ours};
use super::script;
use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::files::random_text;
use crate::session::{End, Ends3, Session, end_of};

/// How much is kept of what the steps say. An answer is one word.
const SAID_BYTES_MAX: u64 = 64 * 1024;

/// What the box says about itself.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) tools: Tools,
    /// The generation and the start of the system that it belongs to, as the box wrote them down.
    state: (String, String),
    /// Whether the box holds a whole tree of that generation.
    pub(super) whole: bool,
    /// Which files of ours something on the box has changed.
    pub(super) drift: Vec<PathBuf>,
    /// What is ours on the box; `None` where the client knows it.
    pub(super) records: Option<Records>,
}

impl Survey {
    pub(super) fn generation(&self) -> &str {
        &self.state.0
    }

    /// Whether an earlier sync was not completed.
    pub(super) fn is_dirty(&self) -> bool {
        self.state.0 != "-" && !self.whole
    }

    fn parse(answer: &[u8]) -> Result<Self> {
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
                ("end", "") => return Ok(survey),
                ("records", "") => break,
                _ => return Err(wrong()),
            }
        }
        survey.records = Some(Records::parse(rest)?);
        Ok(survey)
    }
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

    /// Asks the box what it holds, after a look at what commands left there.
    pub(super) async fn survey(&self, known: Option<&str>) -> Result<Survey> {
        let doing = "asking what the box holds";
        let look = script::look();
        let args = [self.root.as_str().as_bytes(), known.unwrap_or("?").as_bytes(), &look];
        let reply = self.session.script(doing, &script::survey(), &args, &[]).await?;
        Survey::parse(&reply.expect_success(doing)?)
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
        ])?;
        let (generation, boot) = &survey.state;
        let args = [generation.as_bytes(), boot.as_bytes()];
        let answer = self.step(doing, &script::clear(), &args, &packed).await?;
        let in_the_way = expect_word(doing, &answer, b"cleared")?;
        let paths: Vec<PathBuf> = in_the_way
            .split(|it| *it == 0)
            .filter(|it| !it.is_empty())
            .map(|it| path_of(it.to_vec()))
            .collect();
        if paths.is_empty() { Ok(gone.len() as u64) } else { Err(SshError::Blocked { paths }) }
    }

    /// Sends the files of the delta.
    pub(super) async fn apply(&self, delta: Delta, tools: &Tools, times: Times) -> Result<Written> {
        let doing = "unpacking the tree";
        let lost = |error: &dyn std::error::Error| SshError::lost(error);
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|errno| SshError::storage("opening a pipe for", ".")(errno.into()))?;
        let times: &[u8] = if times == Times::OfTheTree { b"" } else { b"-m" };
        let args =
            [self.root.as_str().as_bytes(), self.nonce.as_bytes(), tools.tar.as_bytes(), times];
        let streams = Ends3 {
            stdin: Stdio::from(File::from(reader)),
            stdout: Stdio::piped(),
            stderr: Stdio::piped(),
        };
        let mut child = self.session.open(&script::apply(), &args, streams).await?;
        let name = |what: &str| Some(format!(".lease/sync/{what}.{}", self.nonce).into_bytes());
        let layout = Layout {
            prefix: b"work/".to_vec(),
            retract: name("retract"),
            complete: name("complete"),
        };
        // On a thread of its own; a closed pipe ends it.
        let written = tokio::task::spawn_blocking(move || {
            let sink = std::io::BufWriter::with_capacity(256 * 1024, File::from(writer));
            write_delta(&delta, &layout, sink)
        });
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (out, err) = (child.stdout().take(), child.stderr().take());
        let read_out = async {
            if let Some(out) = out {
                out.take(SAID_BYTES_MAX).read_to_end(&mut stdout).await?;
            }
            Ok::<(), std::io::Error>(())
        };
        let read_err = async {
            if let Some(mut err) = err {
                (&mut err).take(SAID_BYTES_MAX).read_to_end(&mut stderr).await?;
                tokio::io::copy(&mut err, &mut tokio::io::sink()).await?;
            }
            Ok::<(), std::io::Error>(())
        };
        let (read_out, read_err, written) = tokio::join!(read_out, read_err, written);
        // The status comes after the output: see `run::stream`.
        let end = end_of(child).await;
        read_out.and(read_err).map_err(|error| lost(&error))?;
        let written = written.map_err(|error| lost(&error))?;
        match end {
            End::Code(0) => expect_word(doing, &stdout, b"unpacked").map(drop)?,
            End::Code(code) => return Err(SshError::from_box(doing, code, &stderr)),
            End::Broken(detail) => return Err(SshError::Lost { detail }),
        }
        written.map_err(|error| SshError::storage("reading", "the tree")(error))
    }

    /// Says what the tree on the box is; returns its generation.
    pub(super) async fn seal(&self, manifest: &Manifest, tools: &Tools) -> Result<String> {
        let doing = "sealing the tree";
        let generation = random_text(24)?;
        let paths = PathSet::new(
            manifest.entries().filter(|it| it.content.is_some()).map(|it| it.path.to_owned()),
        );
        let records: Vec<u8> = manifest.entries().filter_map(|it| comes(&it)).flatten().collect();
        let packed = packed(&[
            ("manifest", records),
            ("paths", watched(paths.iter())),
            ("directories", watched(paths.directories().iter())),
            ("sealed", Vec::new()),
        ])?;
        let args = [generation.as_bytes(), tools.look.clock().as_bytes()];
        let answer = self.step(doing, &script::seal(), &args, &packed).await?;
        expect_word(doing, &answer, b"sealed")?;
        Ok(generation)
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

/// A small archive of lists.
fn packed(lists: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in lists {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        let added = builder.append_data(&mut header, Path::new(name), content.as_slice());
        added.map_err(|error| SshError::lost(&error))?;
    }
    builder.into_inner().map_err(|error| SshError::lost(&error))
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
