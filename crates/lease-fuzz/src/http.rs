//! Any answer to a call of any method: what it is called, what it is said to have done, and what an error shows of it.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use lease_core::{Effect, Error, Secret};
use lease_http::{Call, Client, Credential, Endpoint, Stage};
use serde_json::Value;

use crate::answers::{Answers, CREDENTIAL, block_on, is_presentable};

/// The longest wait that an answer can ask for.
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// Sends one call, whose method the first byte chooses, and judges what comes back.
///
/// # Panics
/// When a read is said to have changed something, when a mutation that may have arrived is called harmless although the
/// other side did not refuse it, when a wait has no end, or when what can be shown shows the credential.
pub fn http(input: &[u8]) {
    let Some((choice, said)) = input.split_first() else { return };
    let method = match choice {
        b'p' => Method::POST,
        b'u' => Method::PUT,
        b'd' => Method::DELETE,
        _ => Method::GET,
    };
    let wire = Arc::new(Answers::new(said));
    let Ok(endpoint) = "https://cloud.example/v1".parse::<Endpoint>() else { return };
    let credential = Credential::bearer(Secret::new(CREDENTIAL));
    let Ok(client) = Client::new(wire, endpoint, Some(&credential)) else { return };
    let call = Call::new(method.clone(), "ask", Duration::from_secs(1)).path(["things"]);
    let Some(sent) = block_on(client.send(call)) else { return };
    let is_read = method == Method::GET;
    match sent {
        Ok(answer) => {
            assert!(answer.status().is_success());
            let unusable: Error = match answer.json::<Value>() {
                Ok(_) => answer.unusable("it does not make sense"),
                Err(error) => error,
            };
            is_presentable(&unusable);
            assert_eq!(unusable.effect() == Effect::None, is_read, "{unusable}");
            assert!(answer.retry_after().is_none_or(|it| it <= WAIT_MAX));
            assert!(!format!("{answer:?}").contains(CREDENTIAL));
        }
        Err(failure) => {
            let is_refused = failure
                .status()
                .is_some_and(|it| it.is_client_error() || it == http::StatusCode::NOT_IMPLEMENTED);
            let harmless = is_read || is_refused || failure.stage() == Some(Stage::NotSent);
            assert!(failure.effect() == Effect::Unknown || harmless, "{failure}");
            assert!(!is_read || failure.effect() == Effect::None, "{failure}");
            assert!(failure.retry_after().is_none_or(|it| it <= WAIT_MAX));
            assert!(!format!("{failure:?}").contains(CREDENTIAL));
            assert!(!failure.body().contains(CREDENTIAL));
            is_presentable(&failure.to_error());
        }
    }
}
