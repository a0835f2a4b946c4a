//! The names of things: leases, slugs, resources, nonces and installations.
//!
//! Every name is checked when it is made, so that no other layer has to ask whether it is safe in a path, a DNS label, a
//! query or a command line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LEASE_PREFIX: &str = "lse-";
const LEASE_RANDOM_CHARS: usize = 20;
const NONCE_CHARS: usize = 26;
const SLUG_CHARS_MAX: usize = 40;
const RESOURCE_ID_BYTES_MAX: usize = 256;

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                let check: fn(&str) -> std::result::Result<(), &'static str> = $check;
                match check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(why) => Err(Error::harmless(
                        ErrorKind::Invalid,
                        concat!("read ", $what),
                        format!("{:?} is not {}: {why}", shortened(&text), $what),
                    )),
                }
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

checked_name!(
    /// A lease: `lse-` and 20 lower-case base32 characters (100 random bits), a valid DNS label and server name.
    LeaseId,
    "a lease id",
    |text| {
        let random = text.strip_prefix(LEASE_PREFIX).ok_or("it does not start with `lse-`")?;
        if random.len() == LEASE_RANDOM_CHARS && random.bytes().all(|it| ALPHABET.contains(&it)) {
            Ok(())
        } else {
            Err("20 characters a-z and 2-7 must follow `lse-`")
        }
    }
);

checked_name!(
    /// A name that people type: lower-case letters, digits and inner hyphens, at most 40 characters.
    Slug,
    "a slug",
    |text| {
        let inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        if text.is_empty() || text.len() > SLUG_CHARS_MAX {
            Err("it must have 1 to 40 characters")
        } else if text.starts_with(LEASE_PREFIX) {
            Err("`lse-` starts a lease id")
        } else if !text.bytes().all(inner) || text.starts_with('-') || text.ends_with('-') {
            Err("use lower-case letters, digits and hyphens inside")
        } else {
            Ok(())
        }
    }
);

checked_name!(
    /// What a provider calls a resource. Opaque, printable, without white space, at most 256 bytes.
    ResourceId,
    "a resource id",
    |text| {
        if text.is_empty() || text.len() > RESOURCE_ID_BYTES_MAX {
            Err("it must have 1 to 256 bytes")
        } else if text.starts_with('-') {
            Err("a leading hyphen would be read as an option")
        } else if text.chars().any(|it| it.is_control() || it.is_whitespace()) {
            Err("it has white space or control characters")
        } else {
            Ok(())
        }
    }
);

checked_name!(
    /// The name we ask a provider to give a resource: a DNS label that is never used twice.
    ResourceName,
    "a resource name",
    |text| {
        let inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        if !text.is_empty() && text.len() <= 63 && text.bytes().all(inner) && !text.starts_with('-') {
            Ok(())
        } else {
            Err("it must be a DNS label of at most 63 characters")
        }
    }
);

checked_name!(
    /// 130 random bits that mark one resource as ours and serve as its idempotency key.
    Nonce,
    "a nonce",
    |text| {
        if text.len() == NONCE_CHARS && text.bytes().all(|it| ALPHABET.contains(&it)) {
            Ok(())
        } else {
            Err("it must have 26 characters a-z and 2-7")
        }
    }
);

checked_name!(
    /// One state directory, so that two installations under one account never take each other's machines.
    InstallationId,
    "an installation id",
    |text| {
        if text.len() == NONCE_CHARS && text.bytes().all(|it| ALPHABET.contains(&it)) {
            Ok(())
        } else {
            Err("it must have 26 characters a-z and 2-7")
        }
    }
);

impl LeaseId {
    /// Draws a new id.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn draw(entropy: &dyn Entropy) -> Result<Self> {
        Ok(Self(format!("{LEASE_PREFIX}{}", random_text(entropy, LEASE_RANDOM_CHARS)?)))
    }

    /// What is locked while something is adopted: an id that no lease gets, as nobody draws so little.
    pub(crate) fn of_adoptions() -> Self {
        Self(format!("{LEASE_PREFIX}{}", "a".repeat(LEASE_RANDOM_CHARS)))
    }

    /// The name of the lease's resource number `index`; it is never used for another resource.
    pub fn resource_name(&self, index: usize) -> ResourceName {
        ResourceName(format!("{}-{index}", self.0))
    }
}

impl Nonce {
    /// Draws a new nonce.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn draw(entropy: &dyn Entropy) -> Result<Self> {
        random_text(entropy, NONCE_CHARS).map(Self)
    }
}

impl InstallationId {
    /// Draws a new installation id.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn draw(entropy: &dyn Entropy) -> Result<Self> {
        random_text(entropy, NONCE_CHARS).map(Self)
    }
}

impl Slug {
    /// Draws a slug of two words. It may be taken already; whoever opens the lease draws again then.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn draw(entropy: &dyn Entropy) -> Result<Self> {
        let mut bytes = [0_u8; 2];
        entropy.fill(&mut bytes)?;
        let adjective = ADJECTIVES[usize::from(bytes[0]) % ADJECTIVES.len()];
        let noun = NOUNS[usize::from(bytes[1]) % NOUNS.len()];
        Ok(Self(format!("{adjective}-{noun}")))
    }

    /// Draws a slug of two words and a number, for when the pairs run out.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn draw_numbered(entropy: &dyn Entropy) -> Result<Self> {
        let mut bytes = [0_u8; 4];
        entropy.fill(&mut bytes)?;
        Ok(Self(format!("{}-{}", Self::draw(entropy)?, u32::from_le_bytes(bytes) % 100_000)))
    }
}

