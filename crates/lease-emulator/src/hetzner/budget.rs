//! How many requests a project may still make.

use std::time::Duration;

use super::policy::Policy;

/// A bucket of requests that fills by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: f64,
    counted: Duration,
}

/// What the answer says about the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Balance {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// When the bucket is full again, in whole seconds from the start of the cloud.
    pub(super) full_at: u64,
}

/// Whether a request was within the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spending {
    Allowed(Balance),
    Refused(Balance),
}

impl Budget {
    pub(super) fn full(now: Duration, policy: &Policy) -> Self {
        Self { left: f64::from(policy.requests_max), counted: now }
    }

    /// Takes one request from the bucket, if there is one.
    pub(super) fn spend(&mut self, now: Duration, policy: &Policy) -> Spending {
        let since = now.saturating_sub(self.counted).as_secs_f64();
        let full = f64::from(policy.requests_max);
        self.left = (self.left + since * policy.requests_per_second).min(full);
        self.counted = now;
        if self.left < 1.0 {
            return Spending::Refused(self.balance(now, policy));
        }
        self.left -= 1.0;
        Spending::Allowed(self.balance(now, policy))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a bucket holds between zero and `requests_max`, and a cast from f64 saturates"
    )]
    fn balance(&self, now: Duration, policy: &Policy) -> Balance {
        let missing = f64::from(policy.requests_max) - self.left;
        let seconds = (missing / policy.requests_per_second).ceil();
        Balance {
            limit: policy.requests_max,
            remaining: self.left as u32,
            full_at: now.as_secs().saturating_add(seconds as u64),
        }
    }
}
