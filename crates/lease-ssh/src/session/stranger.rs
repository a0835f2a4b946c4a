//! Trying a lease's key on a machine of unknown owner, without remembering anything of it.

use std::fs;
use std::path::PathBuf;

use super::classify::login_error;
use super::master::{Link, run};
use crate::config;
use crate::endpoint::Endpoint;
use crate::error::{LoginFailure, Result, SshError};

impl Link {
    /// One login with the lease's key, and one with a key that no host knows: where that one works too, the first said
    /// nothing.
    ///
    /// # Errors
    /// What the first attempt met; a refused key is [`LoginFailure::AuthRefused`]. When the second does not end in a
    /// refusal, it is not known whose the host is.
    pub(crate) async fn try_stranger(&self, endpoint: &Endpoint) -> Result<()> {
        self.files.check()?;
        self.log_in_once(endpoint, self.files.private_key()).await?;
        let unknown = self.files.make_throwaway()?;
        let tried = self.log_in_once(endpoint, unknown.clone()).await;
        drop(fs::remove_file(unknown));
        match tried {
            Err(SshError::Login { failure: LoginFailure::AuthRefused, .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                let detail =
                    "the host lets every key in, so the lease's key says nothing".to_owned();
                Err(SshError::Login { failure: LoginFailure::Other, detail })
            }
        }
    }

    /// One login that runs `true` and shares no connection.
    async fn log_in_once(&self, endpoint: &Endpoint, key: PathBuf) -> Result<()> {
        config::write_for_stranger(&self.files, key, endpoint, self.settings.connect_timeout)?;
        let program = self.ssh_with(&self.files.stranger_config()).args([
            "-T",
            "-o",
            "ControlPath=none",
            "--",
            self.lease(),
            "true",
        ]);
        let said = run(&program, self.login_time_max()).await?;
        if said.status.success() {
            return Ok(());
        }
        // ssh itself ends with 255; any other code is the remote side's, after a login that worked.
        if said.status.shell_code() != 255 {
            let detail = format!("`true` ended with {}", said.status.shell_code());
            return Err(SshError::Lost { detail });
        }
        Err(login_error(&said.stderr, &[], endpoint.proxy_command.is_some()))
    }
}
