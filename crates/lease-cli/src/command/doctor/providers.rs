//! What each provider says about itself. They are asked at the same time, and none is waited for without end.

use std::time::Duration;

use lease_core::Result;
use lease_core::provider::{Check, Verdict};
use tokio::task::JoinHandle;
use tokio::time::{error::Elapsed, timeout};

use super::told;
use crate::catalog::{self, Member};
use crate::config::Settings;
use crate::context::Base;
use crate::document::CheckDescription;

/// How long a provider may take. Each bounds its own questions more tightly and says more about what is silent.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// What a provider answers, if it does.
type Answer = std::result::Result<Result<Vec<Check>>, Elapsed>;

/// A provider that is asked, or what is said of one that is not.
enum Asked {
    Now(JoinHandle<Answer>),
    NotSetUp(Check),
}

/// Asks every provider of this build that is set up, and the chosen one in any case.
pub(crate) async fn ask(base: &Base<'_>, settings: &Settings) -> Vec<CheckDescription> {
    let members = match base.providers(settings).await {
        Ok(members) => members,
        Err(failure) => {
            let check = Check::new("providers", Verdict::Problem, told(&failure));
            return vec![CheckDescription::of("lease", &check)];
        }
    };
    let chosen = catalog::resolve(settings.provider()).ok();
    let asked: Vec<_> = members.into_iter().map(|it| begin(it, chosen)).collect();
    let names: Vec<_> = asked.iter().filter(|(_, it)| matches!(it, Asked::Now(_))).collect();
    let names: Vec<_> = names.into_iter().map(|(name, _)| *name).collect();
    base.output.progress().step(&format!("asking {}", names.join(", ")));
    let mut described = Vec::new();
    for (name, asked) in asked {
        let checks = match asked {
            Asked::NotSetUp(check) => vec![check],
            Asked::Now(answer) => {
                let checks = answered(name, answer).await;
                if chosen == Some(name) { checks } else { checks.into_iter().map(spare).collect() }
            }
        };
        described.extend(checks.iter().map(|it| CheckDescription::of(name, it)));
    }
    described
}

fn begin(member: Member, chosen: Option<&str>) -> (&'static str, Asked) {
    let Member { provider, post, remedy, .. } = member;
    let name = provider.descriptor().name;
    // A provider that was never set up is a problem for whoever wants to use it, and for nobody else.
    if post.is_none() && chosen != Some(name) {
        let what = if catalog::credentials(name).is_empty() { "setup" } else { "credential" };
        return (name, Asked::NotSetUp(Check::new(what, Verdict::Ok, remedy)));
    }
    let asking = async move { timeout(ANSWER_TIME_MAX, provider.doctor()).await };
    (name, Asked::Now(tokio::spawn(asking)))
}

async fn answered(name: &str, answer: JoinHandle<Answer>) -> Vec<Check> {
    let problem = |why: String| vec![Check::new("checks", Verdict::Problem, why)];
    match answer.await {
        Ok(Ok(Ok(checks))) => checks,
        // Where there is something to ask with, every other failure is a check.
        Ok(Ok(Err(error))) => match catalog::credentials(name).first() {
            Some(variable) => {
                let why = format!("{error}; run: export {variable}=TOKEN");
                vec![Check::new("credential", Verdict::Problem, why)]
            }
            None => problem(error.to_string()),
        },
        Ok(Err(_elapsed)) => problem(format!(
            "{name} did not answer within {ANSWER_TIME_MAX:?}; whom it asks is down or out of reach; run: lease providers describe {name}"
        )),
        Err(error) => problem(format!("the checks of {name} broke off: {error}")),
    }
}

/// What is found at a provider that is not the chosen one keeps nobody from leasing.
fn spare(mut check: Check) -> Check {
    if check.verdict == Verdict::Problem {
        check.verdict = Verdict::Warning;
    }
    check
}
