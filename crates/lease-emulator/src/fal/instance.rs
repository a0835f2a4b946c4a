//! An instance: what was asked for, what became of it, and how it is shown.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::policy::{FalPolicy, IdForm, KeyCheck, Walk};
use crate::exchange::LedgerEntry;

/// The type with one GPU.
pub const ONE: &str = "gpu_1x_h100_sxm5";
/// The type with eight.
pub const EIGHT: &str = "gpu_8x_h100_sxm5";
const SECTORS: [&str; 3] = ["sector_1", "sector_2", "sector_3"];

/// What a create asks for. Fields that are not documented are ignored, since the document does not forbid them.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Wish {
    pub(super) instance_type: String,
    pub(super) ssh_key: String,
    pub(super) sector: Option<String>,
}

impl Wish {
    /// Reads a body; `None` is a 400.
    pub(super) fn read(body: &[u8], check: KeyCheck) -> Option<Self> {
        let wish: Self = serde_json::from_slice(body).ok()?;
        let type_fits = match &wish.sector {
            // Documented: "only valid with gpu_8x_h100_sxm5". That it is a 400 otherwise is inferred.
            Some(sector) => wish.instance_type == EIGHT && SECTORS.contains(&sector.as_str()),
            None => [ONE, EIGHT].contains(&wish.instance_type.as_str()),
        };
        let key_fits = match check {
            KeyCheck::Parse => ssh_key::PublicKey::from_openssh(&wish.ssh_key).is_ok(),
            KeyCheck::Length => !wish.ssh_key.is_empty(),
        };
        (type_fits && key_fits).then_some(wish)
    }
}

/// One instance. Times are counted from the start of the cloud.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) username: String,
    pub(super) wish: Wish,
    pub(super) region: String,
    pub(super) creator: String,
    pub(super) address: Ipv4Addr,
    pub(super) born: Duration,
    pub(super) gone: Option<Duration>,
    pub(super) foreign: bool,
    pub(super) walk: Walk,
    pub(super) cents_per_hour: u64,
}

impl Instance {
    pub(super) fn status(&self, now: Duration) -> &str {
        self.walk.status(now.saturating_sub(self.born))
    }

    /// Whether it is shown by what lags behind its creation by `lag`.
    pub(super) fn is_shown(&self, now: Duration, lag: Duration, policy: &FalPolicy) -> bool {
        let ended = self.gone.is_some_and(|gone| gone + policy.delete_linger <= now);
        !ended && self.born + lag <= now
    }

    /// The instance as the interface shows it.
    pub(super) fn shown(&self, now: Duration, policy: &FalPolicy) -> Value {
        let status = self.status(now);
        let mut shown = json!({
            "id": self.id,
            "instance_type": self.wish.instance_type,
            "region": self.region,
            "status": status,
            "creator_user_nickname": self.creator,
        });
        if let Some(sector) = &self.wish.sector {
            shown["sector"] = json!(sector);
        }
        let since = self.walk.ready_after().map(|it| self.born + it + policy.ip_lag);
        if status == "ready" && since.is_some_and(|it| it <= now) {
            shown["ip"] = json!(self.address.to_string());
        }
        shown
    }

    pub(super) fn entry(&self) -> LedgerEntry {
        LedgerEntry {
            account: self.username.clone(),
            kind: "instance".to_owned(),
            id: self.id.clone(),
            name: String::new(),
            labels: BTreeMap::new(),
            public_keys: vec![self.wish.ssh_key.clone()],
            born: self.born,
            gone: self.gone,
            foreign: self.foreign,
            cents_per_hour: self.cents_per_hour,
        }
    }
}

/// Draws an id.
pub(super) fn new_id(form: IdForm) -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    Ok(match form {
        IdForm::Inst => {
            let letter = |it: &u8| char::from_digit(u32::from(it % 36), 36).unwrap_or('0');
            format!("inst_{}", bytes.iter().take(9).map(letter).collect::<String>())
        }
        IdForm::Uuid => {
            let number = u128::from_be_bytes(bytes);
            // The version and the variant of a random UUID, RFC 9562.
            let number = number & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
            let digits = format!("{number:032x}");
            let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
            let parts = parts.map(|(from, to)| digits.get(from..to).unwrap_or_default());
            parts.join("-")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_documented_forms() {
        let id = new_id(IdForm::Inst).unwrap();
        assert_eq!(id.len(), "inst_abc123xyz".len());
        let uuid = new_id(IdForm::Uuid).unwrap();
        assert_eq!(uuid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{uuid}");
        assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
        assert_ne!(uuid, new_id(IdForm::Uuid).unwrap());
    }
}
