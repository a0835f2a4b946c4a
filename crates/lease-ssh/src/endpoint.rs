//! Where a box is and how it proves that it is the one, as plain data that is checked before ssh sees it.
//!
//! Providers hand these values over from the network. None of them can start an option, begin a new line of the
//! configuration or be expanded: what does not fit the narrow alphabets here is refused, not escaped.

use std::path::PathBuf;

use crate::error::{Result, SshError};

/// Where and how to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address. With a proxy command it is a label for messages only.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Login name.
    pub user: String,
    /// A program, as argv, whose standard streams are the connection; `None` for plain TCP.
    pub proxy_command: Option<Vec<String>>,
    /// What is known of the host's key.
    pub host_key: HostKey,
    /// A private key file of somebody else that may log in beside the lease's own key; absolute. It is not offered to a
    /// host that may be a stranger's, where only the lease's own key proves anything.
    pub identity_file: Option<PathBuf>,
}

/// What is known of the host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKey {
    /// Known over a trusted path before the first contact: `TYPE BASE64`, a comment may follow.
    Pinned(String),
    /// Learnt at the first contact and strict afterwards.
    FirstUse,
}

impl Endpoint {
    /// Checks every value.
    ///
    /// # Errors
    /// [`SshError::Invalid`], which names the value.
    pub fn check(&self) -> Result<()> {
        check_host(&self.host)?;
        check_user(&self.user)?;
        if self.port == 0 {
            return Err(SshError::invalid("the port", "it is 0"));
        }
        if let Some(argv) = &self.proxy_command {
            check_proxy(argv)?;
        }
        match &self.host_key {
            HostKey::Pinned(line) => pinned_key(line).map(drop),
            HostKey::FirstUse => Ok(()),
        }
    }
}

/// The `TYPE BASE64` of a public key line, without its comment.
///
/// # Errors
/// [`SshError::Invalid`] when it is no OpenSSH public key.
pub(crate) fn pinned_key(line: &str) -> Result<String> {
    let wrong = |why: &str| SshError::invalid("the pinned host key", why);
    let line = line.trim_end_matches(['\r', '\n']);
    if line.chars().any(char::is_control) {
        return Err(wrong("it has control characters"));
    }
    let mut fields = line.split(' ').filter(|field| !field.is_empty());
    let (Some(algorithm), Some(base64)) = (fields.next(), fields.next()) else {
        return Err(wrong("it must read `TYPE BASE64`"));
    };
    let known = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"]
        .iter()
        .any(|prefix| algorithm.starts_with(prefix));
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-@.".contains(&it);
    if !known || !algorithm.bytes().all(plain) {
        return Err(wrong("its type is unknown"));
    }
    let key = format!("{algorithm} {base64}");
    ssh_key::PublicKey::from_openssh(&key)
        .map_err(|error| wrong(&format!("it does not decode: {error}")))?;
    Ok(key)
}

fn check_host(host: &str) -> Result<()> {
    let wrong = |why: &str| Err(SshError::invalid("the host", why));
    let plain = |it: u8| it.is_ascii_alphanumeric() || b".-_:%".contains(&it);
    if host.is_empty() || host.len() > 253 {
        return wrong("it must have 1 to 253 characters");
    }
    if host.starts_with('-') {
        return wrong("a leading hyphen would be read as an option");
    }
    if host.bytes().all(plain) {
        Ok(())
    } else {
        wrong("it has characters that no host name or address has")
    }
}

fn check_user(user: &str) -> Result<()> {
    let wrong = |why: &str| Err(SshError::invalid("the user", why));
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"._-+@".contains(&it);
    if user.is_empty() || user.len() > 64 {
        return wrong("it must have 1 to 64 characters");
    }
    if user.starts_with('-') {
        return wrong("a leading hyphen would be read as an option");
    }
    if user.bytes().all(plain) { Ok(()) } else { wrong("it has characters that no login name has") }
}

fn check_proxy(argv: &[String]) -> Result<()> {
    let wrong = |why: &str| Err(SshError::invalid("the proxy command", why));
    match argv.first() {
        None => wrong("it is empty"),
        Some(program) if program.is_empty() || program.starts_with('-') => {
            wrong("its program has no name")
        }
        Some(_) if argv.iter().any(|arg| arg.contains('\0')) => {
            wrong("an argument has a NUL character")
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn endpoint() -> Endpoint {
        Endpoint {
            host: "192.0.2.7".to_owned(),
            port: 22,
            user: "root".to_owned(),
            proxy_command: None,
            host_key: HostKey::Pinned(KEY.to_owned()),
            identity_file: None,
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Endpoint)) {
        let mut it = endpoint();
        change(&mut it);
        assert!(matches!(it.check(), Err(SshError::Invalid { .. })), "{it:?}");
    }

    #[test]
    fn a_provider_cannot_inject_an_option() {
        assert!(endpoint().check().is_ok());
        for bad in [
            "",
            "-oProxyCommand=x",
            "a b",
            "a\nProxyCommand x",
            "a\"b",
            "a#b",
            "a\0b",
            "a/b",
            "$(x)",
            &"x".repeat(254),
        ] {
            refused(|it| it.host = bad.to_owned());
        }
        for bad in ["", "-l", "a b", "a\nb", "a'b", "a%b", "a\tb"] {
            refused(|it| it.user = bad.to_owned());
        }
        refused(|it| it.port = 0);
        refused(|it| it.proxy_command = Some(Vec::new()));
        refused(|it| it.proxy_command = Some(vec!["-x".to_owned()]));
        refused(|it| it.proxy_command = Some(vec!["a".to_owned(), "b\0".to_owned()]));
    }

    #[test]
    fn a_pinned_key_is_one_key_and_nothing_else() {
        assert_eq!(pinned_key(&format!("{KEY} comment\n")).unwrap(), KEY);
        for bad in
            ["", "ssh-ed25519", "ssh-ed25519 AAAA", "x y", "@cert-authority * ssh-ed25519 AAAA"]
        {
            assert!(pinned_key(bad).is_err(), "{bad}");
        }
        assert!(pinned_key(&format!("{KEY}\n* {KEY}")).is_err());
    }
}
