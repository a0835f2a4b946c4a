//! Everything that would fail later, looked at beforehand. Nothing here changes anything.

use std::time::Duration;

use lease_core::provider::{Check, Verdict};
use lease_core::{Error, ErrorKind, Timestamp};
use tokio::time::timeout;

use crate::api::{Api, Credit};
use crate::error::FalError;
use crate::inventory;
use crate::refusal::MONEY_RULE;
use crate::wire::{Billing, Credits};

const KEY: &str = "key";
const ACCOUNT: &str = "account";
const COMPUTE: &str = "compute";
const CREDIT: &str = "credit";

/// What an instance needs in credit, in dollars (third party).
const CREDIT_MIN: f64 = 500.0;

/// How long the first answer is waited for, and then all others together. Whoever asks for a check-up wants to hear of a
/// network that is not there before giving up.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(14);

/// The one thing that can be said without a key.
pub(crate) fn no_key() -> Check {
    Check::new(KEY, Verdict::Problem, FalError::NoKey.to_string())
}

/// Everything that a person should know. `now` is what our clock shows, if it is to be compared.
pub(crate) async fn all(api: &Api, now: Option<Timestamp>) -> Vec<Check> {
    let clock = || now.and_then(|now| api.client.clock_check(now));
    let billing = match timeout(ANSWER_TIME_MAX, billing(api)).await {
        Ok(Ok(billing)) => billing,
        Ok(Err(error)) if is_silence(&error) => return vec![silent(api, error.message())],
        Ok(Err(error)) => return [refused(&error)].into_iter().chain(clock()).collect(),
        Err(_elapsed) => return vec![late(api)],
    };
    let counted = timeout(ANSWER_TIME_MAX, compute(api)).await;
    let (compute, live) = counted.unwrap_or_else(|_elapsed| (late(api), 0));
    let mut checks = vec![Check::new(KEY, Verdict::Ok, "fal accepts the key")];
    checks.extend(clock());
    checks.extend([
        account(&billing),
        compute,
        credit(billing.credits.as_ref(), live),
        Check::new(
            "end of leases",
            Verdict::Warning,
            "fal has no expiry and tops the balance up, so a machine that nobody ends costs money for ever; leave the reaper running",
        ),
    ]);
    checks
}

async fn billing(api: &Api) -> Result<Billing, Error> {
    match api.billing(Credit::Shown).await {
        // A key that may not see the balance may still see the name.
        Err(error) if !is_silence(&error) => api.billing(Credit::Hidden).await,
        shown => shown,
    }
}

/// Whether nobody answered, as against a refusal and an answer that says when to come back.
fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
        && error.asked_to_wait().is_none()
}

fn silent(api: &Api, why: &str) -> Check {
    let detail = format!(
        "{why}; check the network, a proxy, and the setting providers.fal.endpoint; run: curl -sS -o /dev/null {}",
        api.client.endpoint().origin()
    );
    Check::new("api", Verdict::Problem, detail)
}

fn late(api: &Api) -> Check {
    let host = api.client.endpoint().host();
    silent(api, &format!("{host} did not answer within {ANSWER_TIME_MAX:?}"))
}

fn refused(error: &Error) -> Check {
    let name = if error.kind() == ErrorKind::Denied { KEY } else { ACCOUNT };
    Check::new(name, Verdict::Problem, error.to_string())
}

fn account(billing: &Billing) -> Check {
    let detail =
        format!("leases belong to {}; its name is what they are bound to", billing.username);
    Check::new(ACCOUNT, Verdict::Ok, detail)
}

/// Whether Compute can be used, and how many instances there are if it can.
async fn compute(api: &Api) -> (Check, usize) {
    match inventory::complete(api).await {
        Ok(instances) => {
            let count = instances.len();
            let detail = format!("the account may use Compute and has {count} instances");
            (Check::new(COMPUTE, Verdict::Ok, detail), count)
        }
        Err(error) => (Check::new(COMPUTE, Verdict::Problem, error.to_string()), 0),
    }
}

fn credit(credits: Option<&Credits>, live: usize) -> Check {
    const TOP_UP: &str = "whether the top-up is on cannot be read";
    let Some(credits) = credits else {
        let detail = format!("the balance was not shown; {MONEY_RULE}");
        return Check::new(CREDIT, Verdict::Warning, detail);
    };
    let needed = CREDIT_MIN * (f64::from(u32::try_from(live).unwrap_or(u32::MAX)) + 1.0);
    let (balance, currency) = (credits.current_balance, &credits.currency);
    if balance < needed {
        let detail = format!(
            "the balance is {balance:.2} {currency}, and one more instance needs {needed:.0}: {MONEY_RULE}"
        );
        return Check::new(CREDIT, Verdict::Problem, detail);
    }
    let detail = format!(
        "the balance is {balance:.2} {currency}, enough for one more instance; {TOP_UP}: {MONEY_RULE}"
    );
    Check::new(CREDIT, Verdict::Ok, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(balance: Option<f64>, live: usize, expected: Verdict) {
        let credits = balance.map(|it| Credits { current_balance: it, currency: "USD".to_owned() });
        let found = credit(credits.as_ref(), live);
        assert_eq!(found.verdict, expected, "{found:?}");
        assert!(found.detail.contains("$500"), "{found:?}");
    }

    #[test]
    fn the_rule_about_credit_counts_the_instances_that_are_there() {
        check(Some(500.0), 0, Verdict::Ok);
        check(Some(499.99), 0, Verdict::Problem);
        check(Some(999.0), 1, Verdict::Problem);
        check(Some(1000.0), 1, Verdict::Ok);
        check(None, 0, Verdict::Warning);
    }
}
