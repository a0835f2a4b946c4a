//! `lease cp`: files between this machine and a box.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use lease_ssh::{Copied, SshError};

use crate::args::CpArgs;
use crate::context::Base;
use crate::document::CopyDocument;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::Interrupts;
use crate::session::{Attached, attended, ssh_failure, touch};

/// How many files are named that were left out; the others are counted.
const NAMED_MAX: usize = 5;

/// Copies files one way or the other.
pub(crate) async fn run(base: Base<'_>, args: &CpArgs) -> Result<Exit, Failure> {
    let copy = Copy::of(&args.source, &args.destination)?;
    if copy.local == Local::Stream && copy.way == Way::FromBox && base.output.is_json() {
        return Err(usage("standard output is for the file, so there is no room for --json on it"));
    }
    let (context, claim) = base.open_for(&copy.lease).await?;
    let mut interrupts = Interrupts::listen()?;
    let attached = Attached::to(&context, &claim).await?;
    touch(&context, &claim).await?;
    base.output.progress().step(match copy.way {
        Way::FromBox => "copying from the box",
        Way::ToBox => "copying to the box",
    });
    let local = match &copy.local {
        Local::Path(path) => Some(base.environment.absolute(path)?),
        Local::Stream => None,
    };
    let (session, root, path) = (&attached.session, &attached.root, copy.remote.as_bytes());
    let work = async {
        match (copy.way, &local) {
            (Way::FromBox, Some(local)) => session.copy_from(root, path, local).await,
            (Way::FromBox, None) => session.read_file(root, path, std::io::stdout()).await,
            (Way::ToBox, Some(local)) => session.copy_to(root, local, path).await,
            (Way::ToBox, None) => session.write_file(root, std::io::stdin(), path).await,
        }
    };
    let copied = attended((&context, &attached), &mut interrupts, Box::pin(work)).await?;
    base.output.progress().clear();
    let copied = match copied {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(SshError::Storage { source, .. })
            if local.is_none() && source.kind() == ErrorKind::BrokenPipe =>
        {
            return Ok(Exit::Success);
        }
        copied => copied.map_err(|error| failed(&error, &claim))?,
    };
    tell(&base, &copied);
    if local.is_none() && copy.way == Way::FromBox {
        return Ok(Exit::Success);
    }
    base.output.result(&CopyDocument::new(claim.lease(), &copied), String::new)?;
    Ok(Exit::Success)
}

fn tell(base: &Base<'_>, copied: &Copied) {
    for it in copied.left_out.iter().take(NAMED_MAX) {
        base.output.note(&format!("not copied: {} ({})", it.path.display(), it.why));
    }
    if copied.left_out.len() > NAMED_MAX {
        base.output.note(&format!("not copied: {} more", copied.left_out.len() - NAMED_MAX));
    }
}

/// What cannot be read or written is a matter of what was typed, more often than of this program.
fn failed(error: &SshError, claim: &lease_core::Claim) -> Failure {
    ssh_failure(error, claim.lease()).next(format!("lease exec {} -- ls", claim.slug()))
}

/// What is copied where.
#[derive(Debug, PartialEq, Eq)]
struct Copy {
    way: Way,
    lease: String,
    remote: OsString,
    local: Local,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    FromBox,
    ToBox,
}

#[derive(Debug, PartialEq, Eq)]
enum Local {
    Path(PathBuf),
    Stream,
}

impl Copy {
    fn of(source: &OsStr, destination: &OsStr) -> Result<Self, Failure> {
        let (way, (lease, remote), local) = match (on_box(source), on_box(destination)) {
            (Some(remote), None) => (Way::FromBox, remote, destination),
            (None, Some(remote)) => (Way::ToBox, remote, source),
            (Some(_), Some(_)) => {
                return Err(usage("both sides are boxes; copy through a file here"));
            }
            (None, None) => return Err(usage("one side has to be LEASE:PATH")),
        };
        let lease = lease.to_str().filter(|it| !it.is_empty());
        let lease = lease.ok_or_else(|| usage("before the colon belongs the lease"))?.to_owned();
        if local.is_empty() {
            return Err(usage("the local path is empty"));
        }
        let local = if local == "-" { Local::Stream } else { Local::Path(local.into()) };
        Ok(Self { way, lease, remote, local })
    }
}

/// The lease and the path of what is on a box. As with `scp`, a slash before the colon makes it a local name.
fn on_box(typed: &OsStr) -> Option<(OsString, OsString)> {
    let bytes = typed.as_bytes();
    let colon = bytes.iter().position(|it| matches!(it, b':' | b'/'))?;
    let of = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    (bytes[colon] == b':').then(|| (of(&bytes[..colon]), of(&bytes[colon + 1..])))
}

fn usage(what: &str) -> Failure {
    Failure::invalid(what, "lease cp --help").meaning(Meaning::NothingChanged).kind("usage")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(source: &str, destination: &str) -> Result<Copy, String> {
        Copy::of(source.as_ref(), destination.as_ref()).map_err(|it| it.what().to_owned())
    }

    #[test]
    fn a_colon_before_any_slash_is_a_box() {
        let it = copy("demo:a/b:c", "./x:y").unwrap();
        assert_eq!(
            (it.way, it.lease.as_str(), it.remote.as_os_str()),
            (Way::FromBox, "demo", "a/b:c".as_ref())
        );
        assert_eq!(it.local, Local::Path("./x:y".into()));
        let it = copy("-", "demo:").unwrap();
        assert_eq!(
            (it.way, it.remote.as_os_str(), it.local),
            (Way::ToBox, "".as_ref(), Local::Stream)
        );
    }

    #[test]
    fn one_side_is_a_box_and_one_is_not() {
        for (source, destination) in
            [("a", "b"), ("x:a", "y:b"), (":a", "b"), ("x:a", ""), ("./x:a", "b")]
        {
            assert!(copy(source, destination).is_err(), "{source} {destination}");
        }
    }
}
