//! Values that must never travel in argv, journals, logs, errors or JSON (invariant I12).

use std::fmt;

/// A credential. It has no `Display` and no `Serialize`, and its `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The credential itself. Call this only where it leaves the process on the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of the credential replaced; an empty credential replaces nothing.
    pub fn redact(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, "[secret]") }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// ```compile_fail
/// let secret = lease_core::Secret::new("x");
/// println!("{secret}");
/// ```
/// ```compile_fail
/// let secret = lease_core::Secret::new("x");
/// let _ = serde_json::to_string(&secret);
/// ```
/// ```
/// let secret = lease_core::Secret::new("x");
/// assert_eq!(format!("{secret:?}"), "Secret(…)");
/// ```
#[doc(hidden)]
#[derive(Debug)]
pub enum SecretsDoNotPrint {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacts_by_value() {
        let secret = Secret::new("tok-9f3");
        assert_eq!(secret.redact("bad token tok-9f3!"), "bad token [secret]!");
        assert_eq!(Secret::new("").redact("unchanged"), "unchanged");
        assert_eq!((format!("{secret:?}").as_str(), secret.expose()), ("Secret(…)", "tok-9f3"));
    }
}
