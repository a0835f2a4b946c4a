//! `lease show`: everything that the record of one lease says, and what proves it.

use std::fmt::Write as _;

use lease_core::Liveness;

use crate::args::ShowArgs;
use crate::command::attach::client_of;
use crate::context::Base;
use crate::document::{LeaseDetails, LeaseSummary, OpenRun, ShowDocument};
use crate::exit::Exit;
use crate::failure::{Failure, one_line};

/// Shows one lease.
pub(crate) async fn run(base: &Base<'_>, args: &ShowArgs) -> Result<Exit, Failure> {
    let store = base.store()?;
    let claim = match base.claim(&store, &args.lease).await {
        Ok(claim) => claim,
        // A lease that was released is archived; its full id still shows it.
        Err(failure) => match args.lease.parse() {
            Ok(lease) => lease_core::Store::load(&store, &lease).await.map_err(|_| failure)?,
            Err(_) => return Err(failure),
        },
    };
    let census = crate::reaper::census();
    let liveness = claim.owner().map_or(Liveness::Unknown, |owner| census.liveness(owner));
    let runs = base.runs()?.open(claim.lease().as_str())?;
    let runs = runs.into_iter().map(|it| {
        let client = client_of(&it);
        OpenRun::of(it, client)
    });
    let document = ShowDocument::of(&claim, liveness, runs.collect());
    base.output.result(&document, || text(&document.lease, &document.details))?;
    Ok(Exit::Success)
}

fn text(lease: &LeaseSummary, details: &LeaseDetails) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            writeln!(text, "{name:<11} {}", one_line(value)).unwrap_or_default();
        }
    };
    line("name", &lease.slug);
    line("id", &lease.id);
    line("state", &lease.phase.replace('_', " "));
    line("provider", &lease.provider);
    line("account", &format!("{} at {}", details.account, details.endpoint));
    line("for", &lease.purpose);
    line("class", lease.class.as_deref().unwrap_or_default());
    line("type", lease.machine_type.as_deref().unwrap_or_default());
    line("created", lease.created_at.as_str());
    line("last used", lease.last_used_at.as_str());
    line("ends", lease.ends_at.as_ref().map_or("never by itself", |it| it.as_str()));
    line("kept", lease.kept_because.as_deref().unwrap_or_default());
    if let Some(owner) = &details.owner {
        line("owner", &format!("process {} on {} ({})", owner.pid, owner.host, owner.liveness));
    }
    if let Some(reach) = &details.reach {
        let by = if reach.proxied { "through a program on this machine" } else { "over TCP" };
        line(
            "login",
            &format!(
                "{}@{} port {} {by}, host key {}",
                reach.user, reach.host, reach.port, reach.host_key
            ),
        );
        line("directory", &reach.root);
    }
    for resource in &details.resources {
        let id = resource.id.as_deref().unwrap_or("no id yet");
        let own = if resource.own { "" } else { ", not ours to delete" };
        let note = resource.note.as_ref().map(|it| format!("; {it}")).unwrap_or_default();
        line("resource", &format!("{} {id} ({}{own}){note}", resource.kind, resource.state));
    }
    for run in &details.runs {
        let client = if run.client == "dead" { ", its client is gone" } else { "" };
        let (command, since) = (run.command.join(" "), run.started_at.as_str());
        line("run", &format!("{} since {since}{client}: {command}", run.id));
    }
    for why in &details.given_up {
        line("gave up", why);
    }
    if let Some(releasing) = &details.releasing {
        line("releasing", &format!("since {}: {}", releasing.since.as_str(), releasing.why));
        if let (Some(obstacle), Some(at)) = (&lease.obstacle, &releasing.retry_at) {
            line(
                "obstacle",
                &format!("{obstacle}; {} attempts, again at {}", releasing.attempts, at.as_str()),
            );
        }
    }
    text
}
