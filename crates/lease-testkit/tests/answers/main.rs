//! What the engine makes of a provider's answers: how often it asks, when, and what it says meanwhile.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

mod cleaning;
mod destroying;
mod falling_back;
mod naming;
mod planning;
mod proving;
mod reading;
mod recognising;
mod scripted;
mod settling;
mod stubborn;
mod taking_over;
mod touching;
mod trying;
