//! The sentences about `create`.

use lease_core::Sighting;
use lease_core::descriptor::{Ownership, Replay};
use lease_core::error::{Effect, ErrorKind};

use std::time::Duration;

use super::bench::Bench;
use super::{Broken, Held, Proof, does_not_apply, ensure};

pub(super) async fn create_then_inspect_finds_it(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.make().await?;
    for index in bench.own_resources(lease)? {
        let id = bench.made_id(lease, index)?;
        let mut pace = bench.pace();
        loop {
            match bench.provider.inspect(&id).await? {
                Sighting::Found(found) => {
                    ensure(found.id == id, || format!("asked for {id}, shown {}", found.id))?;
                    break;
                }
                Sighting::Absent => {
                    return Err(Broken(format!("{id} was answered and is called absent")));
                }
                Sighting::Suspects(_) => {
                    return Err(Broken(format!("{id} is one id, and several answered")));
                }
                Sighting::Unclear(error) => {
                    ensure(pace.elapsed() <= bench.descriptor().settle, || {
                        format!("{id} is unclear after the settling time: {error}")
                    })?;
                }
            }
            ensure(pace.wait(None).await, || format!("{id} never shows"))?;
        }
    }
    Ok(Held::Shown)
}

pub(super) async fn create_writes_the_marks(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.intend().await?;
    for index in bench.own_resources(lease)? {
        let id = bench.create(lease, index).await?;
        // The first sight: no look before this one could have seen the resource without its marks.
        let shown = bench.wait_shown(&id).await?.marks;
        let intent = bench.intent(lease, index)?;
        match bench.descriptor().ownership {
            Ownership::Marks => ensure(shown.as_ref() == Some(intent.marks()), || {
                format!("{id} shows {shown:?}, and the intent says {:?}", intent.marks())
            })?,
            Ownership::CreateAnswer => {
                ensure(shown.as_ref().is_none_or(|it| it == intent.marks()), || {
                    format!("{id} shows marks that nobody wrote: {shown:?}")
                })?;
            }
        }
    }
    match bench.descriptor().ownership {
        Ownership::Marks => Ok(Held::Shown),
        Ownership::CreateAnswer => {
            Ok(does_not_apply("the provider has nowhere to put marks, and shows none"))
        }
    }
}

pub(super) async fn create_twice_makes_one(bench: &mut Bench<'_>) -> Proof {
    if bench.descriptor().replay == Replay::Never {
        // What the engine must not rely on is not exercised: a second create would be a second machine.
        ensure(bench.descriptor().replay == Replay::Never, || "it allows a replay".to_owned())?;
        return Ok(does_not_apply("the descriptor says that a create is never repeated"));
    }
    let lease = bench.intend().await?;
    for index in bench.own_resources(lease)? {
        let first = bench.create(lease, index).await?;
        let intent = bench.intent(lease, index)?;
        let mut pace = bench.pace();
        // Until the first one can be seen, a provider may say that it cannot tell.
        let second = loop {
            match bench.provider.create(&intent).await {
                Ok(created) => break created.id,
                Err(error) if error.effect() == Effect::Unknown && pace.wait(None).await => {}
                Err(error) => return Err(error.into()),
            }
        };
        ensure(first == second, || format!("first {first}, then {second}"))?;
        bench.wait_shown(&first).await?;
        let listed = bench.provider.list().await?.items;
        let same = listed.iter().filter(|it| it.marks.as_ref() == Some(intent.marks())).count();
        ensure(same <= 1, || format!("the listing shows {same} of them"))?;
    }
    Ok(Held::Shown)
}

pub(super) async fn create_never_takes_a_look_alike(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.intend().await?;
    let Some(index) = bench.own_resources(lease)?.last().copied() else {
        return Err(Broken("the candidate owns nothing".to_owned()));
    };
    bench.create_before(lease, index).await?;
    let Some(foreign) = bench.plant(lease, index).await? else {
        return Ok(does_not_apply("nothing foreign can have this name"));
    };
    match bench.create(lease, index).await {
        // Where names may repeat, ours is made beside it.
        Ok(id) => {
            ensure(id != foreign, || format!("{foreign} is foreign and was answered as ours"))?;
        }
        Err(error) => ensure(error.kind() == ErrorKind::Conflict, || {
            format!("the name is taken, and the answer is {}: {error}", error.kind())
        })?,
    }
    let untouched = bench.harness.look_alike_is_untouched(&foreign).await?;
    ensure(untouched, || format!("{foreign} is foreign and was changed"))?;
    Ok(Held::Shown)
}

pub(super) async fn renew_keeps_the_marks(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.make().await?;
    for index in bench.own_resources(lease)? {
        let id = bench.made_id(lease, index)?;
        let before = bench.wait_shown(&id).await?;
        if bench.descriptor().ownership == Ownership::CreateAnswer {
            // Without marks there is no token to renew with, and a provider that needs one must not show deadlines.
            ensure(!bench.descriptor().shows_deadline, || {
                "it shows deadlines and has no marks".to_owned()
            })?;
            continue;
        }
        let held = bench.hold(lease, index, &before).await?;
        for span in [Some(600), Some(60), None] {
            let ends_at = span.map(|it| bench.harness.clock().now().after(Duration::from_secs(it)));
            bench.provider.renew(&held, ends_at).await?;
            let after = bench.wait_shown(&id).await?;
            ensure(after.marks == before.marks && after.name == before.name, || {
                format!("{id} showed {before:?}, and after a renewal {after:?}")
            })?;
        }
    }
    if bench.descriptor().shows_deadline {
        Ok(Held::Shown)
    } else {
        Ok(does_not_apply("no deadline is shown, and renewing changed nothing"))
    }
}
