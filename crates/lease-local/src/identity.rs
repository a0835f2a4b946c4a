//! What tells this directory of boxes from every other one: on another machine, of another user, or made anew.

use std::fs;
use std::path::Path;

use lease_core::{Entropy, Nonce};

use crate::error::LocalError;
use crate::making;

const ID_FILE: &str = ".root-id";

/// Gives the directory an id when it has none; of several who try at once, the first wins.
pub(crate) fn ensure(root: &Path, entropy: &dyn Entropy) -> Result<(), LocalError> {
    let path = root.join(ID_FILE);
    if path.exists() {
        sweep(root);
        return Ok(());
    }
    let draw = || Nonce::draw(entropy).map_err(|error| LocalError::Machine(error.to_string()));
    let draft = root.join(format!("{ID_FILE}.{}", draw()?));
    making::write_file(&draft, format!("{}\n", draw()?).as_bytes())?;
    let linked = fs::hard_link(&draft, &path);
    if path.exists() {
        sweep(root);
    }
    match linked {
        // Whoever was first swept our draft away, or is there with theirs.
        Err(error) if !path.exists() => Err(LocalError::file("writing", &path)(error)),
        _ => making::sync_directory(root),
    }
}

/// Removes the drafts of those who were killed or came second. There is an id, so no draft can become one any more.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_draft = name.to_str().and_then(|it| it.strip_prefix(ID_FILE)?.strip_prefix('.'));
        if is_draft.is_some() {
            // Somebody else may sweep at the same time; what stays is swept by the next one.
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// The fingerprint of whoever owns what is in the directory.
pub(crate) async fn account(root: &Path, uid: u32) -> Result<String, LocalError> {
    let path = root.join(ID_FILE);
    let id = fs::read_to_string(&path).map_err(LocalError::file("reading", &path))?;
    let id = id
        .trim()
        .parse::<Nonce>()
        .map_err(|error| LocalError::Record { path, why: error.to_string() })?;
    let host_name = || rustix::system::uname().nodename().to_bytes().to_owned();
    let machine = machine_id().await.unwrap_or_else(host_name);
    Ok(format!("uid-{uid}.{:016x}.{id}", digest(&machine)))
}

/// What the machine calls itself for good.
#[cfg(not(target_os = "macos"))]
fn machine_id() -> impl Future<Output = Option<Vec<u8>>> + Send {
    let id = fs::read("/etc/machine-id").ok().map(|it| it.trim_ascii().to_owned());
    std::future::ready(id.filter(|it| !it.is_empty()))
}

#[cfg(target_os = "macos")]
async fn machine_id() -> Option<Vec<u8>> {
    use lease_process::{Limits, Program, output};
    let program =
        Program::new("/usr/sbin/ioreg").arg("-rd1").arg("-c").arg("IOPlatformExpertDevice");
    let answer = output(&program, Limits::default()).await.ok()?;
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    let line = said.lines().find(|it| it.contains("IOPlatformUUID"))?;
    Some(line.as_bytes().to_owned())
}

/// FNV-1a: the id of a machine is not for everybody's eyes, and two machines have to differ, no more.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lease_core::OsEntropy;

    #[tokio::test]
    async fn a_directory_keeps_its_id_and_a_new_one_has_another() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("1"), directory.path().join("2"));
        for root in [&one, &two] {
            fs::create_dir(root).unwrap();
            ensure(root, &OsEntropy).unwrap();
        }
        let first = account(&one, 7).await.unwrap();
        ensure(&one, &OsEntropy).unwrap();
        assert_eq!(account(&one, 7).await.unwrap(), first);
        assert_ne!(account(&two, 7).await.unwrap(), first);
        assert_ne!(account(&one, 8).await.unwrap(), first);
        assert_eq!(fs::read_dir(&one).unwrap().count(), 1, "a draft stays behind");
        fs::write(one.join(".root-id.of-a-killed-process"), "").unwrap();
        ensure(&one, &OsEntropy).unwrap();
        assert_eq!(fs::read_dir(&one).unwrap().count(), 1, "a draft of somebody else stays");
    }

    #[tokio::test]
    async fn without_an_id_there_is_no_account() {
        let directory = tempfile::tempdir().unwrap();
        account(directory.path(), 7).await.unwrap_err();
        fs::write(directory.path().join(ID_FILE), "half").unwrap();
        account(directory.path(), 7).await.unwrap_err();
    }
}
