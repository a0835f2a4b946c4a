//! The sentences about `list`.

use lease_core::descriptor::Ownership;
use lease_core::error::ErrorKind;

use super::bench::Bench;
use super::{Broken, Held, Proof, does_not_apply, ensure};

/// Enough leases for a second page where pages are small.
const LEASES: usize = 3;

pub(super) async fn list_is_complete_or_an_error(bench: &mut Bench<'_>) -> Proof {
    let mut made = Vec::new();
    for _ in 0..LEASES {
        let lease = bench.make().await?;
        for index in bench.own_resources(lease)? {
            made.push(bench.made_id(lease, index)?);
        }
    }
    let mut pace = bench.pace();
    loop {
        let listed = bench.listed_ids().await?;
        let lacking: Vec<_> = made.iter().filter(|it| !listed.contains(it)).collect();
        if lacking.is_empty() {
            break;
        }
        ensure(pace.wait(None).await, || format!("the listing lacks {lacking:?}"))?;
    }
    match bench.harness.break_next_listing().await {
        Ok(()) => match bench.provider.list().await {
            Ok(inventory) => {
                let count = inventory.items.len();
                Err(Broken(format!("a listing that broke off was answered with {count} resources")))
            }
            Err(_) => Ok(Held::Shown),
        },
        // Completeness was shown; only the broken case cannot be staged here.
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Held::Shown),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn list_shows_what_create_made(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.make().await?;
    for index in bench.own_resources(lease)? {
        let (id, intent) = (bench.made_id(lease, index)?, bench.intent(lease, index)?);
        let mut pace = bench.pace();
        let found = loop {
            let inventory = bench.provider.list().await?;
            ensure(inventory.scope == bench.scope, || {
                format!("it was listed in {}", inventory.scope)
            })?;
            if let Some(found) = inventory.items.into_iter().find(|it| it.id == id) {
                break found;
            }
            ensure(pace.wait(None).await, || format!("{id} was created and is never listed"))?;
        };
        if bench.descriptor().ownership == Ownership::Marks {
            ensure(found.marks.as_ref() == Some(intent.marks()), || {
                format!("{id} is listed without its marks")
            })?;
        }
    }
    Ok(Held::Shown)
}

pub(super) async fn list_hides_foreign(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.intend().await?;
    let mut planted = Vec::new();
    for index in bench.own_resources(lease)? {
        planted.extend(bench.plant(lease, index).await?);
    }
    if planted.is_empty() {
        return Ok(does_not_apply("nothing foreign can be put there"));
    }
    let has_marks = bench.descriptor().ownership == Ownership::Marks;
    let mut listed = bench.provider.list().await?.items;
    // Without marks nothing tells whose it is, and nothing in the listing may claim to.
    listed.retain(|it| planted.contains(&it.id) && (has_marks || it.marks.is_some()));
    ensure(listed.is_empty(), || format!("{listed:?} are foreign and listed"))?;
    Ok(Held::Shown)
}
