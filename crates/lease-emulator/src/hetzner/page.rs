//! Lists: sorted as asked, cut into pages, with what leads to the other pages.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::ask::{Ask, Reply};
use super::policy::{OversizedPage, Policy};
use super::problem::{self, Problem};

const PER_PAGE_DEFAULT: usize = 25;
const PER_PAGE_MAX: usize = 50;

/// Answers a list: `entries`, under `key`, in the order that the query asks for if it is one of `sortable`.
pub(super) fn reply(
    ask: &Ask,
    policy: &Policy,
    (key, sortable): (&str, &[&str]),
    mut entries: Vec<Value>,
) -> Result<Reply, Problem> {
    sort(ask, sortable, &mut entries)?;
    let page = ask.query.number("page")?.unwrap_or(1);
    let per_page = match ask.query.number("per_page")?.unwrap_or(PER_PAGE_DEFAULT) {
        fits @ ..=PER_PAGE_MAX => fits,
        _ if policy.oversized_page == OversizedPage::Clamped => PER_PAGE_MAX,
        _ => return Err(problem::invalid("per_page", "must not be greater than 50")),
    };
    let total = entries.len();
    let last = total.div_ceil(per_page).max(1);
    let previous = (page > 1).then(|| page - 1);
    let next = (page < last).then(|| page + 1);
    let start = (page - 1).saturating_mul(per_page);
    let shown: Vec<_> = entries.into_iter().skip(start).take(per_page).collect();
    let pagination = json!({
        "page": page,
        "per_page": per_page,
        "previous_page": previous,
        "next_page": next,
        "last_page": last,
        "total_entries": total,
    });
    let link = |to: Option<usize>, rel: &str| {
        let query = ask.query.with_page(to?, per_page);
        Some(format!("<{}?{query}>; rel=\"{rel}\"", ask.address))
    };
    let links = [link(previous, "prev"), link(next, "next"), link(Some(last), "last")];
    let links: Vec<_> = links.into_iter().flatten().collect();
    let mut answer = Reply::ok(json!({"meta": {"pagination": pagination}}));
    if let Some(Value::Object(body)) = &mut answer.body {
        body.insert(key.to_owned(), Value::Array(shown));
    }
    answer.link = Some(links.join(", "));
    Ok(answer)
}

fn sort(ask: &Ask, sortable: &[&str], entries: &mut [Value]) -> Result<(), Problem> {
    let mut orders = Vec::new();
    for wanted in ask.query.all("sort") {
        let (field, direction) = wanted.split_once(':').unwrap_or((wanted, "asc"));
        if !sortable.contains(&field) || !matches!(direction, "asc" | "desc") {
            return Err(problem::invalid("sort", format!("'{wanted}' is not supported")));
        }
        orders.push((field, direction == "desc"));
    }
    entries.sort_by(|one, other| {
        let differing = orders.iter().map(|(field, descending)| {
            let order = compare(&one[*field], &other[*field]);
            if *descending { order.reverse() } else { order }
        });
        differing.fold(Ordering::Equal, Ordering::then)
    });
    Ok(())
}

fn compare(one: &Value, other: &Value) -> Ordering {
    match (one.as_u64(), other.as_u64()) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one.as_str().cmp(&other.as_str()),
    }
}
