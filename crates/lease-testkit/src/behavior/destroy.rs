//! The sentences about `destroy`.

use lease_core::Sighting;

use super::bench::Bench;
use super::{Broken, Held, Proof, ensure};

pub(super) async fn destroy_then_absent(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.make().await?;
    for index in bench.own_resources(lease)?.into_iter().rev() {
        let owned = bench.own(lease, index).await?;
        bench.provider.destroy(&owned).await?;
        // From here on it disappears without another call.
        bench.wait_absent(owned.id()).await?;
        bench.record_absent(lease, index).await?;
    }
    Ok(Held::Shown)
}

pub(super) async fn destroy_twice_is_success(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.make().await?;
    for index in bench.own_resources(lease)?.into_iter().rev() {
        let owned = bench.own(lease, index).await?;
        bench.provider.destroy(&owned).await?;
        let going = bench.provider.destroy(&owned).await;
        going.map_err(|error| Broken(format!("what is going away was answered with: {error}")))?;
        bench.wait_absent(owned.id()).await?;
        let gone = bench.provider.destroy(&owned).await;
        gone.map_err(|error| Broken(format!("what is gone was answered with: {error}")))?;
        bench.record_absent(lease, index).await?;
    }
    Ok(Held::Shown)
}

pub(super) async fn destroy_takes_only_its_own(bench: &mut Bench<'_>) -> Proof {
    let (target, other) = (bench.make().await?, bench.make().await?);
    let own = bench.own_resources(target)?;
    let Some(machine) = own.last().copied() else {
        return Err(Broken("the candidate owns nothing".to_owned()));
    };
    // Where names are unique, the look-alike cannot exist beside ours; then only the siblings are at stake.
    let foreign = bench.plant(target, machine).await?;
    bench.destroy(target, machine).await?;
    for (lease, indices) in
        [(target, &own[..own.len() - 1]), (other, &bench.own_resources(other)?[..])]
    {
        for index in indices {
            let id = bench.made_id(lease, *index)?;
            let sighting = bench.provider.inspect(&id).await?;
            ensure(matches!(sighting, Sighting::Found(_)), || {
                format!("{id} was not to be destroyed, and now it is {sighting:?}")
            })?;
        }
    }
    if let Some(foreign) = foreign {
        let untouched = bench.harness.look_alike_is_untouched(&foreign).await?;
        ensure(untouched, || format!("{foreign} is foreign and was destroyed"))?;
    }
    Ok(Held::Shown)
}
