//! Trying a lease's key on a machine of unknown owner, without remembering anything of it.

use super::classify::login_error;
use super::master::{Link, run};
use crate::config;
use crate::endpoint::Endpoint;
use crate::error::{Result, SshError};

impl Link {
    /// One login that runs `true` and shares no connection.
    ///
    /// # Errors
    /// What the attempt met; a refused key is [`LoginFailure::AuthRefused`](crate::LoginFailure::AuthRefused).
    pub(crate) async fn try_stranger(&self, endpoint: &Endpoint) -> Result<()> {
        self.files.check()?;
        config::write_for_stranger(&self.files, endpoint, self.settings.connect_timeout)?;
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
