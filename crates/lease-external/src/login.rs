//! What an adapter says about logging in, let through only where nothing of it could be read as an option.
//!
//! Everything here comes from a program that may be wrong or hostile. What does not fit a narrow alphabet is refused,
//! never escaped.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use lease_core::{HostKey, LeaseId, Reach};

use crate::config::check_work_root;
use crate::error::ExternalError;
use crate::wire::{WireLease, WireSsh};

const PORT_DEFAULT: u16 = 22;
const HOST_CHARS_MAX: usize = 253;
const USER_CHARS_MAX: usize = 64;
const PROXY_CHARS_MAX: usize = 4096;

/// The mode of a private key file.
const KEY_MODE: u32 = 0o600;

/// Turns what a lease says about logging in into a [`Reach`]; `None` when it says nothing yet.
pub(crate) fn reach(
    lease: &WireLease,
    owner: Option<&LeaseId>,
    work_root: Option<&str>,
) -> Result<Option<Reach>, ExternalError> {
    let Some(ssh) = lease.login() else { return Ok(None) };
    let host = checked_host(ssh.host.as_deref())?;
    let user = checked_user(ssh.user.as_deref())?;
    let port = ssh.port.as_deref().map_or(Ok(PORT_DEFAULT), |it| checked_port("port", it))?;
    for fallback in ssh.fallback_ports.iter().flatten() {
        checked_port("fallbackPorts", fallback)?;
    }
    let key = ssh.key.as_deref().filter(|it| !it.is_empty());
    key.map_or(Ok(()), |it| checked_key_file(Path::new(it)))?;
    let proxy = proxy(ssh, (host, user, port))?;
    let root = root(lease, user, work_root)?;
    let directory = owner.map_or("lease", LeaseId::as_str);
    let host_key = checked_host_key(ssh.host_key.as_deref())?;
    let root = format!("{}/{directory}", root.trim_end_matches('/'));
    let mut reach = Reach::new(host, user, host_key, root);
    reach.port = port;
    reach.proxy = proxy;
    reach.identity_file = key.map(str::to_owned);
    Ok(Some(reach))
}

fn checked_host(host: Option<&str>) -> Result<&str, ExternalError> {
    let wrong = |why: &str| Err(ExternalError::login("host", why));
    let plain = |it: u8| it.is_ascii_alphanumeric() || b".-_:".contains(&it);
    match host {
        None | Some("") => wrong("it is missing"),
        Some(host) if host.starts_with('-') => wrong("a leading hyphen would be read as an option"),
        Some(host) if host.len() > HOST_CHARS_MAX => wrong("it is longer than any host name"),
        Some(host) if !host.bytes().all(plain) => {
            wrong("it has characters that no host name or address has")
        }
        Some(host) => Ok(host),
    }
}

fn checked_user(user: Option<&str>) -> Result<&str, ExternalError> {
    let wrong = |why: &str| Err(ExternalError::login("user", why));
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"._-+@".contains(&it);
    match user {
        None | Some("") => wrong("it is missing"),
        Some(user) if user.starts_with('-') => wrong("a leading hyphen would be read as an option"),
        Some(user) if user.len() > USER_CHARS_MAX => wrong("it is longer than any login name"),
        Some(user) if !user.bytes().all(plain) => wrong("it has characters that no login name has"),
        Some(user) => Ok(user),
    }
}

fn checked_port(field: &'static str, port: &str) -> Result<u16, ExternalError> {
    let is_number = !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit());
    let number = is_number.then(|| port.parse().ok()).flatten().filter(|it| *it != 0);
    number.ok_or_else(|| ExternalError::login(field, "it is not a number from 1 to 65535"))
}

fn checked_host_key(line: Option<&str>) -> Result<HostKey, ExternalError> {
    let wrong = |why: String| Err(ExternalError::login("hostKey", why));
    let Some(line) = line.map(str::trim).filter(|it| !it.is_empty()) else {
        return Ok(HostKey::FirstUse);
    };
    if line.chars().any(char::is_control) {
        return wrong("it has control characters".to_owned());
    }
    let mut fields = line.split(' ').filter(|it| !it.is_empty());
    let (Some(algorithm), Some(base64)) = (fields.next(), fields.next()) else {
        return wrong("it must read `TYPE BASE64`".to_owned());
    };
    let key = format!("{algorithm} {base64}");
    match ssh_key::PublicKey::from_openssh(&key) {
        Ok(_) => Ok(HostKey::Pinned(key)),
        Err(error) => wrong(format!("it is no public key: {error}")),
    }
}

/// The proxy command as ssh would start it. It is a command line by the protocol, so a shell reads it; the values that
/// are put into it have no character that a shell would mind.
fn proxy(
    ssh: &WireSsh,
    (host, user, port): (&str, &str, u16),
) -> Result<Vec<String>, ExternalError> {
    let command = ssh.proxy_command.as_deref().map(str::trim).filter(|it| !it.is_empty());
    let Some(command) = command else {
        if ssh.ssh_config_proxy == Some(true) {
            let why =
                "the user's ssh configuration is never read; send the command as `proxyCommand`";
            return Err(ExternalError::login("sshConfigProxy", why));
        }
        return Ok(Vec::new());
    };
    let wrong = |why: &str| Err(ExternalError::login("proxyCommand", why));
    if command.len() > PROXY_CHARS_MAX {
        return wrong("it is too long");
    }
    if command.chars().any(char::is_control) {
        return wrong("it has control characters");
    }
    if command.starts_with('-') {
        return wrong("its program has no name");
    }
    let mut line = String::from("exec ");
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some('h')) => line.push_str(host),
            ('%', Some('p')) => line.push_str(&port.to_string()),
            ('%', Some('r')) => line.push_str(user),
            ('%', Some('%')) => line.push('%'),
            ('%', _) => return wrong("of ssh's tokens it may have %h, %p, %r and %%"),
            (other, _) => line.push(other),
        }
    }
    Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), line])
}

