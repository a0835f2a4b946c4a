//! Everything that would fail later, looked at beforehand. Nothing here changes anything.

use std::time::Duration;

use lease_core::provider::{Check, Verdict};
use lease_core::{Error, ErrorKind};
use tokio::time::timeout;

use crate::api::Api;
use crate::catalog::{self, Choice};
use crate::config::HetznerConfig;
use crate::kind::Kind;
use crate::labels;
use crate::provider::HetznerProvider;
use crate::refusal::{self, Asked};

const DOCTOR: &str = "check the project";

/// How long the first answer is waited for, and then all others together. Whoever asks for a check-up wants to hear of a
/// network that is not there before giving up.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(14);

/// Everything that a person should know.
pub(crate) async fn all(
    provider: &HetznerProvider,
    api: &Api,
    config: &HetznerConfig,
) -> Vec<Check> {
    let account = match timeout(ANSWER_TIME_MAX, provider.account(api)).await {
        Ok(Ok(account)) => account,
        Ok(Err(error)) if is_silence(&error) => return vec![silent(api, error.message())],
        Ok(Err(error)) => {
            let name = if error.kind() == ErrorKind::Denied { "token" } else { "api" };
            let refused = Check::new(name, Verdict::Problem, error.to_string());
            return [refused].into_iter().chain(clock(provider, api)).collect();
        }
        Err(_elapsed) => return vec![late(api)],
    };
    let mut checks = vec![Check::new("token", Verdict::Ok, "the token may read")];
    checks.extend(clock(provider, api));
    let questions = async {
        tokio::join!(
            write(api),
            catalogue(provider, api, config),
            image(api, config),
            addresses(api)
        )
    };
    match timeout(ANSWER_TIME_MAX, questions).await {
        Ok((write, catalogue, image, addresses)) => {
            checks.extend([write, project(&account), catalogue, image, addresses]);
        }
        Err(_elapsed) => checks.extend([project(&account), late(api)]),
    }
    checks.push(Check::new(
        "limits",
        Verdict::Ok,
        "Hetzner does not say how many servers and addresses a project may have; the console does, under Limits",
    ));
    checks.push(rate(api, config));
    checks
}

/// Whether nobody answered, as against a refusal and an answer that says when to come back.
fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
        && error.asked_to_wait().is_none()
}

fn silent(api: &Api, why: &str) -> Check {
    let detail = format!(
        "{why}; check the network, a proxy, and the setting providers.hetzner.endpoint; run: curl -sS -o /dev/null {}",
        api.origin()
    );
    Check::new("api", Verdict::Problem, detail)
}

fn late(api: &Api) -> Check {
    silent(api, &format!("{} did not answer within {ANSWER_TIME_MAX:?}", api.host()))
}

fn clock(provider: &HetznerProvider, api: &Api) -> Option<Check> {
    api.clock_check(provider.now()?)
}

/// Whether the token may write: the refusal of a token that may only read comes before the search for what does not
/// exist. That it does is inferred, so what is not refused is called likely.
async fn write(api: &Api) -> Check {
    const NAME: &str = "write access";
    let Err(failure) = api.probe_write(DOCTOR).await else {
        let why = "a change of nothing was accepted, so the token may write";
        return Check::new(NAME, Verdict::Ok, why);
    };
    if refusal::is_absence(&failure) {
        let why = "the token was not refused for a change of something that cannot exist, so it may write; that can be told for sure only by making something";
        return Check::new(NAME, Verdict::Ok, why);
    }
    let error = api.error(&failure, Asked::Change);
    let verdict =
        if error.kind() == ErrorKind::Denied { Verdict::Problem } else { Verdict::Warning };
    Check::new(NAME, verdict, error.to_string())
}

fn project(account: &str) -> Check {
    const NAME: &str = "project";
    if let Some(name) = account.strip_prefix("project:") {
        let why = format!(
            "the project calls itself {name:?} in the label {} of an SSH key; every token of it is recognised, and a project that was given the same name is not told from it",
            labels::PROJECT
        );
        return Check::new(NAME, Verdict::Ok, why);
    }
    let why = format!(
        "the project is recognised by this very token ({account}), so with another token its leases cannot be given back; name it while it has none: `hcloud ssh-key add-label KEY {}=NAME`",
        labels::PROJECT
    );
    Check::new(NAME, Verdict::Warning, why)
}

async fn catalogue(provider: &HetznerProvider, api: &Api, config: &HetznerConfig) -> Check {
    const NAME: &str = "server types";
    let choice = Choice {
        class: None,
        machine_type: None,
        architecture: None,
        usual: config.architecture,
        locations: &config.locations,
    };
    let types = provider.server_types(api, DOCTOR).await;
    match types.and_then(|types| catalog::picks(&types, choice)) {
        Ok(picks) => {
            let names: Vec<_> =
                picks.iter().map(|it| format!("{} in {}", it.machine_type, it.location)).collect();
            let why = format!("the class {} leads to {}", catalog::DEFAULT_CLASS, names.join(", "));
            Check::new(NAME, Verdict::Ok, why)
        }
        Err(error) => Check::new(NAME, Verdict::Problem, error.to_string()),
    }
}

async fn image(api: &Api, config: &HetznerConfig) -> Check {
    const NAME: &str = "image";
    let image = &config.image;
    if image.parse::<u64>().is_ok() {
        let why = format!("the image {image} is a number, which is believed");
        return Check::new(NAME, Verdict::Ok, why);
    }
    let query = [("name", image.as_str()), ("architecture", config.architecture.name())];
    match api.list(DOCTOR, "images", &query).await {
        Ok(found) if found.is_empty() => {
            let why = format!(
                "there is no image {image:?} for {}; configure another",
                config.architecture.name()
            );
            Check::new(NAME, Verdict::Problem, why)
        }
        Ok(_) => Check::new(NAME, Verdict::Ok, format!("there is an image {image}")),
        Err(error) => Check::new(NAME, Verdict::Warning, error.to_string()),
    }
}

/// Addresses that nothing uses cost money too, and fill the limit. Those of a lease that is being made are among them.
async fn addresses(api: &Api) -> Check {
    const NAME: &str = "addresses";
    let things = match api.things(DOCTOR, Kind::PrimaryIp, &[]).await {
        Ok(things) => things,
        Err(error) => return Check::new(NAME, Verdict::Warning, error.to_string()),
    };
    let unused = things.iter().filter(|it| !it.assigned && labels::marks(&it.labels).is_none());
    match unused.count() {
        0 => Check::new(NAME, Verdict::Ok, "no primary IP of others lies idle"),
        count => {
            let why = format!(
                "{count} primary IPs that lease did not make are used by nothing and cost money; look at `hcloud primary-ip list`"
            );
            Check::new(NAME, Verdict::Warning, why)
        }
    }
}

fn rate(api: &Api, config: &HetznerConfig) -> Check {
    const NAME: &str = "rate limit";
    let reserve = config.request_reserve;
    match api.budget.left() {
        None => {
            Check::new(NAME, Verdict::Warning, "the answers do not say how many requests are left")
        }
        Some((remaining, limit)) if remaining <= reserve.min(limit / 2) => {
            let why = format!(
                "{remaining} of {limit} requests of the hour are left, and {reserve} are kept for deletions; nothing is created until more come back"
            );
            Check::new(NAME, Verdict::Warning, why)
        }
        Some((remaining, limit)) => {
            let why = format!("{remaining} of {limit} requests of the hour are left");
            Check::new(NAME, Verdict::Ok, why)
        }
    }
}
