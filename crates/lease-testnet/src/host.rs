//! A host: a network, mount and process namespace, and one process that they live as long as.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::NetError;

/// The first process of a host. The shell takes the exit of every orphan, and ends when we close its input or die;
/// the kernel then ends everything else in its process namespace.
const FIRST: &str = "echo ready; while read -r _; do :; done";

/// A host of a [`Net`](crate::Net).
#[derive(Debug)]
pub struct Host {
    holder: Child,
    address: Ipv4Addr,
}

impl Host {
    /// Starts an empty host that will have that address.
    pub(crate) fn start(address: Ipv4Addr) -> Result<Self, NetError> {
        let failed = |error| NetError::new("a host could not be started with `unshare`", error);
        let mut holder = command("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .args(["bash", "-c", FIRST])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut line = String::new();
        if let Some(output) = holder.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(failed)?;
        }
        let host = Self { holder, address };
        if line.trim() != "ready" {
            let why = "it said nothing; namespaces need the rights of root";
            return Err(NetError::other("a host could not be started with `unshare`", why));
        }
        Ok(host)
    }

    /// Its address on the link to the client; the client has the same with 1 at the end, on each link.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The words in front of a command that make it run on this host, in that directory. Only the network, the
    /// processes and the mounts are the host's own; users and files are those of the machine.
    pub fn enter(&self, directory: &Path) -> Vec<String> {
        let namespace = |name: &str| self.namespace(name).display().to_string();
        vec![
            "nsenter".to_owned(),
            format!("--net={}", namespace("net")),
            format!("--mount={}", namespace("mnt")),
            format!("--pid={}", namespace("pid_for_children")),
            "env".to_owned(),
            format!("--chdir={}", directory.display()),
        ]
    }

    /// A command that will run on this host, in that directory.
    ///
    /// A signal to the child that comes of it reaches only the program that entered the host; find the process itself
    /// with [`Host::processes`]. It ends with the host at the latest.
    pub fn command(&self, directory: &Path, program: &str) -> Command {
        let words = self.enter(directory);
        let mut entered = command(&words[0]);
        entered.args(&words[1..]).arg(program);
        entered
    }

    /// Does `work` on a thread that has this host's network, so that the sockets it opens are the host's.
    ///
    /// # Errors
    ///
    /// When the thread cannot enter the host, or `work` panicked.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetError> {
        let failed = "the network of a host could not be entered";
        let network =
            File::open(self.namespace("net")).map_err(|error| NetError::new(failed, error))?;
        std::thread::scope(|scope| {
            let entered = scope.spawn(|| {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|error| NetError::new(failed, error))?;
                Ok(work())
            });
            entered.join().unwrap_or_else(|_| Err(NetError::other(failed, "its thread panicked")))
        })
    }

    /// The processes on this host but the first, by the ids they have outside of it.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read.
    pub fn processes(&self) -> Result<Vec<u32>, NetError> {
        let failed = |error| NetError::new("the processes of a host could not be listed", error);
        let own = fs::read_link(self.namespace("pid_for_children")).map_err(failed)?;
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A process that ends while we look is not there any more.
            let namespace = fs::read_link(entry.path().join("ns/pid"));
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            if namespace.is_ok_and(|it| it == own) && !is_first(&status) {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// Runs a shell script on the host and fails when it fails.
    pub(crate) fn set_up(&self, script: &str) -> Result<(), NetError> {
        let failed = format!("a host could not be set up with `{script}`");
        let output = self
            .command(Path::new("/"), "sh")
            .args(["-euc", script])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| NetError::new(&failed, error))?;
        if !output.status.success() {
            return Err(NetError::other(failed, String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(())
    }

    fn namespace(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/{name}", self.holder.id()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // Killing `unshare` kills the first process by the kernel's hand, if it has not seen the end of its input yet.
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// Whether that is the status of the first process of a process namespace.
fn is_first(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .is_some_and(|ids| ids.split_whitespace().last() == Some("1"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a host is a process by itself, and what runs on it is the caller's to watch"
)]
fn command(program: &str) -> Command {
    Command::new(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_is_known_by_its_innermost_id() {
        assert!(is_first("Name:\tbash\nNSpid:\t812\t1\nThreads:\t1\n"));
        assert!(!is_first("NSpid:\t1\t2\n") && !is_first("NSpid:\t812\t11\n") && !is_first(""));
    }
}
