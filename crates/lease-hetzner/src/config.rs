//! What the provider is given. Each value that Hetzner does not document can be set here; nothing is looked up.

use std::time::Duration;

use lease_core::Secret;
use lease_http::Endpoint;

use crate::error::HetznerError;

/// Where the interface is (documented).
pub const ENDPOINT: &str = "https://api.hetzner.cloud/v1";

/// How long a new resource may be missing from look-ups, and a deleted one may linger. Inferred: nothing is documented.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);

/// How long after it was sent an unanswered create may still take effect. Inferred: a gateway gives up before that.
pub(crate) const LANDING: Duration = Duration::from_secs(60);

const READ_DEADLINE: Duration = Duration::from_secs(20);
const WRITE_DEADLINE: Duration = Duration::from_secs(45);

/// The longest that a call may be configured to take. A create is one call and sometimes three looks after it, and the
/// engine calls the outcome unknown after two minutes.
const DEADLINE_MAX: Duration = Duration::from_secs(55);

/// How many of the project's requests only a deletion, and the looks that it needs, may use. Giving one lease back takes
/// about seventy.
const REQUEST_RESERVE: u64 = 600;

/// The fewest bytes of a secret that host keys are derived from.
const HOST_KEY_SECRET_BYTES_MIN: usize = 32;

const USER_CHARS_MAX: usize = 32;

/// What an answer to the create of a server says when another type or location may work. Both are inferred from what
/// others met: the documents have no code for it.
const CAPACITY_PHRASES: [&str; 2] =
    ["unsupported location for server type", "server type is not available"];

/// The processors of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Intel or AMD, 64 bits.
    X86,
    /// ARM, 64 bits.
    Arm,
}

impl Architecture {
    /// The word of the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::Arm => "arm",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::X86, Self::Arm].into_iter().find(|it| it.name() == word)
    }
}

/// Whether a server has an address of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// It has one, which is made and deleted with it.
    On,
    /// It has none.
    Off,
}

impl Family {
    pub(crate) fn is_on(self) -> bool {
        self == Self::On
    }
}

/// The configuration of [`HetznerProvider`](crate::HetznerProvider).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HetznerConfig {
    /// The base address of the interface: `https`, or `http` to this machine itself.
    pub endpoint: String,
    /// A token of the project, with the right to read and write. Without one, each call is refused before anything is
    /// sent.
    pub token: Option<Secret>,
    /// At least 32 random bytes, as text, that belong to the installation and never change: host keys are derived from
    /// it. With another one, servers that run already cannot be reached any more; they can still be deleted.
    pub host_key_secret: Secret,
    /// Who logs in. That system images let in `root` is general knowledge, not documented.
    pub user: String,
    /// The port of sshd. 22 is inferred.
    pub port: u16,
    /// The absolute directory on the server below which each lease gets one.
    pub work_root: String,
    /// The locations to try, best first.
    pub locations: Vec<String>,
    /// The image, by name or id.
    pub image: String,
    /// The processors when neither a spec nor a machine type says which.
    pub architecture: Architecture,
    /// Networks to attach, by name or id. They are used and never changed.
    pub networks: Vec<String>,
    /// Whether servers have an IPv4 address, which costs money.
    pub ipv4: Family,
    /// Whether servers have an IPv6 network.
    pub ipv6: Family,
    /// A key of the user that may log in too, by name or id. It is used and never changed.
    pub ssh_key: Option<String>,
    /// Packages to install besides git, rsync and tar.
    pub packages: Vec<String>,
    /// How long a new resource may be missing from look-ups, and a deleted one may linger.
    pub settle: Duration,
    /// How long after it was sent an unanswered create may still take effect.
    pub landing: Duration,
    /// How many of the project's requests are kept for deletions.
    pub request_reserve: u64,
    /// What the answer to a create of a server says, in its code or message, when another candidate may work; beside
    /// the documented codes.
    pub capacity_phrases: Vec<String>,
    /// How long a call that reads may take.
    pub read_deadline: Duration,
    /// How long a call that changes something may take.
    pub write_deadline: Duration,
}

