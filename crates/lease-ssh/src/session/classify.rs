//! Sorting ssh's own words about a failed login. The only file that knows them.

use crate::error::{LoginFailure, SshError, shortened};

/// Makes the error of a failed login from what ssh and the proxy command said.
pub(super) fn login_error(ssh_said: &[u8], proxy_said: &[u8], has_proxy: bool) -> SshError {
    let text = String::from_utf8_lossy(ssh_said);
    let mut failure = sort(&text, has_proxy);
    // ssh may die of the pipe that its proxy closed, and says nothing then.
    if has_proxy
        && failure == LoginFailure::Other
        && (text.trim().is_empty() || !proxy_said.is_empty())
    {
        failure = LoginFailure::ProxyFailed;
    }
    let mut detail = shortened(ssh_said);
    if failure == LoginFailure::ProxyFailed && !proxy_said.is_empty() {
        detail = shortened(proxy_said);
    }
    SshError::Login { failure, detail }
}

fn sort(text: &str, has_proxy: bool) -> LoginFailure {
    let says = |words: &[&str]| words.iter().any(|it| text.contains(it));
    // The order matters: the surest words first.
    if says(&[
        "Host key verification failed",
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "host key is known for",
    ]) {
        LoginFailure::HostKeyMismatch
    } else if says(&[
        "Permission denied (",
        "Too many authentication failures",
        "No more authentication methods",
    ]) {
        LoginFailure::AuthRefused
    } else if says(&[
        "Could not resolve hostname",
        "Name or service not known",
        "nodename nor servname",
    ]) {
        LoginFailure::NameResolution
    } else if says(&["Connection refused"]) {
        LoginFailure::Refused
    } else if says(&["timed out", "No route to host", "Network is unreachable", "Host is down"]) {
        LoginFailure::Timeout
    } else if has_proxy
        && says(&[
            "kex_exchange_identification",
            "banner exchange",
            "Connection closed",
            "Broken pipe",
        ])
    {
        // Before the banner nobody but the proxy command has spoken.
        LoginFailure::ProxyFailed
    } else if says(&[
        "Connection closed",
        "Connection reset",
        "Broken pipe",
        "kex_exchange_identification",
    ]) {
        LoginFailure::Closed
    } else {
        LoginFailure::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, has_proxy: bool, expect: LoginFailure) {
        assert_eq!(sort(text, has_proxy), expect, "{text}");
    }

    #[test]
    fn ssh_words_are_understood() {
        check("ssh: connect to host h port 22: Connection refused", false, LoginFailure::Refused);
        check("ssh: connect to host h port 22: Connection timed out", false, LoginFailure::Timeout);
        check("ssh: connect to host h port 22: Operation timed out", false, LoginFailure::Timeout);
        check("Connection timed out during banner exchange", true, LoginFailure::Timeout);
        check(
            "ssh: Could not resolve hostname h: Name or service not known",
            false,
            LoginFailure::NameResolution,
        );
        check("me@h: Permission denied (publickey).", false, LoginFailure::AuthRefused);
        check(
            "No ED25519 host key is known for lse-a and you have",
            false,
            LoginFailure::HostKeyMismatch,
        );
        check(
            "kex_exchange_identification: Connection closed by remote host",
            true,
            LoginFailure::ProxyFailed,
        );
        check(
            "kex_exchange_identification: Connection closed by remote host",
            false,
            LoginFailure::Closed,
        );
        check("something new", false, LoginFailure::Other);
    }
}
