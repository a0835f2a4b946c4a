//! What `lease doctor` finds on a machine that somebody broke: each fault is planted for real, found once, and leaves with
//! a command that helps.

mod cloud;
mod sick;

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use cloud::Project;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use sick::{Diagnosis, Sick};

const HOUR: i64 = 3_600;

/// One fault: where it is told, what its line says, and what the last line says to type.
struct Fault<'f> {
    at: &'f str,
    says: &'f [&'f str],
    run: &'f str,
}

/// It is the only problem, so its cause is told once, and the program says no.
#[track_caller]
fn check(found: &Diagnosis, fault: &Fault<'_>) {
    assert_eq!(found.at("problem"), [fault.at], "{found}");
    assert_eq!(found.code, 1, "{found}");
    for needle in fault.says {
        assert!(found.line(fault.at).contains(needle), "{needle:?} is not told: {found}");
    }
    let last = found.last();
    let counted = format!("lease: 1 problem ({}), ", fault.at);
    let next = format!("; nothing was changed; run: {}", fault.run);
    assert!(last.starts_with(&counted) && last.ends_with(&next), "{next:?}: {found}");
}

#[test]
fn a_machine_without_a_fault_has_no_problem() {
    let found = Sick::new().doctor();
    assert_eq!((found.code, found.at("problem").len()), (0, 0), "{found}");
    assert!(found.last().starts_with("lease: no problem was found, "), "{found}");
    assert!(found.last().ends_with("; run: lease run -- COMMAND"), "{found}");
}

#[test]
fn without_ssh_the_package_is_named() {
    let sick = Sick::new();
    sick.remove("ssh");
    let run = "sudo apt-get install openssh-client";
    let says = ["ssh is not in PATH", "install the OpenSSH client"];
    check(&sick.doctor(), &Fault { at: "lease ssh", says: &says, run });
}

#[test]
fn an_ssh_that_is_old_or_cannot_run_is_no_ssh() {
    let run = "sudo apt-get install openssh-client";
    let cases = [
        ("echo 'OpenSSH_7.2p2 Ubuntu, OpenSSL 1.0.2g' >&2", "OpenSSH 7.2, and 7.6 is the first"),
        ("exit 127", "cannot say its version (exit status 127)"),
        ("kill -SEGV $$", "cannot say its version (signal 11)"),
    ];
    for (script, says) in cases {
        let sick = Sick::new();
        sick.replace("ssh", script);
        check(&sick.doctor(), &Fault { at: "lease ssh", says: &[says], run });
    }
}

#[test]
fn without_sshd_the_package_is_named() {
    let sick = Sick::new();
    let hide = "for it in /usr/sbin/sshd /usr/local/sbin/sshd /opt/homebrew/sbin/sshd /usr/libexec/sshd \
                /usr/bin/sshd /sbin/sshd /run/current-system/sw/bin/sshd; do \
                if [ -f $it ]; then mount --bind /dev/null $it; fi; done";
    let run = "sudo apt-get install openssh-server";
    let says = ["there is no sshd on this machine"];
    check(&sick.doctor_after(hide), &Fault { at: "local sshd", says: &says, run });
}

#[test]
fn without_git_one_is_warned_and_a_git_that_cannot_run_is_a_problem() {
    let sick = Sick::new();
    sick.remove("git");
    let found = sick.doctor();
    assert_eq!((found.code, found.at("problem").len()), (0, 0), "{found}");
    assert!(found.at("warning").contains(&"lease git".to_owned()), "{found}");
    assert!(found.line("lease git").contains("apt-get install git"), "{found}");
    sick.replace("git", "exit 127");
    let says = ["cannot say its version (exit status 127)", "no tree is synced"];
    let run = "sudo apt-get install git";
    check(&sick.doctor(), &Fault { at: "lease git", says: &says, run });
}

