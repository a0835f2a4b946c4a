//! `lease forward`: ports of a box on this machine's loopback, until Ctrl-C or while a command of this machine runs.

use std::ffi::OsString;
use std::time::Duration;

use lease_process::{Child, Input, Program, Signal, Stream, spawn};
use lease_ssh::{Forward, Session};

use crate::args::ForwardArgs;
use crate::context::Base;
use crate::document::ForwardDocument;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::{Interrupt, Interrupts};
use crate::session::{Attached, attended, in_use, touch};

/// How long a command of this machine that was asked to end may take, before it is killed.
const END_TIME_MAX: Duration = Duration::from_secs(10);

/// Opens the ports.
pub(crate) async fn run(base: Base<'_>, args: &ForwardArgs) -> Result<Exit, Failure> {
    let wanted = args.ports.iter().map(|it| parse(it)).collect::<Result<Vec<_>, _>>()?;
    if args.command.first().is_some_and(|it| it.is_empty()) {
        return Err(usage("the command is empty"));
    }
    let (context, claim) = base.open_for(&args.lease).await?;
    let mut interrupts = Interrupts::listen()?;
    let mut forwards = Vec::new();
    for (local, remote) in wanted {
        let listening = Forward::listen(local, remote).await;
        let next = format!("lease forward {} 0:{remote}", args.lease);
        forwards.push(listening.map_err(|error| Failure::invalid(error.to_string(), next))?);
    }
    let attached = Attached::to(&context, &claim).await?;
    touch(&context, &claim).await?;
    let document = ForwardDocument::new(claim.lease(), &forwards);
    let ports: Vec<_> = forwards.iter().map(|it| (it.local(), it.remote())).collect();
    base.output.progress().clear();
    let serving = serve(&base, &attached.session, forwards);
    let place = (&context, &attached);
    if args.command.is_empty() {
        base.output.result(&document, || {
            let lines =
                ports.iter().map(|(local, remote)| format!("127.0.0.1:{local} -> {remote}"));
            lines.collect::<Vec<_>>().join("\n")
        })?;
        let over = attended(place, &mut interrupts, serving).await;
        return Err(over.map_or_else(|failure| failure, |lost| lost.lease(claim.lease())));
    }
    let child = start(&base, &args.command, &ports)?;
    tokio::select! {
        ended = end_of(child, &base, &mut interrupts) => ended,
        over = in_use(place, serving) => {
            Err(over.map_or_else(|failure| failure, |lost| lost.lease(claim.lease())))
        }
    }
}

/// Forwards until a port can accept no more, and says why.
async fn serve(base: &Base<'_>, session: &Session, forwards: Vec<Forward>) -> Failure {
    let mut all = tokio::task::JoinSet::new();
    let output = base.output.clone();
    for forward in forwards {
        let (session, output) = (session.clone(), output.clone());
        all.spawn(async move { forward.serve(&session, |said| output.note(&said)).await });
    }
    let why = match all.join_next().await {
        Some(Ok(Err(error))) => error.to_string(),
        Some(Ok(Ok(()))) | None => "nothing is forwarded any more".to_owned(),
        Some(Err(error)) => error.to_string(),
    };
    Failure::tool(why).meaning(Meaning::StillLeased).kind("unavailable")
}

/// Starts the command on this machine, with our streams, directory and environment.
fn start(base: &Base<'_>, command: &[OsString], ports: &[(u16, u16)]) -> Result<Child, Failure> {
    let (name, arguments) = command.split_first().ok_or_else(|| usage("the command is empty"))?;
    let variables = ports.iter().map(|(local, remote)| (port_variable(*remote), local.to_string()));
    let program = Program::new(name).args(arguments).inherit_env(base.environment.all_variables());
    let program = program.inherit_env(variables).in_our_group();
    let program = program.stdin(Input::Inherit).stdout(Stream::Inherit).stderr(Stream::Inherit);
    spawn(&program).map_err(|error| {
        let shown = name.to_string_lossy();
        let failure = Failure::invalid(error.to_string(), format!("command -v {shown}"));
        failure.meaning(Meaning::StillLeased)
    })
}

/// Waits for the command. What a terminal sends goes to it anyway, and Ctrl-C need not end it.
async fn end_of(
    child: Child,
    base: &Base<'_>,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let lost = |error: lease_process::ProcessError| Failure::tool(error.to_string());
    let exit = loop {
        tokio::select! {
            exit = child.wait() => break exit.map_err(lost)?,
            interrupt = interrupts.next() => match interrupt {
                Interrupt::CtrlC if base.environment.reads_terminal() => {}
                Interrupt::CtrlC => child.signal(Signal::Interrupt).map_err(lost)?,
                Interrupt::Terminate | Interrupt::Hangup => {
                    break child.stop(END_TIME_MAX).await.map_err(lost)?;
                }
            },
        }
    };
    Ok(Exit::Command(u8::try_from(exit.shell_code()).unwrap_or(u8::MAX)))
}

fn port_variable(remote: u16) -> String {
    format!("LEASE_PORT_{remote}")
}

/// The port here, where 0 is any, and the port on the box.
fn parse(typed: &str) -> Result<(u16, u16), Failure> {
    let (local, remote) = typed.split_once(':').map_or((None, typed), |it| (Some(it.0), it.1));
    let number = |text: &str| {
        let is_plain = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_plain)
    };
    let remote = number(remote).filter(|it| *it > 0);
    let local = local.map_or(remote, number);
    let wrong = || usage(&format!("{typed:?} is no port; write REMOTE or LOCAL:REMOTE"));
    Ok((local.ok_or_else(wrong)?, remote.ok_or_else(wrong)?))
}

fn usage(what: &str) -> Failure {
    let failure = Failure::invalid(what, "lease forward --help");
    failure.meaning(Meaning::NothingChanged).kind("usage")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_the_same_here_unless_said_otherwise() {
        let ports = |typed: &str| parse(typed).map_err(|it| it.what().to_owned());
        assert_eq!(ports("8080"), Ok((8080, 8080)));
        assert_eq!(ports("1:65535"), Ok((1, 65535)));
        assert_eq!(ports("0:22"), Ok((0, 22)));
        for bad in ["", "0", "65536", "a", "1:", ":1", "1:2:3", "+1", "1:0", "-1"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }
}
