//! The sentences about `find` and `inspect`.

use lease_core::Sighting;
use lease_core::descriptor::Ownership;

use super::bench::{Bench, stranger};
use super::{Broken, Held, Proof, does_not_apply, ensure};

pub(super) async fn find_before_create_is_absent(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.intend().await?;
    for index in bench.own_resources(lease)? {
        let intent = bench.intent(lease, index)?;
        let sighting = bench.provider.find(&intent).await?;
        ensure(matches!(sighting, Sighting::Absent), || {
            format!("nothing was sent, and it says {sighting:?}")
        })?;
    }
    Ok(Held::Shown)
}

pub(super) async fn find_after_create_is_found(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.make().await?;
    let marks = bench.descriptor().ownership;
    for index in bench.own_resources(lease)? {
        let (id, intent) = (bench.made_id(lease, index)?, bench.intent(lease, index)?);
        let mut pace = bench.pace();
        loop {
            let sighting = bench.provider.find(&intent).await?;
            match (sighting, marks) {
                (Sighting::Found(found), _) => {
                    ensure(found.id == id, || format!("{id} was created, {} was found", found.id))?;
                    break;
                }
                (Sighting::Suspects(suspects), Ownership::CreateAnswer) => {
                    let among_them = suspects.iter().any(|it| it.id == id);
                    ensure(among_them, || format!("{id} was created and is no suspect"))?;
                    break;
                }
                (Sighting::Suspects(suspects), Ownership::Marks) => {
                    let count = suspects.len();
                    return Err(Broken(format!("marks decide, and {count} could be it")));
                }
                // Without marks, "something has this name" is all that a search can honestly say.
                (Sighting::Unclear(_), Ownership::CreateAnswer) => break,
                (Sighting::Absent, Ownership::CreateAnswer)
                | (Sighting::Absent | Sighting::Unclear(_), Ownership::Marks) => {}
            }
            ensure(pace.wait(None).await, || format!("{id} was created and is never found"))?;
        }
    }
    Ok(Held::Shown)
}

pub(super) async fn find_ignores_look_alikes(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.intend().await?;
    let mut planted = 0;
    for index in bench.own_resources(lease)? {
        if bench.plant(lease, index).await?.is_none() {
            continue;
        }
        planted += 1;
        let intent = bench.intent(lease, index)?;
        let sighting = bench.provider.find(&intent).await?;
        ensure(!matches!(sighting, Sighting::Found(_)), || {
            format!("a look-alike was found: {sighting:?}")
        })?;
    }
    if planted == 0 {
        Ok(does_not_apply("nothing foreign can have this name"))
    } else {
        Ok(Held::Shown)
    }
}

pub(super) async fn inspect_of_a_stranger_is_absent(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.make().await?;
    for index in bench.own_resources(lease)? {
        let unknown = stranger(&bench.made_id(lease, index)?)?;
        let sighting = bench.provider.inspect(&unknown).await?;
        ensure(matches!(sighting, Sighting::Absent), || {
            format!("{unknown} was never given out: {sighting:?}")
        })?;
    }
    Ok(Held::Shown)
}

pub(super) async fn inspect_of_foreign_shows_foreign_marks(bench: &mut Bench<'_>) -> Proof {
    let lease = bench.intend().await?;
    let mut planted = 0;
    for index in bench.own_resources(lease)? {
        let Some(foreign) = bench.plant(lease, index).await? else { continue };
        planted += 1;
        let intent = bench.intent(lease, index)?;
        // The provider has heard of our marks now, and must not write them on what it shows.
        bench.provider.find(&intent).await?;
        match bench.provider.inspect(&foreign).await? {
            Sighting::Found(found) => ensure(found.marks.as_ref() != Some(intent.marks()), || {
                format!("{foreign} is foreign and shows our marks")
            })?,
            // A provider that sees only its own may not see it at all.
            Sighting::Absent | Sighting::Suspects(_) | Sighting::Unclear(_) => {}
        }
    }
    if planted == 0 {
        Ok(does_not_apply("nothing foreign can have this name"))
    } else {
        Ok(Held::Shown)
    }
}
