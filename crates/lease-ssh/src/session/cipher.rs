//! Which cipher a connection has.
//!
//! OpenSSH prefers `ChaCha20`, which is fast wherever nothing helps. A processor with instructions for AES is through with
//! AES-GCM in about half the time, and most of what a long output or a large sync costs is encryption. Both are among the
//! ciphers that OpenSSH allows by itself, and the box may still refuse this one: the others stay on offer.

use super::Link;
use super::master::{ANSWER_TIME_MAX, run};

/// Puts the cipher before the defaults of whichever version it is.
const FAST: &str = "Ciphers=^aes128-gcm@openssh.com";

impl Link {
    /// The option of a login that has the processor help; `None` where it cannot, and for an ssh that does not know the
    /// cipher or, before 8.1, how to be told only what comes first.
    pub(super) async fn fast_cipher(&self) -> Option<&'static str> {
        if !has_aes() {
            return None;
        }
        // It reads the options and says what they come to, without a connection.
        let asked = self.ssh().args(["-G", "-T", "-o", FAST, "--", self.lease()]);
        let taken = run(&asked, ANSWER_TIME_MAX).await.is_ok_and(|said| said.status.success());
        tracing::debug!(taken, "asked ssh about the cipher");
        taken.then_some(FAST)
    }
}

/// Whether this machine's processor has instructions for AES-GCM.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}
