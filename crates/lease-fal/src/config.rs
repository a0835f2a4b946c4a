//! What the provider is given. Each value that fal does not document can be set here; nothing is looked up.

use std::time::Duration;

use lease_core::Secret;
use lease_http::Endpoint;

use crate::error::FalError;
use crate::machines;

/// Where fal's platform interface is (documented).
pub const ENDPOINT: &str = "https://api.fal.ai/v1";

/// How long after the first one a repetition of a create is begun. It has to arrive while fal remembers the first, also
/// if each of its requests hangs until its deadline, so that much earlier is the last moment to begin one.
pub(crate) const REPLAY_WINDOW: Duration = REMEMBERED
    .saturating_sub(SPARE)
    .saturating_sub(longest_repetition(READ_DEADLINE, WRITE_DEADLINE));

/// What fal documents as the life of a remembered answer. From when it counts is not documented; the earliest is the
/// arrival of the first request, which is not before our record of it.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// What is given away of that by default, for clocks that run at different speeds.
const SPARE: Duration = Duration::from_secs(60);

/// How long an instance may be missing from lists after its creation, or linger after its end. Inferred: nothing public
/// says it.
pub(crate) const SETTLE: Duration = Duration::from_secs(30);

/// How long after it was sent an unanswered create may still take effect, the boot until a login works included.
/// Inferred: documented is only that provisioning typically takes two to three minutes.
pub(crate) const LANDING: Duration = Duration::from_secs(60 * 60);

/// Who logs in, as documented.
pub(crate) const USER: &str = "ubuntu";

/// Where sshd listens: inferred, since the documented command line names no port.
pub(crate) const PORT: u16 = 22;

/// The largest page that is asked for. That there is a maximum is documented, its value is not.
const PAGE_ITEMS: u32 = 100;

const READ_DEADLINE: Duration = Duration::from_secs(20);

/// A create is given as long as possible: what happens when it is repeated while the first one is still being served is
/// unknown.
const WRITE_DEADLINE: Duration = DEADLINE_MAX;

/// The longest that a call may be configured to take; the engine gives up after two minutes, in which a repeated create
/// also asks for the account.
const DEADLINE_MAX: Duration = Duration::from_secs(90);

const USER_CHARS_MAX: usize = 32;

/// The host of fal's earlier compute interface, which has other paths and other answers.
const LEGACY_HOST: &str = "rest.alpha.fal.ai";

/// The configuration of [`FalProvider`](crate::FalProvider).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FalConfig {
    /// The base address of the interface: `https`, or `http` to this machine itself.
    pub endpoint: String,
    /// An API key of admin scope. Without one, each call is refused before anything is sent.
    pub key: Option<Secret>,
    /// The instance type when a spec names neither a type nor a class. One that is not known here may be given, for the
    /// day on which fal adds one.
    pub instance_type: String,
    /// The InfiniBand sector of machines with eight GPUs when a spec names none.
    pub sector: Option<String>,
    /// Who logs in. `ubuntu` is documented.
    pub user: String,
    /// The port of sshd. 22 is inferred: the documented command line names none.
    pub port: u16,
    /// The absolute directory on the machine that the lease gets.
    pub work_root: String,
    /// How many instances a page of a listing is asked to have; `None` leaves it to fal.
    pub page_items: Option<u32>,
    /// How long after the first one a repetition of an unanswered create is begun; zero never repeats it. With twice
    /// the deadline of a read and once that of a create it has to stay below the ten minutes that are documented.
    pub replay_window: Duration,
    /// How long an instance may be missing from lists after its creation, or linger after its end.
    pub settle: Duration,
    /// How long after it was sent an unanswered create may still take effect, the boot until a login works included.
    pub landing: Duration,
    /// How long a call that reads may take.
    pub read_deadline: Duration,
    /// How long a create or a delete may take.
    pub write_deadline: Duration,
}