impl HetznerConfig {
    /// A configuration with defaults for everything but the secrets.
    pub fn new(token: Option<Secret>, host_key_secret: Secret) -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            token,
            host_key_secret,
            user: "root".to_owned(),
            port: 22,
            work_root: "/srv/lease".to_owned(),
            locations: ["fsn1", "nbg1", "hel1"].map(str::to_owned).to_vec(),
            image: "debian-12".to_owned(),
            architecture: Architecture::X86,
            networks: Vec::new(),
            ipv4: Family::On,
            ipv6: Family::Off,
            ssh_key: None,
            packages: Vec::new(),
            settle: SETTLE,
            landing: LANDING,
            request_reserve: REQUEST_RESERVE,
            capacity_phrases: CAPACITY_PHRASES.map(str::to_owned).to_vec(),
            read_deadline: READ_DEADLINE,
            write_deadline: WRITE_DEADLINE,
        }
    }

    /// Refuses what could not work, or would be dangerous.
    pub(crate) fn check(&self) -> Result<Endpoint, HetznerError> {
        let refuse = |what, why: &str| Err(HetznerError::Config { what, why: why.to_owned() });
        let endpoint: Endpoint = self.endpoint.parse().map_err(|error: lease_core::Error| {
            HetznerError::Config { what: "endpoint", why: error.message().to_owned() }
        })?;
        if self.host_key_secret.expose().len() < HOST_KEY_SECRET_BYTES_MIN {
            return refuse("host_key_secret", "it must have at least 32 bytes");
        }
        if !is_user(&self.user) {
            return refuse(
                "user",
                "it must be a login name of at most 32 letters, digits, dots, underscores and hyphens",
            );
        }
        if self.port == 0 {
            return refuse("port", "there is no port 0");
        }
        if !is_root(&self.work_root) {
            return refuse(
                "work_root",
                "it must be an absolute path below the root directory, without `.`, `..`, a slash at the end or control characters",
            );
        }
        if self.locations.is_empty() || !self.locations.iter().all(|it| is_word(it)) {
            return refuse("locations", "it must name at least one location, such as fsn1");
        }
        if !is_word(&self.image) {
            return refuse("image", "it must be the name or id of an image, such as debian-12");
        }
        if !self.packages.iter().all(|it| is_package(it)) {
            return refuse("packages", "one of them is not the name of a package");
        }
        if !self.ipv4.is_on() && !self.ipv6.is_on() {
            return refuse(
                "ipv4",
                "a server without any public address cannot be reached; turn on ipv4 or ipv6",
            );
        }
        if self.capacity_phrases.iter().any(|it| it.trim().is_empty()) {
            return refuse("capacity_phrases", "an empty phrase is in every answer");
        }
        for (what, deadline) in
            [("read_deadline", self.read_deadline), ("write_deadline", self.write_deadline)]
        {
            if deadline.is_zero() || deadline > DEADLINE_MAX {
                return refuse(what, "it must be more than zero and at most 55 seconds");
            }
        }
        Ok(endpoint)
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-.".contains(&it))
}

fn is_package(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_alphanumeric())
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-.+:=~".contains(&it))
}

fn is_user(user: &str) -> bool {
    user.len() <= USER_CHARS_MAX
        && user.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
        && is_word(user)
}

fn is_root(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|inner| {
        inner.split('/').all(|it| !it.is_empty() && it != "." && it != "..")
            && !inner.chars().any(char::is_control)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut HetznerConfig), refused: Option<&str>) {
        let secret = Secret::new("0123456789abcdef0123456789abcdef");
        let mut config = HetznerConfig::new(None, secret);
        change(&mut config);
        let found = config.check().err().map(|error| match error {
            HetznerError::Config { what, .. } => what,
            HetznerError::NoToken | HetznerError::Request(_) | HetznerError::Record(_) => {
                "another error"
            }
        });
        assert_eq!(found, refused, "{config:?}");
    }

    #[test]
    fn each_value_is_checked_before_it_is_used() {
        check(|_| {}, None);
        check(|it| it.endpoint = "http://127.0.0.1:1/v1".into(), None);
        check(|it| it.endpoint = "http://api.hetzner.cloud/v1".into(), Some("endpoint"));
        check(|it| it.host_key_secret = Secret::new("short"), Some("host_key_secret"));
        check(|it| it.user = "-oProxyCommand=x".into(), Some("user"));
        check(|it| it.user = String::new(), Some("user"));
        check(|it| it.port = 0, Some("port"));
        for bad in ["", "/", "root", "/a/../b", "/a//b", "/a/", "/a\nb"] {
            check(|it| it.work_root = bad.into(), Some("work_root"));
        }
        check(|it| it.work_root = "/srv/x y".into(), None);
        check(|it| it.locations = Vec::new(), Some("locations"));
        check(|it| it.locations = vec!["fsn1/x".into()], Some("locations"));
        check(|it| it.image = "debian 12".into(), Some("image"));
        check(|it| it.packages = vec!["g++-14".into()], None);
        check(|it| it.packages = vec!["--force".into()], Some("packages"));
        check(|it| it.ipv4 = Family::Off, Some("ipv4"));
        check(|it| (it.ipv4, it.ipv6) = (Family::Off, Family::On), None);
        check(|it| it.capacity_phrases = vec![" ".into()], Some("capacity_phrases"));
        check(|it| it.read_deadline = Duration::ZERO, Some("read_deadline"));
        check(|it| it.write_deadline = Duration::from_secs(56), Some("write_deadline"));
    }

    #[test]
    fn printing_the_configuration_shows_no_secret() {
        let token = Secret::new("planted-77");
        let config = HetznerConfig::new(Some(token), Secret::new("planted-78"));
        assert!(!format!("{config:?}").contains("planted"));
    }
}