fn random_text(entropy: &dyn Entropy, chars: usize) -> Result<String> {
    let mut bytes = vec![0_u8; chars];
    entropy.fill(&mut bytes)?;
    Ok(bytes.iter().map(|it| char::from(ALPHABET[usize::from(it % 32)])).collect())
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

const ADJECTIVES: [&str; 64] = [
    "amber", "ample", "apt", "azure", "bold", "brave", "brisk", "bright", "calm", "civil", "clear",
    "clever", "cosy", "crisp", "daring", "deft", "eager", "early", "easy", "even", "fair", "fast",
    "fine", "firm", "fleet", "fond", "frank", "fresh", "gentle", "glad", "golden", "grand",
    "happy", "hardy", "honest", "jolly", "keen", "kind", "lively", "loyal", "lucid", "merry",
    "mild", "neat", "nimble", "noble", "patient", "plain", "proud", "quick", "quiet", "rapid",
    "ready", "robust", "sage", "silver", "smooth", "solid", "steady", "sunny", "swift", "tidy",
    "vivid", "warm",
];

const NOUNS: [&str; 64] = [
    "acorn", "alder", "anchor", "aspen", "badger", "beacon", "birch", "bison", "brook", "canyon",
    "cedar", "cliff", "clover", "comet", "coral", "crane", "delta", "dune", "eagle", "ember",
    "falcon", "fern", "finch", "fjord", "forest", "garnet", "glade", "harbor", "hazel", "heron",
    "island", "ivy", "jasper", "juniper", "kestrel", "lagoon", "lark", "linden", "lynx", "maple",
    "meadow", "mesa", "moss", "oak", "orchid", "osprey", "otter", "pebble", "pine", "plover",
    "quartz", "raven", "reef", "ridge", "river", "robin", "rowan", "sparrow", "spruce", "summit",
    "thistle", "tundra", "walnut", "willow",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    #[track_caller]
    fn check<T: FromStr>(text: &str, good: bool) {
        assert_eq!(text.parse::<T>().is_ok(), good, "{text:?}");
    }

    #[test]
    fn drawn_names_are_valid_and_differ() {
        let (one, two) = (LeaseId::draw(&OsEntropy).unwrap(), LeaseId::draw(&OsEntropy).unwrap());
        assert_ne!(one, two);
        check::<LeaseId>(one.as_str(), true);
        check::<ResourceName>(one.resource_name(12).as_str(), true);
        check::<Slug>(Slug::draw(&OsEntropy).unwrap().as_str(), true);
        check::<Slug>(Slug::draw_numbered(&OsEntropy).unwrap().as_str(), true);
        check::<Nonce>(Nonce::draw(&OsEntropy).unwrap().as_str(), true);
    }

    /// Draws these bytes again and again.
    #[derive(Debug)]
    struct Known(&'static [u8]);

    impl Entropy for Known {
        fn fill(&self, bytes: &mut [u8]) -> Result<()> {
            bytes.iter_mut().zip(self.0.iter().cycle()).for_each(|(to, from)| *to = *from);
            Ok(())
        }
    }

    #[test]
    fn every_word_and_every_letter_can_be_drawn() {
        let slug = |bytes| Slug::draw(&Known(bytes)).unwrap().to_string();
        assert_eq!(slug(&[0, 63]), "amber-willow");
        assert_eq!(slug(&[63, 64]), "warm-acorn");
        assert_eq!(slug(&[127, 1]), "warm-alder");
        let drawn = random_text(&Known(&[0, 1, 31, 32, 255]), 5).unwrap();
        let letters = [0, 1, 31, 0, 31].map(|it| char::from(ALPHABET[it]));
        assert_eq!(drawn, String::from_iter(letters));
    }

    #[test]
    fn what_is_refused_is_shown_as_far_as_a_line_goes() {
        let said = format!("bad {}", "x".repeat(100)).parse::<Slug>().unwrap_err().to_string();
        assert!(said.contains(&format!("bad {}", "x".repeat(60))), "{said}");
        assert!(!said.contains(&"x".repeat(61)), "{said}");
    }

    #[test]
    fn hostile_names_are_refused() {
        for bad in [
            "",
            "lse-",
            "lse-ABCDEFGHIJKLMNOPQRST",
            "lse-aaaaaaaaaaaaaaaaaaa1",
            "../etc/passwd",
            "lse-a/aaaaaaaaaaaaaaaaaa",
        ] {
            check::<LeaseId>(bad, false);
        }
        for bad in
            ["", "-x", "x-", "X", "a b", "a/b", "a.b", "lse-aaaaaaaaaaaaaaaaaaaa", &"x".repeat(41)]
        {
            check::<Slug>(bad, false);
        }
        for bad in ["", "-rf", "a b", "a\nb", "a\0b", &"x".repeat(257)] {
            check::<ResourceId>(bad, false);
        }
        check::<ResourceId>("42/eu:box_1", true);
    }

    #[test]
    fn a_bad_name_in_json_is_an_error_and_not_a_value() {
        assert!(serde_json::from_str::<LeaseId>("\"../../x\"").is_err());
    }
}
