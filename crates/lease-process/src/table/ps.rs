//! Understanding what `ps` of macOS prints. Plain text work, so that it is tested on every platform.

use super::ProcessState;
use crate::Pid;

/// One line of `ps -axww -o pid=,ppid=,pgid=,uid=,state=,lstart=,command=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) pid: Pid,
    pub(crate) ppid: Option<Pid>,
    pub(crate) pgid: Option<Pid>,
    pub(crate) uid: u32,
    pub(crate) state: ProcessState,
    pub(crate) start: u64,
    pub(crate) command: String,
}

pub(crate) fn row(line: &str) -> Option<Row> {
    let mut rest = line;
    let mut next = || {
        let (field, after) = rest.trim_start().split_once(' ')?;
        rest = after;
        Some(field)
    };
    let pid = Pid::new(next()?.parse().ok()?)?;
    let parent = Pid::new(next()?.parse().ok()?);
    let group = Pid::new(next()?.parse().ok()?);
    // `nobody` is printed as -2.
    let uid = next()?.parse::<i64>().ok()?;
    let uid = u32::try_from(uid).or_else(|_| i32::try_from(uid).map(i32::cast_unsigned)).ok()?;
    let state = match next()?.chars().next()? {
        'Z' => ProcessState::Zombie,
        'T' => ProcessState::Stopped,
        'U' => ProcessState::Uninterruptible,
        _ => ProcessState::Active,
    };
    let start = start_from([next()?, next()?, next()?, next()?, next()?])?;
    let command = rest.trim().to_owned();
    Some(Row { pid, ppid: parent, pgid: group, uid, state, start, command })
}

/// One line of `ps -axwwE -o pid=,command=`.
pub(crate) fn pid_and_rest(line: &str) -> Option<(Pid, String)> {
    let (pid, rest) = line.trim_start().split_once(' ')?;
    Some((Pid::new(pid.parse().ok()?)?, rest.trim().to_owned()))
}

/// The time of `lstart` in the C locale and UTC, `Fri Nov 20 20:37:45 2026`, as the digits 20261120203745.
pub(crate) fn start(text: &str) -> Option<u64> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    start_from(fields.try_into().ok()?)
}

/// Whether `NAME=value` is one of the variables in the tail that `-E` adds to a command.
///
/// Values are separated by nothing but spaces there, so a value that contains a space could imitate another
/// variable; marks are therefore long and random.
pub(crate) fn has_env(environment: &str, name_and_value: &str) -> bool {
    environment.split(' ').any(|variable| variable == name_and_value)
}

fn start_from([_weekday, month, day, time, year]: [&str; 5]) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(month).filter(|at| month.len() == 3 && at % 3 == 0)? / 3 + 1;
    let mut start = year.parse::<u64>().ok()? * 100 + month as u64;
    start = start * 100 + day.parse::<u64>().ok()?;
    for part in time.split(':') {
        start = start * 100 + part.parse::<u64>().ok()?;
    }
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_the_command_with_its_spaces() {
        let line =
            "  501     1   501    -2 Ss   Fri Nov  6 02:07:05 2026     /usr/bin/tool  --flag a b ";
        let row = row(line).unwrap();
        assert_eq!((row.pid.get(), row.ppid.map(Pid::get), row.uid), (501, Some(1), u32::MAX - 1));
        assert_eq!((row.state, row.start), (ProcessState::Active, 20_261_106_020_705));
        assert_eq!(row.command, "/usr/bin/tool  --flag a b");
        assert_eq!(super::row("not a row"), None);
    }

    #[test]
    fn start_times_order_and_nonsense_is_refused() {
        assert_eq!(start("Fri Nov 20 20:37:45 2026"), Some(20_261_120_203_745));
        assert_eq!(start("Fri ovD 20 20:37:45 2026"), None);
        assert_eq!(start(""), None);
    }

    #[test]
    fn a_variable_is_matched_whole() {
        let (pid, rest) = pid_and_rest("   12 tool arg MARK=abc ").unwrap();
        assert_eq!((pid.get(), rest.as_str()), (12, "tool arg MARK=abc"));
        assert!(has_env(" A=1 MARK=abc B=2", "MARK=abc"));
        assert!(!has_env(" A=1 MARK=abcd B=2", "MARK=abc"));
        assert!(!has_env(" XMARK=abc", "MARK=abc"));
    }
}
