//! What a box on this machine is given of our surroundings: where toolchains are, and the name to log in with.

use std::collections::BTreeMap;

use crate::env::Environment;
use crate::failure::Failure;

/// What commands on a box on this machine see of our environment, beside what the configuration adds.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "GOPATH",
    "JAVA_HOME",
];

/// What commands on a box on this machine see: where toolchains are, and nothing that could be a credential.
pub(crate) fn passed_on(environment: &Environment) -> BTreeMap<String, String> {
    let pairs = PASSED_ON.iter().filter_map(|name| {
        let value = environment.variable(name)?.to_str()?;
        // A box cannot be given a value of several lines; that must not keep anyone from leasing one.
        let plain = !value.chars().any(char::is_control);
        plain.then(|| ((*name).to_owned(), value.to_owned()))
    });
    pairs.collect()
}

/// The login name of the user that this process runs as. What the system says counts before what a variable says,
/// which `su` and `sudo` leave behind.
pub(crate) fn login_name(environment: &Environment) -> Result<String, Failure> {
    let uid = rustix::process::getuid().as_raw();
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = login_of(&known, uid).or_else(|| environment.text("USER").ok().flatten());
    let name = name.or_else(|| environment.text("LOGNAME").ok().flatten()).map(str::to_owned);
    name.ok_or_else(|| {
        let what = format!("the login name of user {uid} is not known");
        Failure::invalid(what, "export USER=\"$(id -un)\"").kind("config")
    })
}

/// The login name of `uid` in the text of a password file.
fn login_of(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|it| !it.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_password_file_knows_the_login_name() {
        let passwd = "# note\nroot:x:0:0::/root:/bin/sh\n:x:7:7::/:\nann:x:1000:1000::/home/ann:/bin/sh\nbad:x\n";
        assert_eq!(login_of(passwd, 1000), Some("ann"));
        assert_eq!(login_of(passwd, 0), Some("root"));
        assert_eq!((login_of(passwd, 7), login_of(passwd, 9)), (None, None));
    }

    #[test]
    fn what_is_passed_on_holds_no_stranger() {
        let given =
            [("HOME", "/h"), ("PATH", "/b"), ("AWS_SECRET_ACCESS_KEY", "planted-31"), ("LANG", "")];
        let passed = passed_on(&Environment::of(&given, Path::new("/")));
        assert_eq!(
            passed.into_iter().collect::<Vec<_>>(),
            [("HOME".to_owned(), "/h".to_owned()), ("PATH".to_owned(), "/b".to_owned())]
        );
    }
}