/// A key file that an adapter names may log in beside the lease's own key, which an adapter that does not know
/// `publicKey` has told nobody.
fn checked_key_file(path: &Path) -> Result<(), ExternalError> {
    let wrong = |why: String| Err(ExternalError::KeyFile { path: path.to_owned(), why });
    if !path.is_absolute() {
        return wrong("its path is not absolute".to_owned());
    }
    let is_plain = |it: char| !it.is_control() && !"\"'\\".contains(it);
    let text = path.to_string_lossy();
    if !text.chars().all(is_plain) || text.contains("${") {
        return wrong("it has a quote, a backslash, `${` or a control character".to_owned());
    }
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) => return wrong(error.to_string()),
    };
    if !meta.is_file() {
        return wrong("it is not a regular file".to_owned());
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & !KEY_MODE != 0 {
        return wrong(format!("its mode is {mode:04o}, so others can read it; `chmod 600` it"));
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return wrong("it belongs to another user".to_owned());
    }
    Ok(())
}

fn root(lease: &WireLease, user: &str, configured: Option<&str>) -> Result<String, ExternalError> {
    if let Some(root) = lease.label("work_root").filter(|it| !it.is_empty()) {
        check_work_root(root)
            .map_err(|error| ExternalError::login("work_root", error.to_string()))?;
        return Ok(root.to_owned());
    }
    Ok(match configured {
        Some(root) => root.to_owned(),
        None if user == "root" => format!("/{user}/lease"),
        None => format!("/home/{user}/lease"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(ssh: &str) -> Result<Option<Reach>, ExternalError> {
        let lease = format!(r#"{{"leaseId":"a","ssh":{ssh}}}"#);
        reach(&serde_json::from_str(&lease).unwrap(), None, None)
    }

    #[track_caller]
    fn refused(ssh: &str, field: &str) {
        let error = said(ssh).unwrap_err().to_string();
        assert!(error.contains(field), "{ssh}: {error}");
    }

    #[test]
    fn an_adapter_cannot_inject_an_option() {
        let fine = said(r#"{"host":"192.0.2.7","user":"ann"}"#).unwrap().unwrap();
        assert_eq!((fine.port, fine.root.as_str()), (22, "/home/ann/lease/lease"));
        for host in
            ["-oProxyCommand=x", "a b", "a\\nb", "a\\u0000", "$(x)", "a;b", "a`b`", "a%h", ""]
        {
            refused(&format!(r#"{{"host":"{host}","user":"ann"}}"#), "ssh.host");
        }
        for user in ["-l", "a b", "a\\nb", "a%r", "a'b", ""] {
            refused(&format!(r#"{{"host":"h","user":"{user}"}}"#), "ssh.user");
        }
        for port in ["0", "65536", "+22", " 22", "22 -oX", "0x16", "-1", ""] {
            refused(&format!(r#"{{"host":"h","user":"u","port":"{port}"}}"#), "ssh.port");
        }
        refused(r#"{"host":"h","user":"u","fallbackPorts":["22","x"]}"#, "ssh.fallbackPorts");
        refused(
            r#"{"host":"h","user":"u","hostKey":"@cert-authority * ssh-ed25519 AAAA"}"#,
            "hostKey",
        );
        refused(r#"{"host":"h","user":"u","proxyCommand":"nc\nProxyJump x"}"#, "proxyCommand");
        refused(r#"{"host":"h","user":"u","proxyCommand":"nc %d"}"#, "proxyCommand");
        refused(r#"{"host":"h","user":"u","sshConfigProxy":true}"#, "sshConfigProxy");
    }

    #[test]
    fn an_empty_login_says_nothing() {
        assert_eq!(said("{}").unwrap(), None);
        assert_eq!(said("null").unwrap(), None);
        refused(r#"{"port":"22"}"#, "ssh.host");
    }

    #[test]
    fn a_proxy_command_gets_its_tokens() {
        let ssh = r#"{"host":"h","user":"u","port":"2222","proxyCommand":"nc -X %r %h %p 5%%"}"#;
        let reach = said(ssh).unwrap().unwrap();
        assert_eq!(reach.proxy, ["/bin/sh", "-c", "exec nc -X u h 2222 5%"]);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(&path, "x").unwrap();
        let ssh = format!(r#"{{"host":"h","user":"u","key":"{}"}}"#, path.display());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        refused(&ssh, "chmod 600");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let reach = said(&ssh).unwrap().unwrap();
        assert_eq!(reach.identity_file.as_deref(), path.to_str());
        fs::remove_file(&path).unwrap();
        refused(&ssh, "cannot be used");
    }
}
