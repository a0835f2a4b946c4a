//! What a script answers: framed, so that a greeting of a login node is never taken for an answer of Slurm, and an
//! answer that broke off is never taken for a short one.

use std::collections::BTreeMap;

const FRAME: &str = "lease1 ";
const BEGIN: &str = "lease1 begin";
const END: &str = "lease1 end";

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    facts: BTreeMap<String, String>,
    parts: BTreeMap<String, Part>,
}

/// What one command left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its exit code; 124 and 137 when its own deadline ended it, 127 when there is no such command.
    pub(crate) code: i32,
    /// Its standard output, without the line breaks at its end.
    pub(crate) stdout: String,
    /// The end of its standard error.
    pub(crate) stderr: String,
}

impl Report {
    /// Reads an answer.
    ///
    /// # Errors
    /// What is missing or out of place.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().skip_while(|it| *it != BEGIN);
        if lines.next().is_none() {
            return Err("the script did not begin".to_owned());
        }
        let mut report = Self::default();
        let mut current: Option<String> = None;
        for line in lines.by_ref() {
            if line == END {
                return Ok(report);
            }
            let framed = line.strip_prefix(FRAME).ok_or_else(|| odd(line))?;
            let (tag, rest) = framed.split_once(' ').unwrap_or((framed, ""));
            if tag == "F" {
                let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                report.facts.insert(key.to_owned(), value.to_owned());
                continue;
            }
            if tag == "P" {
                report.parts.insert(rest.to_owned(), Part { code: -1, ..Part::default() });
                current = Some(rest.to_owned());
                continue;
            }
            let part = current.as_ref().and_then(|name| report.parts.get_mut(name));
            let part = part.ok_or_else(|| odd(line))?;
            match tag {
                "R" => part.code = rest.parse().map_err(|_| odd(line))?,
                "O" => push_line(&mut part.stdout, rest),
                "E" => push_line(&mut part.stderr, rest),
                _ => return Err(odd(line)),
            }
        }
        Err("the answer broke off".to_owned())
    }

    /// What a command left.
    ///
    /// # Errors
    /// When the script did not run it.
    pub(crate) fn part(&self, name: &str) -> Result<&Part, String> {
        let part = self.parts.get(name).filter(|it| it.code >= 0);
        part.ok_or_else(|| format!("the answer lacks {name}"))
    }

    /// A single value.
    pub(crate) fn fact(&self, name: &str) -> Option<&str> {
        self.facts.get(name).map(String::as_str)
    }

    /// A value that is `yes` or not.
    pub(crate) fn says(&self, name: &str) -> bool {
        self.fact(name) == Some("yes")
    }
}

impl Part {
    /// Whether its own deadline ended it.
    pub(crate) fn hung(&self) -> bool {
        matches!(self.code, 124 | 137)
    }

    /// What it said, for people.
    pub(crate) fn said(&self) -> String {
        let words = [&self.stderr, &self.stdout].into_iter().find(|it| !it.trim().is_empty());
        match (words, self.code) {
            (Some(words), _) => words.trim().replace('\n', "; "),
            (None, 124 | 137) => "it did not answer in time".to_owned(),
            (None, 127) => "there is no such command".to_owned(),
            (None, code) => format!("it ended with {code} and said nothing"),
        }
    }
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

fn odd(line: &str) -> String {
    let shown: String = line.chars().take(80).collect();
    format!("the answer has the line {shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "Welcome!\nlease1 F x y\nlease1 begin\nlease1 P squeue\nlease1 R 1\nlease1 O a\nlease1 O \n\
                         lease1 O b c\nlease1 E no\nlease1 F host vm 1\nlease1 F empty \nlease1 end\nbye\n";

    #[test]
    fn a_greeting_is_no_answer() {
        let report = Report::parse(WHOLE).unwrap();
        assert_eq!(report.fact("x"), None);
        assert_eq!((report.fact("host"), report.fact("empty")), (Some("vm 1"), Some("")));
        let part = report.part("squeue").unwrap();
        assert_eq!((part.code, part.stdout.as_str(), part.stderr.as_str()), (1, "a\n\nb c", "no"));
        report.part("sbatch").unwrap_err();
    }

    #[test]
    fn an_answer_that_broke_off_is_no_answer() {
        let whole = Report::parse(WHOLE).unwrap();
        for end in 0..WHOLE.find("lease1 end").unwrap() + "lease1 end".len() {
            if let Ok(report) = Report::parse(&WHOLE[..end]) {
                assert_eq!(report, whole, "{end}");
            }
        }
        for bad in [
            "",
            "hello",
            "lease1 begin\nfree text\nlease1 end",
            "lease1 begin\nlease1 O a\nlease1 end",
        ] {
            Report::parse(bad).unwrap_err();
        }
        let halfway = Report::parse("lease1 begin\nlease1 P squeue\nlease1 end").unwrap();
        halfway.part("squeue").unwrap_err();
    }
}
