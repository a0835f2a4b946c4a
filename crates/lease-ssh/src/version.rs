//! Which OpenSSH the generated configurations are for.

/// The first version of the client that works: its release notes introduce `accept-new` for `StrictHostKeyChecking`.
pub const VERSION_MIN: (u32, u32) = (7, 6);

/// The version, major and minor, in what `ssh -V` says; `None` when it is no OpenSSH that speaks.
pub fn version(said: &str) -> Option<(u32, u32)> {
    let (_, tail) = said.split_once("OpenSSH_")?;
    let mut numbers = tail.split(|it: char| !it.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, expect: Option<(u32, u32)>) {
        assert_eq!(version(said), expect, "{said:?}");
    }

    #[test]
    fn versions_are_read_whoever_built_the_program() {
        check("OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15", Some((9, 2)));
        check("OpenSSH_for_Windows_8.1p1, LibreSSL 3.0.2", None);
        check("OpenSSH_10.0p2, LibreSSL 3.3.6", Some((10, 0)));
        check("OpenSSH_7.2p2", Some((7, 2)));
        check("Dropbear v2022.83", None);
        check("OpenSSH_99999999999.1", None);
        check("", None);
    }
}
