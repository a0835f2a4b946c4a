//! The partitions of a cluster as the machines that can be had.

use lease_core::Size;

use crate::error::SlurmError;
use crate::report::Part;

/// One kind of node in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) name: String,
    pub(crate) is_up: bool,
    pub(crate) is_default: bool,
    pub(crate) time_limit: String,
    pub(crate) nodes: u32,
    pub(crate) cores: u32,
    pub(crate) memory_mib: u64,
    pub(crate) gres: String,
}

/// Reads what sinfo says. A line that does not parse makes the whole an error.
pub(crate) fn partitions(part: &Part) -> Result<Vec<Partition>, SlurmError> {
    if part.code != 0 || !part.stderr.trim().is_empty() {
        return Err(SlurmError::unclear("sinfo", part.said()));
    }
    let read = |line: &str| {
        partition(line).ok_or_else(|| SlurmError::unclear("sinfo", format!("it printed {line:?}")))
    };
    part.stdout.lines().map(read).collect()
}

fn partition(line: &str) -> Option<Partition> {
    let mut fields = line.split('|');
    if fields.next()? != "J" {
        return None;
    }
    let mut text = || fields.next().map(str::trim);
    // A count of different nodes has a plus behind the smallest.
    let count = |it: &str| it.trim_end_matches('+').parse().ok();
    let (name, state, time_limit) = (text()?, text()?, text()?);
    let (nodes, cores, memory) =
        (count(text()?)?, count(text()?)?, text()?.trim_end_matches('+').parse().ok()?);
    let (gres, marked) = (text()?, text()?);
    Some(Partition {
        name: name.to_owned(),
        is_up: state == "up",
        is_default: marked.ends_with('*'),
        time_limit: time_limit.to_owned(),
        nodes,
        cores,
        memory_mib: memory,
        gres: if gres == "(null)" { String::new() } else { gres.to_owned() },
    })
}

impl Partition {
    pub(crate) fn size(&self) -> Size {
        let mut notes = format!("{} nodes, at most {}", self.nodes, self.time_limit);
        if !self.gres.is_empty() {
            notes.push_str(", ");
            notes.push_str(&self.gres);
        }
        let mut size = Size::new(self.name.as_str(), self.cores, gibibytes(self.memory_mib));
        size.notes = notes;
        size.available = Some(self.is_up);
        size
    }
}

fn gibibytes(mebibytes: u64) -> f64 {
    // A node has less memory than the 2^32 MiB from which on this would be inexact.
    f64::from(u32::try_from(mebibytes).unwrap_or(u32::MAX)) / 1024.0
}
