//! The kinds of resource: how the contract, the journal and the interface call each of them.

use lease_core::{Error, ResourceId, Result};

use crate::error::HetznerError;

/// The lease's own key.
pub(crate) const SSH_KEY: &str = "ssh_key";
/// The server's IPv4 address.
pub(crate) const PRIMARY_IPV4: &str = "primary_ipv4";
/// The server's IPv6 network.
pub(crate) const PRIMARY_IPV6: &str = "primary_ipv6";
/// The machine.
pub(crate) const SERVER: &str = "server";

/// A kind of resource as the interface has it; addresses of both families are one kind there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    SshKey,
    PrimaryIp,
    Server,
}

impl Kind {
    /// All of them, in order of creation.
    pub(crate) const ALL: [Self; 3] = [Self::SshKey, Self::PrimaryIp, Self::Server];

    /// The kind that the contract's word means.
    pub(crate) fn of(word: &str) -> Option<Self> {
        match word {
            SSH_KEY => Some(Self::SshKey),
            PRIMARY_IPV4 | PRIMARY_IPV6 => Some(Self::PrimaryIp),
            SERVER => Some(Self::Server),
            _ => None,
        }
    }

    /// One of them, as a key in an answer and at the beginning of our ids.
    pub(crate) fn one(self) -> &'static str {
        match self {
            Self::SshKey => "ssh_key",
            Self::PrimaryIp => "primary_ip",
            Self::Server => "server",
        }
    }

    /// Many of them, as a path and as a key in an answer.
    pub(crate) fn many(self) -> &'static str {
        match self {
            Self::SshKey => "ssh_keys",
            Self::PrimaryIp => "primary_ips",
            Self::Server => "servers",
        }
    }

    /// How people call one.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::SshKey => "SSH key",
            Self::PrimaryIp => "primary IP",
            Self::Server => "server",
        }
    }
}

/// The id of a resource over all kinds: the interface counts each kind for itself, so the number alone says nothing.
pub(crate) fn resource_id(kind: Kind, number: u64) -> Result<ResourceId> {
    format!("{}-{number}", kind.one()).parse()
}

/// The kind and number of an id of ours; `None` for what was never one.
pub(crate) fn parse_id(id: &ResourceId) -> Option<(Kind, u64)> {
    let (word, number) = id.as_str().rsplit_once('-')?;
    let kind = Kind::ALL.into_iter().find(|it| it.one() == word)?;
    let plain = number.bytes().all(|it| it.is_ascii_digit()) && !number.starts_with('0');
    Some((kind, number.parse().ok().filter(|_| plain)?))
}

/// The same for an id that must be one of a kind.
pub(crate) fn number_of(
    id: &ResourceId,
    kind: Kind,
    operation: &'static str,
) -> Result<u64, Error> {
    match parse_id(id) {
        Some((found, number)) if found == kind => Ok(number),
        _ => {
            let why = format!("{id} is not the id of a {}", kind.noun());
            Err(HetznerError::Record(why).harmless(operation))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_one_kind_and_one_number() {
        for kind in Kind::ALL {
            let id = resource_id(kind, 42).unwrap();
            assert_eq!(parse_id(&id), Some((kind, 42)));
            assert_eq!(number_of(&id, kind, "test").unwrap(), 42);
        }
        let id = resource_id(Kind::Server, 42).unwrap();
        assert!(number_of(&id, Kind::SshKey, "test").is_err());
    }

    #[test]
    fn what_was_never_an_id_of_ours_is_none() {
        for text in
            ["42", "server-", "server-x", "server-042", "volume-1", "server--1", "server-+1"]
        {
            assert_eq!(parse_id(&text.parse().unwrap()), None, "{text}");
        }
        let huge = "server-99999999999999999999";
        assert_eq!(parse_id(&huge.parse().unwrap()), None);
    }
}
