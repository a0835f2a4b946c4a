//! Where a provider's interface is, checked once, so that a credential never goes to a place nobody meant.

use std::fmt;
use std::str::FromStr;

use lease_core::{Error, ErrorKind};
use url::{Host, Url};

/// The base address of an interface: `https`, or `http` to this machine itself.
///
/// ```
/// use lease_http::Endpoint;
/// let endpoint: Endpoint = "https://api.example.com/v1/".parse()?;
/// assert_eq!(endpoint.origin(), "https://api.example.com");
/// assert_eq!(endpoint.host(), "api.example.com");
/// assert_eq!(endpoint.to_string(), "https://api.example.com/v1");
/// # Ok::<(), lease_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    origin: String,
    path: String,
}

impl Endpoint {
    /// Scheme, host and the port if it is not the scheme's own. This is what a scope names.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The host and the port if it is not the scheme's own, for people.
    pub fn host(&self) -> &str {
        self.origin.split_once("://").map_or(&self.origin, |(_, host)| host)
    }

    /// The path that every call begins with, without a slash at the end; empty for the root.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    /// Reads an address.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is not the plain address of an interface. What may hold a credential is refused
    /// without being repeated.
    fn from_str(text: &str) -> Result<Self, Error> {
        let url =
            Url::parse(text).map_err(|error| refused(format!("it is no address: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(
                "it holds a user name or a password; pass credentials apart from it",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it has a query or a fragment; end it with the path"));
        }
        // The parser resolves dots and turns backslashes and blanks into something else; what it would have to change
        // is refused, so that the address that is used is the one that was written.
        let odd =
            |it: char| it.is_whitespace() || it.is_control() || matches!(it, '\\' | '%' | '@');
        if text.contains(odd) || text.split('/').any(|it| it == "." || it == "..") {
            return Err(refused(
                "its path must not hold dots as a segment, escapes, blanks or backslashes",
            ));
        }
        let path = url.path().trim_end_matches('/');
        if path.contains("//") || !text.trim_end_matches('/').ends_with(path) {
            return Err(refused("its path must be plain characters with single slashes between"));
        }
        // The parser also supplies slashes that are missing and drops those that are too many.
        let after = text.split_at_checked(url.scheme().len()).map_or("", |(_, after)| after);
        if !after.starts_with("://") || after.starts_with(":///") {
            return Err(refused("it must begin with https:// and a host"));
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                return Err(refused(
                    "it is not encrypted; use https, or http to this machine only",
                ));
            }
            _ => return Err(refused("it must begin with https://")),
        }
        Ok(Self { origin: url.origin().ascii_serialization(), path: path.to_owned() })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// Whether the host is this machine by its spelling; no name is looked up.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn refused(why: impl fmt::Display) -> Error {
    Error::harmless(
        ErrorKind::Invalid,
        "read the endpoint",
        format!("the endpoint is refused: {why}"),
    )
}
