//! Templates: `{{name}}` and nothing else, with the knowledge of what came from the environment.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::ExternalError;

/// What templates may name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context<'a> {
    pub(crate) values: BTreeMap<&'static str, String>,
    pub(crate) config: Option<&'a Map<String, Value>>,
    pub(crate) environment: &'a [(String, String)],
    /// Values of which a part came from the environment.
    pub(crate) tainted: Vec<&'static str>,
}

/// A filled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) text: String,
    /// Whether a part of it came from the environment.
    pub(crate) from_environment: bool,
}

impl Context<'_> {
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.values.insert(name, value.into());
    }

    /// Fills a template.
    pub(crate) fn fill(&self, what: &'static str, template: &str) -> Result<Filled, ExternalError> {
        let wrong = |why: String| Err(ExternalError::config(what, why));
        let mut filled = Filled { text: String::new(), from_environment: false };
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return wrong("a `{{` is not closed".to_owned());
            };
            if before.contains("}}") {
                return wrong("a `}}` was never opened".to_owned());
            }
            filled.text.push_str(before);
            let name = name.trim();
            match self.value(name) {
                Some(value) => filled.text.push_str(&value),
                None => return wrong(format!("there is no value for `{{{{{name}}}}}`")),
            }
            filled.from_environment |= name.starts_with("env.") || self.tainted.contains(&name);
            rest = after;
        }
        if rest.contains("}}") {
            return wrong("a `}}` was never opened".to_owned());
        }
        filled.text.push_str(rest);
        Ok(filled)
    }

    /// Fills a template that must not hold what came from the environment.
    pub(crate) fn fill_openly(
        &self,
        what: &'static str,
        template: &str,
        environment: Environment,
    ) -> Result<String, ExternalError> {
        let filled = self.fill(what, template)?;
        if filled.from_environment && environment == Environment::Refused {
            let why = "it would show what came from the environment, and that is not allowed here";
            return Err(ExternalError::config(what, why));
        }
        Ok(filled.text)
    }

    fn value(&self, name: &str) -> Option<String> {
        if !is_name(name) {
            return None;
        }
        if let Some(variable) = name.strip_prefix("env.") {
            let found = self.environment.iter().rev().find(|(it, _)| it == variable);
            return found.map(|(_, value)| value.clone());
        }
        if let Some(path) = name.strip_prefix("config.") {
            let mut parts = path.split('.');
            let first = self.config?.get(parts.next()?)?;
            return scalar(parts.try_fold(first, |value, part| value.get(part))?);
        }
        self.values.get(name).cloned()
    }
}

/// Whether a value may come from the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Environment {
    /// It may.
    Allowed,
    /// It would be seen by others.
    Refused,
}

impl From<bool> for Environment {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Refused }
    }
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|it| it.is_ascii_alphabetic() || it == '_')
        && chars.all(|it| it.is_ascii_alphanumeric() || "_.-".contains(it))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(it) => Some(it.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, expect: Option<(&str, bool)>) {
        let config = serde_json::json!({"pool": {"size": 3, "on": true}, "list": []});
        let environment = [("TOKEN".to_owned(), "secret".to_owned())];
        let mut context = Context {
            config: config.as_object(),
            environment: &environment,
            tainted: vec!["resourceName"],
            ..Context::default()
        };
        context.set("name", "box {{slug}}");
        context.set("resourceName", "r");
        let filled = context.fill("test", template).ok();
        let filled = filled.as_ref().map(|it| (it.text.as_str(), it.from_environment));
        assert_eq!(filled, expect, "{template}");
    }

    #[test]
    fn a_template_is_filled_once_and_says_where_it_comes_from() {
        check("plain } { text", Some(("plain } { text", false)));
        check("a-{{name}}-{{ name }}", Some(("a-box {{slug}}-box {{slug}}", false)));
        check("{{config.pool.size}}/{{config.pool.on}}", Some(("3/true", false)));
        check("x{{env.TOKEN}}", Some(("xsecret", true)));
        check("{{resourceName}}", Some(("r", true)));
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        for bad in [
            "{{unknown}}",
            "{{env.UNSET}}",
            "{{config.pool}}",
            "{{config.list}}",
            "{{config.pool.size.x}}",
            "{{name",
            "name}}",
            "}} {{name}}",
            "{{}}",
            "{{1a}}",
            "{{a b}}",
        ] {
            check(bad, None);
        }
    }
}
