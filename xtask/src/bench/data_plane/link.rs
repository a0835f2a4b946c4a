//! A link as this harness names it: `50` or `50:100`.

use std::fmt;
use std::time::Duration;

/// A round-trip time, and a rate if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    rtt_ms: u16,
    mbit: Option<u16>,
}

impl Link {
    pub(super) const fn ms(rtt_ms: u16) -> Self {
        Self { rtt_ms, mbit: None }
    }

    pub(super) const fn mbit(self, mbit: u16) -> Self {
        Self { mbit: Some(mbit), ..self }
    }

    pub(super) fn rtt(self) -> Duration {
        Duration::from_millis(self.rtt_ms.into())
    }

    /// As `lease-testnet` takes it.
    pub(super) fn word(self) -> String {
        let rate = self.mbit.map(|mbit| format!(":{mbit}")).unwrap_or_default();
        format!("{}{rate}", self.rtt_ms)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.rtt_ms)?;
        self.mbit.map_or(Ok(()), |mbit| write!(f, ", {mbit} Mbit/s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_a_word_for_programs_and_one_for_people() {
        let link = Link::ms(50).mbit(100);
        assert_eq!(
            (link.word(), link.to_string()),
            ("50:100".to_owned(), "50 ms, 100 Mbit/s".to_owned())
        );
        assert_eq!(
            (Link::ms(0).word(), Link::ms(0).to_string()),
            ("0".to_owned(), "0 ms".to_owned())
        );
    }
}
