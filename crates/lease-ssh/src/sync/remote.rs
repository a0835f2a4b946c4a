//! The three steps of a sync on the box.

use std::fs::File;
use std::path::{Path, PathBuf};

use openssh::Stdio;
use tokio::io::AsyncReadExt as _;

use super::list::Plan;
use super::path_of;
use super::paths::PathSet;
use super::stream::{Seal, Written, control, write};
use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::files::random_text;
use crate::session::{End, Ends3, Session, end_of};

const BEGIN: &[u8] = include_bytes!("begin.sh");
const CLEAR: &[u8] = include_bytes!("clear.sh");
const APPLY: &[u8] = include_bytes!("apply.sh");
/// How much is kept of what the steps say. An answer is one word.
const SAID_BYTES_MAX: u64 = 64 * 1024;

/// One sync of one box.
pub(super) struct Remote<'a> {
    session: &'a Session,
    root: &'a BoxRoot,
    nonce: String,
}

/// What the box knew when the sync began.
pub(super) struct Began {
    pub(super) manifest: PathSet,
    pub(super) dirty: bool,
}

impl<'a> Remote<'a> {
    pub(super) fn new(session: &'a Session, root: &'a BoxRoot) -> Result<Self> {
        Ok(Self { session, root, nonce: random_text(16)? })
    }

    /// Claims the sync and reads what earlier ones put there.
    pub(super) async fn begin(&self) -> Result<Began> {
        let doing = "beginning a sync";
        let answer = self.step(doing, BEGIN, &[]).await?;
        let (word, rest) = first_line(&answer);
        match word {
            b"clean" | b"dirty" => {
                Ok(Began { manifest: PathSet::parse(rest)?, dirty: word == b"dirty" })
            }
            b"lacks-tar" => Err(SshError::BoxLacks { program: "tar" }),
            b"lacks-xargs" => Err(SshError::BoxLacks { program: "xargs" }),
            _ => Err(SshError::Box { doing, detail: "the answer makes no sense".to_owned() }),
        }
    }

    /// Removes what is gone from the tree; says how many paths that were.
    pub(super) async fn clear(&self, old: &PathSet, new: &PathSet) -> Result<u64> {
        let doing = "removing what is gone";
        let gone = old.without(new);
        let (old_directories, new_directories) = (old.directories(), new.directories());
        let lists = [
            ("union", old.union(new).listing()),
            ("new", new.listing()),
            ("delete", gone.listing_deepest_first()),
            ("owned", old_directories.listing()),
            ("emptied", old_directories.without(&new_directories).listing_deepest_first()),
            ("directories", new_directories.listing()),
            ("complete", Vec::new()),
        ];
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in &lists {
            control(&mut builder, name.as_bytes(), content)
                .map_err(|error| SshError::lost(&error))?;
        }
        let packed = builder.into_inner().map_err(|error| SshError::lost(&error))?;
        let answer = self.step(doing, CLEAR, &packed).await?;
        let (word, in_the_way) = first_line(&answer);
        match word {
            b"cleared" => {}
            b"superseded" => return Err(SshError::Superseded),
            _ => {
                return Err(SshError::Box {
                    doing,
                    detail: "the answer makes no sense".to_owned(),
                });
            }
        }
        let paths: Vec<PathBuf> = in_the_way
            .split(|it| *it == 0)
            .filter(|it| !it.is_empty())
            .map(|it| path_of(it.to_vec()))
            .collect();
        if paths.is_empty() { Ok(gone.len() as u64) } else { Err(SshError::Blocked { paths }) }
    }

    /// Sends the tree and seals it.
    pub(super) async fn apply(&self, tree: &Path, plan: &Plan, began: &Began) -> Result<Written> {
        let doing = "unpacking the tree";
        let lost = |error: &dyn std::error::Error| SshError::lost(error);
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|errno| SshError::storage("opening a pipe for", tree)(errno.into()))?;
        let args = [self.root.as_str().as_bytes(), self.nonce.as_bytes()];
        let streams = Ends3 {
            stdin: Stdio::from(File::from(reader)),
            stdout: Stdio::piped(),
            stderr: Stdio::piped(),
        };
        let mut child = self.session.open(APPLY, &args, streams).await?;
        let written = self.spawn_writer(tree, plan, &began.manifest, File::from(writer));
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
            End::Code(0) if stdout.starts_with(b"superseded") => return Err(SshError::Superseded),
            End::Code(0) if stdout.starts_with(b"sealed") => {}
            End::Code(code) => return Err(SshError::from_box(doing, code, &stderr)),
            End::Broken(detail) => return Err(SshError::Lost { detail }),
        }
        written.map_err(|error| SshError::storage("reading", tree)(error))
    }

    /// Writes the stream on a thread of its own; a closed pipe ends it.
    fn spawn_writer(
        &self,
        tree: &Path,
        plan: &Plan,
        old: &PathSet,
        sink: File,
    ) -> tokio::task::JoinHandle<std::io::Result<Written>> {
        let (tree, plan, old) = (tree.to_owned(), plan.clone(), old.clone());
        let name = |what: &str| format!(".lease/sync/{what}.{}", self.nonce).into_bytes();
        let (retract, complete) = (name("retract"), name("complete"));
        tokio::task::spawn_blocking(move || {
            let was_ours = |path: &Path| old.contains(path);
            let sink = std::io::BufWriter::with_capacity(256 * 1024, sink);
            write(&tree, &plan, &Seal { retract, complete, was_ours: &was_ours }, sink)
        })
    }

    async fn step(&self, doing: &'static str, script: &[u8], input: &[u8]) -> Result<Vec<u8>> {
        let args = [self.root.as_str().as_bytes(), self.nonce.as_bytes()];
        self.session.script(doing, script, &args, input).await?.expect_success(doing)
    }
}

fn first_line(answer: &[u8]) -> (&[u8], &[u8]) {
    match answer.iter().position(|it| *it == b'\n') {
        Some(end) => (&answer[..end], &answer[end + 1..]),
        None => (answer, &[]),
    }
}
