//! What a box publishes about itself, and how it is reached.

use lease_core::host::HostKey;
use lease_core::{Nonce, Reach};

use crate::config::SlurmConfig;
use crate::desk;

/// A published endpoint. It says what was true when it was written; whether it still is, the queue or a knock decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) job: u64,
    pub(crate) node: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) root: String,
    /// When the box ends by itself, in seconds since the Unix epoch, by the node's clock.
    pub(crate) ends_at: u64,
    pub(crate) host_key: String,
}

impl Endpoint {
    /// Reads what the job with this nonce published.
    ///
    /// # Errors
    /// What is wrong with it. None of its values can begin an option or a line.
    pub(crate) fn parse(text: &str, nonce: &Nonce) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some("lease-slurm 1") {
            return Err("the endpoint was not written by this version".to_owned());
        }
        if lines.next_back() != Some("end") {
            return Err("the endpoint is not complete".to_owned());
        }
        let fields: Vec<_> = lines.filter_map(|it| it.split_once(' ')).collect();
        let get = |name: &str| {
            let mut values = fields.iter().filter(|(it, _)| *it == name).map(|(_, value)| *value);
            match (values.next(), values.next()) {
                (Some(value), None) => Ok(value),
                _ => Err(format!("the endpoint has not one {name}")),
            }
        };
        if get("nonce")? != nonce.as_str() {
            return Err("the endpoint is of another job".to_owned());
        }
        let port: u16 = number(get("port")?, "port")?;
        if port == 0 {
            return Err("the endpoint has the port 0".to_owned());
        }
        let root = get("root")?;
        if !root.starts_with('/') || root.chars().any(char::is_control) {
            return Err("the endpoint has a root that is no absolute path".to_owned());
        }
        Ok(Self {
            job: number(get("job")?, "job")?,
            node: plain(get("node")?, "node")?,
            host: plain(get("host")?, "host")?,
            port,
            user: plain(get("user")?, "user")?,
            root: root.to_owned(),
            ends_at: number(get("ends_at")?, "ends_at")?,
            host_key: host_key(get("host_key")?)?,
        })
    }

    /// What the node is called by whoever logs in.
    pub(crate) fn known_as<'a>(&'a self, config: &'a SlurmConfig) -> &'a str {
        let mapped = config.host_map.get(&self.node).or_else(|| config.host_map.get(&self.host));
        mapped.unwrap_or(&self.host)
    }

    /// How to log in.
    pub(crate) fn reach(&self, config: &SlurmConfig) -> Reach {
        let host = self.known_as(config).to_owned();
        let proxy = config.jump().map_or_else(Vec::new, |login| {
            let through = ["-W".to_owned(), format!("{host}:{}", self.port), login.to_owned()];
            desk::ssh(config).into_iter().chain(through).collect()
        });
        let host_key = HostKey::Pinned(self.host_key.clone());
        // There is no file to wait for: the server listens only once the box is set up.
        let mut reach = Reach::new(host, self.user.as_str(), host_key, self.root.as_str());
        reach.port = self.port;
        reach.proxy = proxy;
        reach
    }
}

fn number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, String> {
    let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let parsed = if digits { text.parse().ok() } else { None };
    parsed.ok_or_else(|| format!("the endpoint has a {what} that is no number"))
}

fn plain(text: &str, what: &str) -> Result<String, String> {
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"._-".contains(&it);
    let good = !text.is_empty()
        && text.len() <= 253
        && !text.starts_with('-')
        && text.bytes().all(is_plain);
    good.then(|| text.to_owned())
        .ok_or_else(|| format!("the endpoint has a {what} that is no name"))
}

fn host_key(text: &str) -> Result<String, String> {
    let key = ssh_key::PublicKey::from_openssh(text);
    let key =
        key.map_err(|error| format!("the endpoint has a host key that does not parse: {error}"))?;
    (key.comment().is_empty())
        .then(|| text.to_owned())
        .ok_or_else(|| "the host key has a comment".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn nonce() -> Nonce {
        "n".repeat(26).parse().unwrap()
    }

    fn text() -> String {
        format!(
            "lease-slurm 1\nnonce {}\njob 12\nnode n1\nhost vm\nport 2222\nuser ann\nroot /s/x/work\nends_at 99\n\
             contained scan\nhost_key {KEY}\nend",
            nonce()
        )
    }

    #[test]
    fn a_published_endpoint_is_read_whole_or_not_at_all() {
        let whole = Endpoint::parse(&text(), &nonce()).unwrap();
        assert_eq!((whole.job, whole.host.as_str(), whole.port), (12, "vm", 2222));
        for end in 0..text().len() {
            Endpoint::parse(&text()[..end], &nonce()).unwrap_err();
        }
        Endpoint::parse(&text(), &"m".repeat(26).parse().unwrap()).unwrap_err();
    }

    #[test]
    fn no_value_becomes_an_option_or_a_line() {
        for (good, bad) in [
            ("host vm", "host -oProxyCommand=x"),
            ("host vm", "host vm\nhost other"),
            ("host vm", "host a b"),
            ("user ann", "user $(id)"),
            ("port 2222", "port 0"),
            ("port 2222", "port +22"),
            ("port 2222", "port 70000"),
            ("root /s/x/work", "root work"),
            (KEY, "ssh-ed25519 AAAA"),
            (KEY, "@cert-authority * x"),
        ] {
            let changed = text().replace(good, bad);
            assert_ne!(changed, text());
            Endpoint::parse(&changed, &nonce()).unwrap_err();
        }
    }

    #[test]
    fn the_operator_says_what_a_node_is_called() {
        let endpoint = Endpoint::parse(&text(), &nonce()).unwrap();
        let mut config = SlurmConfig::new("/s");
        assert_eq!(endpoint.reach(&config).host, "vm");
        config.host_map.insert("n1".to_owned(), "n1.cluster".to_owned());
        let reach = endpoint.reach(&config);
        assert_eq!((reach.host.as_str(), reach.proxy.len()), ("n1.cluster", 0));
        config.login_host = Some("ann@login".to_owned());
        assert_eq!(
            endpoint.reach(&config).proxy.last_chunk(),
            Some(&["-W", "n1.cluster:2222", "ann@login"].map(str::to_owned))
        );
        config.route = crate::Route::Direct;
        assert!(endpoint.reach(&config).proxy.is_empty());
    }
}
