//! A listing that can be relied on: all pages, and again until two walks in a row show the same.
//!
//! fal's cursors are documented to encode a page number. So what is created or deleted while one walks moves everything
//! behind it, and an instance can be passed over (inferred).

use std::collections::{BTreeMap, BTreeSet};

use lease_core::{Error, ErrorKind, ResourceId, Result};

use crate::api::Api;
use crate::wire::Instance;

const LIST: &str = "list instances";

/// The most pages of one walk.
const PAGES_MAX: usize = 200;

/// The most walks of one listing.
const WALKS_MAX: usize = 6;

/// Every instance of the workspace, in the order of their ids.
pub(crate) type Instances = BTreeMap<ResourceId, Instance>;

/// How many pages a walk met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pages {
    /// One, so that nothing could move from one to another.
    One,
    Several,
}

/// Lists every instance of the workspace.
///
/// # Errors
/// When the listing is not complete or does not come to rest. Nothing is concluded from it then.
pub(crate) async fn complete(api: &Api) -> Result<Instances> {
    let (mut last, pages) = walk(api).await?;
    if pages == Pages::One {
        return Ok(last);
    }
    for _ in 1..WALKS_MAX {
        let (next, pages) = walk(api).await?;
        if pages == Pages::One || next.keys().eq(last.keys()) {
            return Ok(next);
        }
        last = next;
    }
    let message = format!("the instances changed during each of {WALKS_MAX} walks through them");
    Err(Error::harmless(ErrorKind::Unavailable, LIST, message))
}

async fn walk(api: &Api) -> Result<(Instances, Pages)> {
    let incomplete = |why: &str| Err(Error::harmless(ErrorKind::Protocol, LIST, why));
    let mut found = Instances::new();
    let mut cursors = BTreeSet::new();
    let mut cursor: Option<String> = None;
    for number in 0..PAGES_MAX {
        let page = api.page(cursor.as_deref()).await?;
        found.extend(page.instances.into_iter().map(|it| (it.id.clone(), it)));
        if !page.has_more {
            let pages = if number == 0 { Pages::One } else { Pages::Several };
            return Ok((found, pages));
        }
        let Some(next) = page.next_cursor.filter(|it| !it.is_empty()) else {
            return incomplete("fal says that there are more instances, and not where");
        };
        if !cursors.insert(next.clone()) {
            return incomplete("the pages of the listing lead in a circle");
        }
        cursor = Some(next);
    }
    incomplete("the listing has too many pages")
}
