//! Walks over all pages of a listing. What may lack something is an error, never a listing.

use std::collections::BTreeSet;

use lease_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::api::{Api, Query};
use crate::kind::Kind;
use crate::wire::Thing;

/// The documented maximum.
const PER_PAGE: u64 = 50;

/// How often a walk begins anew because the listing changed under it.
const WALKS_MAX: u32 = 3;

/// More pages than any project has; a listing that never ends must not be walked for ever.
const PAGES_MAX: u64 = 1_000;

/// What one walk came to.
enum Walk {
    /// Everything was seen.
    Complete(Vec<Value>),
    /// The listing was not the same from the first page to the last.
    Changed(String),
}

impl Api {
    /// Everything under the path that the query selects.
    pub(crate) async fn list(
        &self,
        operation: &'static str,
        many: &str,
        query: Query<'_>,
    ) -> Result<Vec<Value>> {
        let mut last = String::new();
        for _ in 0..WALKS_MAX {
            match self.walk(operation, many, query).await? {
                Walk::Complete(entries) => return Ok(entries),
                Walk::Changed(why) => last = why,
            }
        }
        let message = format!("the listing of {many} changes while it is read: {last}");
        Err(Error::harmless(ErrorKind::Unavailable, operation, message))
    }

    /// Every resource of a kind that the query selects.
    pub(crate) async fn things(
        &self,
        operation: &'static str,
        kind: Kind,
        query: Query<'_>,
    ) -> Result<Vec<Thing>> {
        // By id, what is made during the walk comes last and moves nothing else.
        let sorted = [query, &[("sort", "id:asc")]].concat();
        let entries = self.list(operation, kind.many(), &sorted).await?;
        let things: Option<Vec<_>> = entries.iter().map(Thing::read).collect();
        things.ok_or_else(|| {
            let message = format!("the listing of {} has an entry without an id", kind.many());
            Error::harmless(ErrorKind::Protocol, operation, message)
        })
    }

    async fn walk(&self, operation: &'static str, many: &str, query: Query<'_>) -> Result<Walk> {
        let (mut entries, mut ids, mut total) = (Vec::new(), BTreeSet::new(), None);
        for page in 1..=PAGES_MAX {
            let (number, size) = (page.to_string(), PER_PAGE.to_string());
            let mut narrowed = query.to_vec();
            narrowed.extend([("page", number.as_str()), ("per_page", size.as_str())]);
            let (answer, body) = self.read(operation, &[many], &narrowed).await?;
            let pagination = &body["meta"]["pagination"];
            let (Some(shown), Some(next)) = (body[many].as_array(), pagination.get("next_page"))
            else {
                return Err(answer.unusable(&format!("the answer is not a page of {many}")));
            };
            let said = pagination["total_entries"].as_u64();
            if page > 1 && said != total {
                return Ok(Walk::Changed(format!("page {page} counts otherwise than page 1")));
            }
            total = said;
            for entry in shown {
                if !ids.insert(entry["id"].as_u64()) {
                    return Ok(Walk::Changed("an entry was shown twice".to_owned()));
                }
            }
            entries.extend(shown.iter().cloned());
            if next.is_null() {
                return Ok(judge(entries, total));
            }
            if next.as_u64() != Some(page + 1) {
                return Err(answer.unusable(&format!("page {page} is followed by {next}")));
            }
        }
        let message = format!("the listing of {many} has more than {PAGES_MAX} pages");
        Err(Error::harmless(ErrorKind::Protocol, operation, message))
    }
}

/// A listing that shows less than it counts lacks something.
fn judge(entries: Vec<Value>, total: Option<u64>) -> Walk {
    let shown = entries.len() as u64;
    match total {
        Some(total) if total != shown => {
            Walk::Changed(format!("it counts {total} and shows {shown}"))
        }
        _ => Walk::Complete(entries),
    }
}