#[test]
fn keys_that_others_can_read_are_named_with_their_mode() {
    for (name, mode, wanted) in [
        ("state/keys", 0o777, "700"),
        ("state/keys/lse-aaaaaaaaaaaaaaaaaaaa", 0o755, "700"),
        ("state/keys/lse-aaaaaaaaaaaaaaaaaaaa/id_ed25519", 0o644, "600"),
        ("state", 0o755, "700"),
    ] {
        let sick = Sick::new();
        sick.plant_key();
        let path = sick.at(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let at = if name == "state" { "lease state directory" } else { "lease private files" };
        let run = format!("chmod {wanted} {}", path.display());
        let says = [format!("(mode {mode:03o})")];
        check(&sick.doctor(), &Fault { at, says: &[&says[0]], run: &run });
    }
}

#[test]
fn a_full_disk_is_told_with_where_it_is() {
    const FILL: &str = "head -c 4000000 /dev/zero >$1/fill 2>/dev/null || true";
    const USED: &str = "cp -a $1.used/. $1";
    let sick = Sick::new();
    let state = sick.at("state").display().to_string();
    let run = format!("df -h {state}");
    // Not even the first record fits; no further one does; one would, and then no more.
    for (size, more, says) in [
        ("2m", FILL, "No space left on device"),
        (
            "2m",
            &*format!("{USED}; {FILL}"),
            "No space left on device (os error 28); make room there",
        ),
        ("4m", USED, "KiB left; make room there, or set LEASE_STATE_DIR"),
    ] {
        let script = format!(
            "set -- {state}; mkdir -p $1.used; cp -a $1/. $1.used; mount -t tmpfs -o mode=700,size={size} none $1; {more}"
        );
        let fault = Fault { at: "lease state directory", says: &[says], run: &run };
        check(&sick.doctor_after(&script), &fault);
    }
}

#[test]
fn a_state_directory_that_is_read_only_is_told_once() {
    let sick = Sick::new();
    let state = sick.at("state").display().to_string();
    let script = format!("mount --bind {state} {state}; mount -o remount,bind,ro {state}");
    let says = ["Read-only file system", "LEASE_STATE_DIR", "providers are looked at after that"];
    let run = "export LEASE_STATE_DIR=DIR";
    check(&sick.doctor_after(&script), &Fault { at: "lease state directory", says: &says, run });
}

#[test]
fn a_wrong_configuration_is_told_with_its_place() {
    let sick = Sick::new();
    sick.configure("provder: local\n");
    let found = sick.doctor();
    assert_eq!((found.code, found.at("problem")), (1, vec!["lease configuration".to_owned()]));
    let line = found.line("lease configuration");
    assert!(line.contains("config.yaml:1:1: unknown key \"provder\""), "{found}");
    assert!(line.contains("did you mean \"provider\"?"), "{found}");
}

#[test]
fn a_token_that_is_not_valid_any_more_is_told_from_a_cloud_that_is_away() {
    let (sick, project) = (Sick::new(), Project::new(0));
    sick.configure(&project.configuration());
    let found = sick.doctor_with(&project);
    assert_eq!((found.code, found.at("problem").len()), (0, 0), "{found}");
    project.revoke();
    let found = sick.doctor_with(&project);
    assert_eq!((found.code, found.at("problem")), (1, vec!["hetzner token".to_owned()]), "{found}");
    assert!(found.line("hetzner token").contains("set HCLOUD_TOKEN to a token"), "{found}");
    assert!(!found.text.contains(project.token()), "the token is shown");
    let found = sick.doctor();
    let run = "export HCLOUD_TOKEN=TOKEN";
    check(&found, &Fault { at: "hetzner credential", says: &["HCLOUD_TOKEN is not set"], run });
}

#[test]
fn a_cloud_that_is_out_of_reach_is_named_with_its_address() {
    let (sick, project) = (Sick::new(), Project::new(0));
    // A port that is taken, so that no other test gets it, and that nobody listens on.
    let silent = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&silent, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = SocketAddrV4::try_from(getsockname(&silent).unwrap()).unwrap().to_string();
    let endpoint = format!("http://{address}/v1");
    sick.configure(&format!(
        "provider: hetzner\nproviders:\n  hetzner:\n    endpoint: {endpoint}\n"
    ));
    let run = format!("curl -sS -o /dev/null http://{address}");
    let says = [address.as_str(), "Connection refused", "providers.hetzner.endpoint"];
    check(&sick.doctor_with(&project), &Fault { at: "hetzner api", says: &says, run: &run });
}

/// Chooses a cluster whose programs are stand-ins, and whose controller answers with this script.
fn plant_cluster(sick: &Sick, scontrol: &str, more: &str) {
    fs::create_dir(sick.at("shared")).unwrap();
    fs::set_permissions(sick.at("shared"), fs::Permissions::from_mode(0o700)).unwrap();
    for program in ["sbatch", "squeue", "scancel", "sinfo"] {
        sick.replace(program, "exit 1");
    }
    sick.replace("scontrol", scontrol);
    sick.configure(&format!(
        "provider: slurm\nproviders:\n  slurm:\n    shared_dir: {}\n    path: {}\n    command_deadline: 1s\n{more}",
        sick.at("shared").display(),
        sick.path()
    ));
}

const DOWN: &str = "echo 'Slurmctld(primary) at ctl is DOWN'; exit 1";

#[test]
fn a_controller_that_hangs_or_is_down_is_named_in_time_and_once() {
    for (scontrol, says) in [
        ("exec sleep 600", "scontrol did not answer within 1s"),
        (DOWN, "does not answer: Slurmctld(primary)"),
    ] {
        let sick = Sick::new();
        plant_cluster(&sick, scontrol, "");
        let run = "scontrol ping";
        check(&sick.doctor(), &Fault { at: "slurm controller", says: &[says], run });
    }
}

#[test]
fn a_clock_that_is_an_hour_off_is_found_by_a_cluster() {
    for (offset, says) in [("-3600", "s ahead of the one of"), ("+3600", "s behind the one of")] {
        let sick = Sick::new();
        sick.replace("date", &format!("echo $(($(/bin/date +%s) {offset}))"));
        plant_cluster(&sick, DOWN, "    enter: [/usr/bin/env]\n");
        let found = sick.doctor();
        assert_eq!(found.at("problem"), ["slurm controller", "slurm clock"], "{found}");
        assert!(found.line("slurm clock").contains(says), "{found}");
        assert!(found.line("slurm clock").ends_with("run: sudo timedatectl set-ntp true"));
    }
}

#[test]
fn a_clock_that_is_an_hour_off_is_found_by_what_a_cloud_answers() {
    let run = "sudo timedatectl set-ntp true";
    for (cloud_is_ahead_by, says) in
        [(-HOUR, "s ahead of the one of"), (HOUR, "s behind the one of")]
    {
        let (sick, project) = (Sick::new(), Project::new(cloud_is_ahead_by));
        sick.configure(&project.configuration());
        check(&sick.doctor_with(&project), &Fault { at: "hetzner clock", says: &[says], run });
    }
}

#[test]
fn a_clock_that_is_behind_what_was_recorded_is_found_without_any_lease() {
    let sick = Sick::new();
    let archive = fs::File::open(sick.at("state/archive")).unwrap();
    archive.set_modified(now() + Duration::from_secs(3_600)).unwrap();
    let run = "sudo timedatectl set-ntp true";
    let says = ["behind the newest record of this installation"];
    check(&sick.doctor(), &Fault { at: "lease clock", says: &says, run });
}

#[expect(clippy::disallowed_methods, reason = "what is planted is measured against the real clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[test]
fn a_socket_directory_that_is_too_long_or_missing_is_told_with_the_way_out() {
    let long = "x".repeat(100);
    for (name, make, says) in
        [(long.as_str(), true, "at most 103"), ("missing", false, "is not there")]
    {
        let sick = Sick::new();
        let directory = sick.at(name);
        if make {
            fs::create_dir(&directory).unwrap();
        }
        let found = sick.doctor_where("XDG_RUNTIME_DIR", directory.as_os_str());
        let run = "unset XDG_RUNTIME_DIR";
        check(&found, &Fault { at: "lease socket directory", says: &[says], run });
    }
}

#[test]
fn what_is_wrong_with_a_provider_that_is_not_chosen_keeps_nobody_from_leasing() {
    let (sick, project) = (Sick::new(), Project::new(0));
    sick.configure(&format!("{}  local:\n    sshd: /nowhere/sshd\n", project.configuration()));
    let found = sick.doctor_with(&project);
    assert_eq!((found.code, found.at("problem").len()), (0, 0), "{found}");
    assert!(found.at("warning").contains(&"local sshd".to_owned()), "{found}");
    assert!(found.line("local sshd").contains("providers.local.sshd"), "{found}");
}

#[test]
fn faults_that_come_together_are_found_together() {
    let sick = Sick::new();
    sick.remove("ssh");
    sick.replace("git", "exit 1");
    sick.plant_key();
    fs::set_permissions(sick.at("state/keys"), fs::Permissions::from_mode(0o750)).unwrap();
    sick.configure("idle_timeout: soon\n");
    let found = sick.doctor_where("XDG_RUNTIME_DIR", sick.at("missing").as_os_str());
    let expect = ["private files", "socket directory", "ssh", "git", "configuration"];
    assert_eq!(found.at("problem"), expect.map(|it| format!("lease {it}")), "{found}");
    assert_eq!(found.code, 1);
    assert!(found.last().starts_with("lease: 5 problems (lease private files, "), "{found}");
}
