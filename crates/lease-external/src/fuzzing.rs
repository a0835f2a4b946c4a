//! Any bytes as the answer of an adapter.
//!
//! The first byte chooses the operation. A fuzzer reaches this with `cfg(fuzzing)`; it is part of no other build.

use std::sync::Arc;

use lease_core::Effect;
use lease_process::Exit;
use serde_json::Value;

use crate::adapter::Adapter;
use crate::answer::judge;
use crate::call::{Caller, Said, Unheard};
use crate::config::ExternalConfig;
use crate::error::ExternalError;
use crate::identity::{Carrier, Desired};
use crate::login;
use crate::sighting::Seen;
use crate::wire::{Response, WireLease, operation};

/// Reads the bytes: standard output, and standard error behind a byte 0x1e.
///
/// # Panics
/// When an answer that does not declare it is taken for one that nothing was changed, when a login would be read as an
/// option, or when a lease that was made is one of another identity.
pub fn external(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    let mut streams = rest.splitn(2, |it| *it == 0x1e).map(<[u8]>::to_vec);
    let status = if *choice == b'f' { Exit::Code(1) } else { Exit::Code(0) };
    let (stdout, stderr) = (streams.next().unwrap_or_default(), streams.next().unwrap_or_default());
    let said = Said { status, stdout, stderr };
    match judge(operation::ACQUIRE, &said) {
        Ok(response) => {
            assert!(status.success(), "a failure was read as an answer");
            read(&response);
        }
        Err(error) => {
            let declared = serde_json::from_slice::<Value>(&said.stdout)
                .is_ok_and(|it| it["effect"] == "none");
            let error = error.unsettled("acquire a lease");
            assert!(
                error.effect() == Effect::Unknown || declared,
                "nobody said that nothing was changed: {error}"
            );
        }
    }
}

fn read(response: &Response) {
    let mut config = ExternalConfig::command(["/bin/true"]);
    config.idempotent_lease_id = true;
    let caller = Caller::of(&config, Arc::new(Unheard));
    let adapter = Adapter { config, caller, carrier: Carrier::Leases };
    let desired = Desired {
        lease_id: "cbx_0123456789ab".to_owned(),
        slug: "calm-otter".to_owned(),
        name: "lse-aaaaaaaaaaaaaaaaaaaa-0".to_owned(),
    };
    for lease in response.lease.iter().chain(response.leases.iter().flatten()) {
        if adapter.check_acquired(&desired, lease).is_ok() {
            assert_eq!(lease.lease_id.as_deref(), Some(desired.lease_id.as_str()));
            assert_eq!(lease.slug.as_deref(), Some(desired.slug.as_str()));
        }
        is_safe(lease);
        if let Some(seen) = Seen::of(&adapter, lease.clone()) {
            let again = seen.desired(&adapter, None);
            assert!(seen.marks.is_some() || again.lease_id == seen.key);
            if let Some(found) = seen.found() {
                drop(seen.with_login(&adapter, found));
            }
        }
    }
}

/// What is let through to ssh is no option and no second word.
fn is_safe(lease: &WireLease) {
    let reach = match login::reach(lease, None, None) {
        Ok(Some(reach)) => reach,
        Ok(None) | Err(ExternalError::Login { .. } | ExternalError::KeyFile { .. }) => return,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for word in [&reach.host, &reach.user] {
        assert!(!word.is_empty() && !word.starts_with('-'), "{word:?} would be an option");
        assert!(!word.contains(|it: char| it.is_whitespace() || it.is_control()), "{word:?}");
    }
    assert!(reach.port != 0 && reach.root.starts_with('/'), "{reach:?}");
    assert!(reach.proxy.iter().all(|it| !it.contains('\0')), "{reach:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i2_no_answer_of_an_adapter_proves_what_it_does_not_say() {
        lease_testkit::corpus::replay("external", 3_000, external);
    }
}
