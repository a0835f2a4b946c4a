//! The generated ssh configuration of a lease, the only one that applies.
//!
//! ssh is always called with `-F` and this file, so neither `~/.ssh/config` nor `/etc/ssh/ssh_config` takes part: no
//! agent, no other keys, no forwarding, no known host but the lease's own. A proxy command stands in a script beside
//! it, because the configuration's own quoting differs between versions of ssh and a script's does not.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::endpoint::{Endpoint, HostKey, pinned_key};
use crate::error::{Result, SshError};
use crate::files::{read_if_there, write_private};
use crate::keys::LeaseFiles;
use crate::quote::{quote, quote_all};

/// Writes `config`, `known_hosts` and `proxy` for the endpoint.
pub(crate) fn write(
    files: &LeaseFiles,
    endpoint: &Endpoint,
    control: &Path,
    connect_timeout: Duration,
) -> Result<()> {
    endpoint.check()?;
    if let HostKey::Pinned(line) = &endpoint.host_key {
        let known = format!("{} {}\n", files.lease(), pinned_key(line)?);
        write_private(&files.known_hosts(), known.as_bytes())?;
    }
    if let Some(argv) = &endpoint.proxy_command {
        write_private(&files.proxy(), &proxy_script(files, argv))?;
    }
    // A first contact writes the key down; from then on there is something to be strict about.
    let strict = match endpoint.host_key {
        HostKey::Pinned(_) => "yes",
        HostKey::FirstUse if known_key(files)?.is_some() => "yes",
        HostKey::FirstUse => "accept-new",
    };
    let trust = Trust {
        key: files.private_key(),
        strict,
        known_hosts: quoted_path(&files.known_hosts())?,
        other_key: endpoint.identity_file.as_deref(),
    };
    let text = render(files, endpoint, (&trust, &quoted_path(control)?), connect_timeout)?;
    write_private(&files.config(), text.as_bytes())
}

/// Writes a configuration for one attempt with `key` at a host that may be a stranger's: nothing about it is checked or
/// kept.
pub(crate) fn write_for_stranger(
    files: &LeaseFiles,
    key: PathBuf,
    endpoint: &Endpoint,
    connect_timeout: Duration,
) -> Result<()> {
    endpoint.check()?;
    if let Some(argv) = &endpoint.proxy_command {
        write_private(&files.proxy(), &proxy_script(files, argv))?;
    }
    let trust = Trust { key, strict: "no", known_hosts: "/dev/null".to_owned(), other_key: None };
    let text = render(files, endpoint, (&trust, "none"), connect_timeout)?;
    write_private(&files.stranger_config(), text.as_bytes())
}

/// The key that the host is known by, `TYPE BASE64`, once it is known.
pub(crate) fn known_key(files: &LeaseFiles) -> Result<Option<String>> {
    let Some(text) = read_if_there(&files.known_hosts())? else { return Ok(None) };
    let ours = |line: &str| line.strip_prefix(files.lease())?.strip_prefix(' ').map(str::to_owned);
    Ok(text.lines().find_map(ours))
}

/// How the host's key is checked, and which keys the host is offered.
struct Trust<'a> {
    key: PathBuf,
    strict: &'static str,
    known_hosts: String,
    other_key: Option<&'a Path>,
}

