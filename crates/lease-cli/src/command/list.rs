//! `lease list`: what is leased, from the records alone; no provider is asked and no setting is read.

use lease_core::{Claim, Phase, Retention, Store as _, Timestamp};

use crate::args::ListArgs;
use crate::config::span;
use crate::context::Base;
use crate::document::{LeaseSummary, ListDocument, UnreadableLease};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Table;

/// Lists the live leases; a record that cannot be read is reported and hides none.
pub(crate) async fn run(base: &Base<'_>, args: &ListArgs) -> Result<Exit, Failure> {
    let provider =
        args.provider.as_deref().map(|name| crate::catalog::resolve(name).unwrap_or(name));
    let (mut claims, mut unreadable) = (Vec::new(), Vec::new());
    for entry in base.store()?.scan().await? {
        match entry.claim {
            Ok(claim) if provider.is_none_or(|it| it == claim.provider()) => claims.push(claim),
            Ok(_) => {}
            Err(error) => unreadable.push(UnreadableLease {
                name: entry.name,
                id: entry.lease.map(String::from),
                kind: error.kind().name().to_owned(),
                message: error.to_string(),
            }),
        }
    }
    claims
        .sort_by(|one, two| (one.created_at(), one.lease()).cmp(&(two.created_at(), two.lease())));
    for it in &unreadable {
        base.output.note(&format!(
            "the record of {} cannot be read: {}; run: lease doctor",
            it.name, it.message
        ));
    }
    if base.output.is_json() {
        let leases = claims.iter().map(LeaseSummary::of).collect();
        base.output.result(&ListDocument::new(leases, unreadable), String::new)?;
    } else if claims.is_empty() {
        if unreadable.is_empty() {
            base.output.note("nothing is leased; run: lease acquire");
        }
    } else {
        base.output.bytes(table(&claims, base.now()).as_bytes())?;
    }
    Ok(Exit::Success)
}

fn table(claims: &[Claim], now: Timestamp) -> String {
    let mut table = Table::new(&["NAME", "STATE", "PROVIDER", "AGE", "ENDS", "FOR", "ID"]);
    for claim in claims {
        table.row([
            claim.slug().to_string(),
            claim.phase().to_string(),
            claim.provider().to_owned(),
            span::rough(now.since(claim.created_at())),
            ends(claim, now),
            claim.purpose().to_owned(),
            claim.lease().to_string(),
        ]);
    }
    table.render()
}

fn ends(claim: &Claim, now: Timestamp) -> String {
    if claim.retention() == Retention::Keep {
        return "never".to_owned();
    }
    if claim.phase() == Phase::Releasing {
        return "now".to_owned();
    }
    match (claim.ends_at(), claim.retention()) {
        (Some(at), _) if at <= now => "overdue".to_owned(),
        (Some(at), _) => format!("in {}", span::left(now, at)),
        (None, Retention::WithOwner) => "with its run".to_owned(),
        (None, _) => "never".to_owned(),
    }
}
