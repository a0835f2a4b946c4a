//! A request as the handlers read it: its query, and the fields of its body.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};

use super::labels::{self, Labels, Selector};
use super::problem::{self, Problem};

/// What a handler is asked.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) project: String,
    /// The address up to and without the query, for links to other pages.
    pub(super) address: String,
    pub(super) query: Query,
    pub(super) body: Bytes,
}

/// What a handler answers.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Option<Value>,
    pub(super) link: Option<String>,
    /// A server whose machine may have to be booted or ended.
    pub(super) touched: Option<u64>,
}

impl Reply {
    pub(super) fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body: Some(body), link: None, touched: None }
    }

    pub(super) fn created(body: Value) -> Self {
        Self { status: StatusCode::CREATED, ..Self::ok(body) }
    }

    pub(super) fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, link: None, touched: None }
    }

    pub(super) fn touching(self, server: u64) -> Self {
        Self { touched: Some(server), ..self }
    }
}

/// The query of a request, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all<'q>(&'q self, name: &str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a value is among those asked for, or none was asked for.
    pub(super) fn admits(&self, name: &str, value: &str) -> bool {
        self.all(name).next().is_none() || self.all(name).any(|wanted| wanted == value)
    }

    /// The same query for another page.
    pub(super) fn with_page(&self, page: usize, per_page: usize) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        for (key, value) in self.0.iter().filter(|(key, _)| key != "page" && key != "per_page") {
            text.append_pair(key, value);
        }
        text.append_pair("page", &page.to_string());
        text.append_pair("per_page", &per_page.to_string());
        text.finish()
    }

    /// The label selector; one that is absent selects everything.
    pub(super) fn selector(&self) -> Result<Selector, Problem> {
        Selector::parse(self.first("label_selector").unwrap_or_default())
            .ok_or_else(|| problem::invalid("label_selector", "is not a valid label selector"))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Problem> {
        let Some(text) = self.first(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(problem::invalid(name, "must be a positive number")),
        }
    }
}

/// The fields of a body, and what was found to be wrong with them so far.
#[derive(Debug)]
pub(super) struct Fields {
    fields: Map<String, Value>,
    faults: Vec<(&'static str, String)>,
}

impl Fields {
    /// # Errors
    ///
    /// `json_error` when it is not a JSON object.
    pub(super) fn parse(body: &Bytes) -> Result<Self, Problem> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self { fields, faults: Vec::new() }),
            _ => Err(problem::json_error()),
        }
    }

    pub(super) fn fault(&mut self, field: &'static str, message: impl Into<String>) {
        self.faults.push((field, message.into()));
    }

    /// # Errors
    ///
    /// `invalid_input` with every fault that was found.
    pub(super) fn finish(&self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(problem::invalid_input(&self.faults)) }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A field of one type. Absent and null are the same.
    fn typed<T>(
        &mut self,
        name: &'static str,
        wanted: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let found = read(self.value(name)?);
        if found.is_none() {
            self.fault(name, format!("must be {wanted}"));
        }
        found
    }

    pub(super) fn object(&mut self, name: &'static str) -> Option<Map<String, Value>> {
        self.typed(name, "an object", |value| value.as_object().cloned())
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.typed(name, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.typed(name, "a boolean", Value::as_bool)
    }

    /// An id or a name; clients send an id as a number or as a string.
    pub(super) fn reference(&mut self, name: &'static str) -> Option<String> {
        self.typed(name, "an ID or a name", reference)
    }

    pub(super) fn references(&mut self, name: &'static str) -> Option<Vec<String>> {
        let read = |value: &Value| value.as_array()?.iter().map(reference).collect();
        self.typed(name, "a list of IDs or names", read)
    }

    /// A field that must be there; an empty one is as good as none.
    pub(super) fn required(&mut self, name: &'static str) -> String {
        let found = self.reference(name).unwrap_or_default();
        if found.is_empty() && self.faults.iter().all(|(field, _)| *field != name) {
            self.fault(name, "is required");
        }
        found
    }

    pub(super) fn labels(&mut self) -> Option<Labels> {
        let map = self.object("labels")?;
        let mut found = Labels::new();
        for (key, value) in map {
            let Value::String(value) = value else {
                self.fault("labels", format!("value of '{key}' must be a string"));
                continue;
            };
            if let Some(fault) = labels::fault(&key, &value) {
                self.fault("labels", fault);
            }
            found.insert(key, value);
        }
        Some(found)
    }
}

fn reference(value: &Value) -> Option<String> {
    let number = || value.as_u64().map(|number| number.to_string());
    value.as_str().map(str::to_owned).or_else(number)
}
