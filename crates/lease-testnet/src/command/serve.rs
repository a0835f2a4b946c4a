//! Holds a network for as long as its input is open.

use std::fs;
use std::io::{ErrorKind, Write as _, stdin, stdout};
use std::path::Path;
use std::time::Duration;

use lease_testnet::{Counted, Host, Link, Net, Traffic};
use serde_json::{Value, json};

use super::Answer;

/// Makes the network, says how to enter it, and answers until its input ends.
pub(super) fn serve(scratch: &Path, links: &[&str]) -> Answer {
    let links = links.iter().map(|text| link(text)).collect::<Result<Vec<_>, _>>()?;
    let served = Net::new(&links).map_err(Into::into).and_then(|net| answer(&net, scratch, &links));
    // Nothing runs any more that could write there.
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => served,
    }
}

fn answer(net: &Net, scratch: &Path, links: &[Link]) -> Answer {
    let hosts: Vec<Value> = (0..links.len())
        .filter_map(|number| net.host(number))
        .map(|it| host(it, scratch))
        .collect();
    say(&json!({"client": host(net.client(), scratch), "hosts": hosts}))?;
    for line in stdin().lines() {
        let line = line?;
        let (verb, number) = line.split_once(' ').ok_or("a verb and the number of a link")?;
        let number: usize = number.parse()?;
        if net.host(number).is_none() {
            return Err(format!("there is no link {number}").into());
        }
        match verb {
            "take" => say(&counted(net.take(number)))?,
            "cut" => net.cut(number),
            "restore" => net.restore(number),
            other => return Err(format!("nothing is called `{other}`").into()),
        }
    }
    Ok(())
}

fn say(answer: &Value) -> Answer {
    let mut output = stdout().lock();
    writeln!(output, "{answer}")?;
    Ok(output.flush()?)
}

fn host(host: &Host, scratch: &Path) -> Value {
    json!({"address": host.address(), "enter": host.enter(scratch)})
}

fn counted(counted: Counted) -> Value {
    let traffic = |it: Traffic| json!({"packets": it.packets, "bytes": it.bytes});
    json!({
        "out": traffic(counted.out), "back": traffic(counted.back),
        "round_trips": counted.round_trips,
    })
}

/// `50` or `50:100`: milliseconds there and back, megabits per second.
fn link(text: &str) -> Result<Link, String> {
    let wrong = || format!("`{text}` is not RTT_MS or RTT_MS:MBIT");
    let (rtt, rate) = text.split_once(':').map_or((text, None), |(rtt, rate)| (rtt, Some(rate)));
    let link = Link::new(Duration::from_millis(rtt.parse().map_err(|_| wrong())?));
    let Some(rate) = rate else { return Ok(link) };
    let megabits: u64 = rate.parse().map_err(|_| wrong())?;
    Ok(link.rate(megabits.saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_named_by_its_time_and_its_rate() {
        assert_eq!(link("50"), Ok(Link::new(Duration::from_millis(50))));
        assert_eq!(link("50:100"), Ok(Link::new(Duration::from_millis(50)).rate(100_000_000)));
        assert!(link("").is_err() && link("5ms").is_err() && link("5:").is_err());
    }
}