fn render(
    files: &LeaseFiles,
    endpoint: &Endpoint,
    (trust, control): (&Trust<'_>, &str),
    connect_timeout: Duration,
) -> Result<String> {
    let mut text = String::from("# Generated for one lease; changes are overwritten.\n");
    let mut put = |name: &str, value: &str| writeln!(text, "{name} {value}").unwrap_or_default();
    put("HostName", &endpoint.host.replace('%', "%%"));
    put("Port", &endpoint.port.to_string());
    put("User", &endpoint.user);
    put("HostKeyAlias", files.lease());
    put("StrictHostKeyChecking", trust.strict);
    put("UserKnownHostsFile", &trust.known_hosts);
    put("IdentityFile", &quoted_path(&trust.key)?);
    if let Some(file) = trust.other_key {
        put("IdentityFile", &quoted_path(file)?);
    }
    put("ControlPath", control);
    put("ConnectTimeout", &connect_timeout.as_secs().max(1).to_string());
    for (name, value) in FIXED {
        put(name, value);
    }
    if endpoint.proxy_command.is_some() {
        // ssh puts `exec` before it and hands it to the shell named by SHELL, which we set to /bin/sh.
        put("ProxyCommand", &format!("/bin/sh {}", quoted_path(&files.proxy())?));
    }
    Ok(text)
}

const FIXED: [(&str, &str); 23] = [
    ("GlobalKnownHostsFile", "/dev/null"),
    ("CheckHostIP", "no"),
    ("UpdateHostKeys", "no"),
    ("HashKnownHosts", "no"),
    ("IdentitiesOnly", "yes"),
    ("IdentityAgent", "none"),
    ("PreferredAuthentications", "publickey"),
    ("PasswordAuthentication", "no"),
    ("KbdInteractiveAuthentication", "no"),
    ("BatchMode", "yes"),
    ("ForwardAgent", "no"),
    ("ForwardX11", "no"),
    ("PermitLocalCommand", "no"),
    ("CanonicalizeHostname", "no"),
    ("ConnectionAttempts", "1"),
    ("TCPKeepAlive", "yes"),
    ("ServerAliveInterval", "15"),
    ("ServerAliveCountMax", "3"),
    ("ControlMaster", "no"),
    ("Compression", "no"),
    ("EscapeChar", "none"),
    ("VisualHostKey", "no"),
    ("LogLevel", "ERROR"),
];

fn proxy_script(files: &LeaseFiles, argv: &[String]) -> Vec<u8> {
    // Once ssh is in the background it drops its proxy's error output; before that we want to read it.
    let mut script = b"exec 2>".to_vec();
    script.extend(quote(files.proxy_log().as_os_str().as_bytes()));
    script.extend_from_slice(b"\nexec ");
    script.extend(quote_all(argv.iter().map(String::as_bytes)));
    script.push(b'\n');
    script
}

/// A path as ssh reads it back: in double quotes, with its percent signs doubled.
///
/// ssh also expands `${NAME}` and `~`, and has no way to write a quote that all its versions understand, so a path with
/// those is refused.
fn quoted_path(path: &Path) -> Result<String> {
    let wrong = |why: &str| {
        SshError::invalid(
            "a path for ssh",
            format!("{why}: {}", path.display().to_string().escape_debug()),
        )
    };
    let text = path.to_str().ok_or_else(|| wrong("it is not UTF-8"))?;
    if !path.is_absolute() {
        return Err(wrong("it is not absolute"));
    }
    if text.chars().any(|it| it.is_control() || it == '"' || it == '\\' || it == '\'')
        || text.contains("${")
    {
        return Err(wrong("it has a quote, a backslash, `${` or a control character"));
    }
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_ssh_would_read_differently_are_refused() {
        assert_eq!(quoted_path(Path::new("/a b/c%d")).unwrap(), "\"/a b/c%%d\"");
        for bad in ["relative", "/a\"b", "/a\nb", "/a\\b", "/a${HOME}", "/a'b"] {
            assert!(quoted_path(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn first_use_is_strict_once_a_key_is_known() {
        let root = tempfile::tempdir().unwrap();
        let files = LeaseFiles::new(root.path(), "lse-a").unwrap();
        files.prepare().unwrap();
        let endpoint = Endpoint {
            host: "box".to_owned(),
            port: 22,
            user: "me".to_owned(),
            proxy_command: None,
            host_key: HostKey::FirstUse,
            identity_file: Some("/keys/of the adapter".into()),
        };
        let rendered = || {
            write(&files, &endpoint, Path::new("/run/x"), Duration::from_secs(5)).unwrap();
            std::fs::read_to_string(files.config()).unwrap()
        };
        assert!(rendered().contains("StrictHostKeyChecking accept-new\n"));
        write_private(&files.known_hosts(), b"lse-a ssh-ed25519 AAAA\n").unwrap();
        assert!(rendered().contains("StrictHostKeyChecking yes\n"));
        assert_eq!(known_key(&files).unwrap().as_deref(), Some("ssh-ed25519 AAAA"));
        let offered =
            |text: &str| text.lines().filter(|it| it.starts_with("IdentityFile ")).count();
        assert_eq!(offered(&rendered()), 2);
        assert!(rendered().contains("IdentityFile \"/keys/of the adapter\"\n"));
        // A stranger's host is neither held against the known key nor remembered.
        write_for_stranger(&files, files.private_key(), &endpoint, Duration::from_secs(5)).unwrap();
        let stranger = std::fs::read_to_string(files.stranger_config()).unwrap();
        assert!(stranger.contains("UserKnownHostsFile /dev/null\n"), "{stranger}");
        assert!(stranger.contains("ControlPath none\n"), "{stranger}");
        assert_eq!(offered(&stranger), 1, "only the lease's own key proves that a host is ours");
    }
}