impl FalConfig {
    /// A configuration with defaults for everything but the key.
    pub fn new(key: Option<Secret>) -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            key,
            instance_type: machines::ONE.to_owned(),
            sector: None,
            user: USER.to_owned(),
            port: PORT,
            work_root: "/home/ubuntu/lease".to_owned(),
            page_items: Some(PAGE_ITEMS),
            replay_window: REPLAY_WINDOW,
            settle: SETTLE,
            landing: LANDING,
            read_deadline: READ_DEADLINE,
            write_deadline: WRITE_DEADLINE,
        }
    }

    /// Refuses what could not work, or would be dangerous.
    pub(crate) fn check(&self) -> Result<Endpoint, FalError> {
        let refuse = |what, why: &str| Err(FalError::Config { what, why: why.to_owned() });
        let endpoint: Endpoint = self.endpoint.parse().map_err(|error: lease_core::Error| {
            FalError::Config { what: "endpoint", why: error.message().to_owned() }
        })?;
        if endpoint.origin().ends_with(LEGACY_HOST) {
            return refuse(
                "endpoint",
                "that is fal's earlier interface, which answers otherwise; use https://api.fal.ai/v1",
            );
        }
        if !is_word(&self.instance_type) {
            return refuse("instance_type", "it is no instance type");
        }
        if self.sector.as_deref().is_some_and(|it| !is_word(it)) {
            return refuse("sector", "it is no sector");
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
                "it must be an absolute path below the root directory, without `.`, `..` or control characters",
            );
        }
        if self.page_items == Some(0) {
            return refuse("page_items", "a page has at least one item");
        }
        let takes = longest_repetition(self.read_deadline, self.write_deadline);
        let repeats = !self.replay_window.is_zero();
        if repeats && self.replay_window.saturating_add(takes) >= REMEMBERED {
            return refuse(
                "replay_window",
                "fal forgets a create after ten minutes, and a repetition that arrives then makes a second machine; use \
                 less, so that two reads and a create that hang until their deadlines end before that",
            );
        }
        for (what, deadline) in
            [("read_deadline", self.read_deadline), ("write_deadline", self.write_deadline)]
        {
            if deadline.is_zero() || deadline > DEADLINE_MAX {
                return refuse(what, "it must be more than zero and at most 90 seconds");
            }
        }
        Ok(endpoint)
    }
}

/// How long after it is begun a repetition may arrive: the account is asked for before it is recorded and once more
/// before it is sent.
const fn longest_repetition(read: Duration, write: Duration) -> Duration {
    read.saturating_mul(2).saturating_add(write)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-.".contains(&it))
}

fn is_user(user: &str) -> bool {
    let inner = |it: u8| it.is_ascii_alphanumeric() || b"_.-".contains(&it);
    user.len() <= USER_CHARS_MAX
        && user.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
        && user.bytes().all(inner)
}

fn is_root(path: &str) -> bool {
    let inner = path.trim_end_matches('/');
    inner.starts_with('/')
        && !inner.split('/').any(|it| it == "." || it == "..")
        && !inner.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut FalConfig), refused: Option<&str>) {
        let mut config = FalConfig::new(None);
        change(&mut config);
        let found = config.check().err().map(|error| match error {
            FalError::Config { what, .. } => what,
            FalError::NoKey | FalError::Request(_) => "another error",
        });
        assert_eq!(found, refused, "{config:?}");
    }

    #[test]
    fn each_value_is_checked_before_it_is_used() {
        check(|_| {}, None);
        check(|it| it.endpoint = "http://127.0.0.1:1/v1".into(), None);
        check(|it| it.endpoint = "http://api.fal.ai/v1".into(), Some("endpoint"));
        check(|it| it.endpoint = "https://key@api.fal.ai/v1".into(), Some("endpoint"));
        check(|it| it.endpoint = "https://rest.alpha.fal.ai".into(), Some("endpoint"));
        check(|it| it.instance_type = "gpu_4x_b200".into(), None);
        check(|it| it.instance_type = String::new(), Some("instance_type"));
        check(|it| it.sector = Some("sector 1".into()), Some("sector"));
        check(|it| it.port = 0, Some("port"));
        check(|it| it.page_items = Some(0), Some("page_items"));
        check(|it| it.page_items = None, None);
        check(|it| it.replay_window = Duration::ZERO, None);
        check(|it| it.replay_window = REMEMBERED, Some("replay_window"));
        check(|it| it.replay_window = Duration::from_secs(470), Some("replay_window"));
        check(|it| it.replay_window = Duration::from_secs(469), None);
        check(|it| it.read_deadline = DEADLINE_MAX, Some("replay_window"));
        check(|it| (it.read_deadline, it.replay_window) = (DEADLINE_MAX, Duration::ZERO), None);
        check(|it| it.read_deadline = Duration::ZERO, Some("read_deadline"));
        check(|it| it.write_deadline = Duration::from_secs(120), Some("write_deadline"));
    }

    #[test]
    fn a_login_name_that_ssh_would_read_as_something_else_is_refused() {
        for good in ["ubuntu", "_x", "a.b-c_1"] {
            check(|it| it.user = good.into(), None);
        }
        let long = "a".repeat(33);
        for bad in ["", "-oProxyCommand=x", "a b", "1a", "a@b", "ü", &long] {
            check(|it| it.user = bad.into(), Some("user"));
        }
    }

    #[test]
    fn the_directory_on_the_machine_is_a_plain_absolute_path() {
        for good in ["/home/ubuntu/lease", "/srv/x y/"] {
            check(|it| it.work_root = good.into(), None);
        }
        for bad in ["", "/", "lease", "~/lease", "/a/../b", "/a/./b", "/a\nb"] {
            check(|it| it.work_root = bad.into(), Some("work_root"));
        }
    }

    #[test]
    fn printing_the_configuration_does_not_show_the_key() {
        let config = FalConfig::new(Some(Secret::new("planted-77:x")));
        assert!(!format!("{config:?}").contains("planted-77"));
    }
}
