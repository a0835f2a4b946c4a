//! Machines that are real: each is an `sshd` on its own loopback address, with everything that is started over it.
//!
//! A machine shares the file system, the network and the user of the emulator; what it has of its own is an address, a
//! host key, a directory, and (for the superuser, on Linux) a PID namespace. So `end` ends what was started on it,
//! however it was detached, as turning off a machine would.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lease_core::retry::{Bounds, Pace, pause};
use lease_process::{Child, Input, Limits, Program, Stream, output, spawn};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::task::JoinHandle;

use super::ending::{Contained, end_machine};
use super::settings::{Access, Condition, Containment, MachineError, SshdSettings};
use super::shell::{Place, Server};
use super::user_data::UserData;
use super::{Birth, Machines};

/// Where the server's program may be; sshd insists on being started by its absolute path.
const PROGRAMS: [&str; 5] = [
    "/usr/sbin/sshd",
    "/usr/local/sbin/sshd",
    "/opt/homebrew/sbin/sshd",
    "/usr/bin/sshd",
    "/run/current-system/sw/bin/sshd",
];
/// The directory in which the superuser's sshd gives up its rights; distributions make it when a service starts.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";
/// How long a small tool may take.
const TOOL_TIME_MAX: Duration = Duration::from_secs(20);
/// How long a server may take until it listens.
const LISTENING_TIME_MAX: Duration = Duration::from_secs(20);
/// How often the removal of the machines' files is tried.
const REMOVALS_MAX: u32 = 1_000;
/// How often an address is drawn until one is free.
const DRAWS_MAX: u32 = 1_000;

/// Machines that are `sshd` processes of the current user.
///
/// Dropping it kills the first process and the server of each machine, and with a PID namespace everything else;
/// without one, only [`end_all`](Self::end_all) is sure to reach what was detached.
pub struct SshdMachines {
    settings: SshdSettings,
    sshd: PathBuf,
    /// The version of sshd, as far as it says.
    version: (u32, u32),
    user: String,
    port: u16,
    contained: Contained,
    directory: tempfile::TempDir,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    access: Access,
    born: u64,
    drawn: BTreeSet<Ipv4Addr>,
    machines: BTreeMap<String, Machine>,
}

struct Machine {
    place: Place,
    mark: String,
    address: Ipv4Addr,
    port: u16,
    life: Arc<Mutex<Life>>,
    booting: JoinHandle<()>,
}

/// What the task that boots a machine shares with whoever ends it.
struct Life {
    condition: Condition,
    child: Option<Child>,
    /// While it is open, the first process goes on.
    input: Option<ChildStdin>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.booting.abort();
        // The task that boots it has a share in its life until it is really gone.
        drop(lock(&self.life).child.take());
    }
}

impl Drop for SshdMachines {
    fn drop(&mut self) {
        self.state().machines.clear();
        // Somebody who is being killed may still finish what it does to a file, and be in the way of the removal.
        for _ in 0..REMOVALS_MAX {
            match fs::remove_dir_all(self.directory.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => std::thread::yield_now(),
                Ok(()) | Err(_) => return,
            }
        }
    }
}

impl SshdMachines {
    /// Makes sure that machines can be made here.
    ///
    /// # Errors
    /// When there is no `sshd`, or files or processes cannot be made.
    pub async fn start(settings: SshdSettings) -> Result<Self, MachineError> {
        let sshd = PROGRAMS.iter().map(PathBuf::from).find(|it| it.is_file()).ok_or_else(|| {
            let what = "there is no sshd; on Debian: `sudo apt-get install openssh-server`";
            MachineError::System(what.to_owned())
        })?;
        let is_root = rustix::process::geteuid().is_root();
        if is_root && cfg!(target_os = "linux") {
            fs::create_dir_all(PRIVILEGE_SEPARATION)?;
        }
        let limits = Limits { deadline: TOOL_TIME_MAX, ..Limits::default() };
        let answer = output(&Program::new("id").arg("-un"), limits).await?;
        let user = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        if user.is_empty() {
            return Err(MachineError::System("`id -un` does not say who we are".to_owned()));
        }
        let contained = match settings.containment {
            Containment::Auto if is_root => Contained::settle().await,
            Containment::Auto | Containment::Scan => Contained::Scan,
        };
        let version = version(&sshd).await;
        let port = match settings.port {
            Some(port) => port,
            None => free_port()?,
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix("lease-emulator-");
        let directory = match &settings.directory {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        let state = Mutex::default();
        Ok(Self { settings, sshd, version, user, port, contained, directory, state })
    }

    /// Whom to log in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The port of every machine, on systems with many loopback addresses.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of this machine.
    pub fn port_of(&self, id: &str) -> Option<u16> {
        self.state().machines.get(id).map(|it| it.port)
    }

    /// The address of this machine.
    pub fn address_of(&self, id: &str) -> Option<Ipv4Addr> {
        self.state().machines.get(id).map(|it| it.address)
    }

    /// Decides how machines that are booted from now on can be logged in to.
    pub fn set_access(&self, access: Access) {
        self.state().access = access;
    }

    /// How far a machine is; `None` for one that is not there.
    pub fn condition(&self, id: &str) -> Option<Condition> {
        self.state().machines.get(id).map(|it| lock(&it.life).condition.clone())
    }

    /// What a machine's commands that would have turned it off were called with, one a line.
    pub fn power_notes(&self, id: &str) -> String {
        self.read(id, "power")
    }

    /// What a machine's server logged, and after it what its boot commands printed.
    pub fn log(&self, id: &str) -> String {
        format!("{}{}", self.read(id, "sshd.log"), self.read(id, "boot.log"))
    }

    /// The machines that are there.
    pub fn ids(&self) -> Vec<String> {
        self.state().machines.keys().cloned().collect()
    }

    /// Waits until a machine accepts connections; `false` if that takes longer than 20 seconds beyond its boot delay,
    /// or it is broken or gone.
    ///
    /// # Cancel safety
    /// It only looks.
    pub async fn listening(&self, id: &str) -> bool {
        let deadline = self.settings.boot_delay.saturating_add(LISTENING_TIME_MAX);
        let bounds =
            Bounds::within(deadline).paused(Duration::from_millis(10), Duration::from_millis(100));
        let mut pace = Pace::start(bounds);
        loop {
            let Some((address, port)) =
                self.state().machines.get(id).map(|it| (it.address, it.port))
            else {
                return false;
            };
            if matches!(self.condition(id), Some(Condition::Broken(_)) | None) {
                return false;
            }
            if tokio::net::TcpStream::connect((address, port)).await.is_ok() {
                return true;
            }
            if !pace.wait(None).await {
                return false;
            }
        }
    }

    /// Ends every machine.
    pub async fn end_all(&self) {
        for id in self.ids() {
            self.end(&id).await;
        }
    }

    fn read(&self, id: &str, file: &str) -> String {
        let path = self.state().machines.get(id).map(|it| it.place.at(file));
        path.and_then(|it| fs::read_to_string(it).ok()).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Makes the files of a machine. The inner error is a boot that breaks; the outer one is ours.
    fn prepare(&self, plan: &Blueprint<'_>) -> io::Result<Result<(), String>> {
        let place = plan.place;
        fs::create_dir(&place.0)?;
        place.write_power_commands()?;
        let (data, broken) = match plan.birth.user_data.as_deref().map(UserData::parse) {
            None => (UserData::default(), None),
            Some(Ok(data)) => (data, None),
            Some(Err(why)) => (UserData::default(), Some(why)),
        };
        if data.packages() > 0 {
            tracing::debug!(count = data.packages(), "packages are not installed");
        }
        let mut writable = self.settings.writable.clone();
        writable.extend([std::env::temp_dir(), place.0.clone()]);
        if let Some(file) = data.write_files.iter().find(|it| !it.is_under(&writable)) {
            let path = file.path.display();
            return Ok(Err(format!("{path} is where this emulator may not write")));
        }
        for (number, file) in data.write_files.iter().enumerate() {
            place.write(&format!("file-{number}"), &file.content)?;
        }
        for (name, commands) in [("bootcmd.sh", &data.bootcmd), ("runcmd.sh", &data.runcmd)] {
            let lines: Vec<String> = commands.iter().map(|it| it.line() + "\n").collect();
            place.write(name, &lines.concat())?;
        }
        let given = data.host_key().unwrap_or_default();
        let host_key = match given.filter(|_| plan.access != Access::OtherHostKey) {
            Some(given) => given,
            None => new_host_key()?,
        };
        place.write("host_key", &host_key)?;
        let mut keys = plan.birth.authorized_keys.clone();
        keys.extend(data.ssh_authorized_keys.iter().cloned());
        if plan.access == Access::KeyRefused {
            keys.clear();
        }
        place.write("authorized_keys", &(keys.join("\n") + "\n"))?;
        let server = Server {
            address: plan.birth.address,
            port: plan.port,
            user: &self.user,
            version: self.version,
            environment: plan.environment,
        };
        place.write("sshd_config", &place.sshd_config(&server))?;
        let is_reached = broken.is_none() && plan.access != Access::Unreachable;
        let sshd = is_reached.then_some(self.sshd.as_path());
        place.write("machine.sh", &place.script(&data, sshd))?;
        Ok(broken.map_or(Ok(()), Err))
    }

    /// The program that is the machine.
    fn program(&self, place: &Place, environment: &[(String, String)]) -> Program {
        self.contained
            .shell()
            .arg(place.at("machine.sh"))
            .inherit_env(environment.iter().cloned())
            .cwd("/")
            .stdin(Input::Pipe)
            .stdout(Stream::Null)
            .stderr(Stream::Null)
    }

    fn start_machine(&self, plan: &Blueprint<'_>) -> Result<Life, String> {
        let prepared = self.prepare(plan).map_err(|error| format!("its files: {error}"))?;
        let program = self.program(plan.place, plan.environment);
        let mut child = spawn(&program).map_err(|error| error.to_string())?;
        let input = child.take_stdin();
        let condition = match (prepared, plan.access) {
            (Err(why), _) => Condition::Broken(why),
            (Ok(()), Access::Unreachable) => {
                Condition::Broken("it is told to be unreachable".to_owned())
            }
            (Ok(()), _) => Condition::Booting,
        };
        Ok(Life { condition, child: Some(child), input })
    }
}

/// What one machine is made from.
struct Blueprint<'a> {
    birth: &'a Birth,
    place: &'a Place,
    port: u16,
    access: Access,
    environment: &'a [(String, String)],
}

#[async_trait]
impl Machines for SshdMachines {
    fn address(&self) -> Ipv4Addr {
        if !cfg!(target_os = "linux") {
            return Ipv4Addr::LOCALHOST;
        }
        let mut state = self.state();
        for _ in 0..DRAWS_MAX {
            // 127.64.0.0/10, without the ends of each /24 for the sake of readers.
            let [a, b, c, _] = random::<4>();
            let address = Ipv4Addr::new(127, 64 | (a & 0x3f), b, c.clamp(1, 254));
            let is_free =
                !state.drawn.contains(&address) && TcpListener::bind((address, self.port)).is_ok();
            if is_free && state.drawn.insert(address) {
                return address;
            }
        }
        Ipv4Addr::LOCALHOST
    }

    async fn boot(&self, birth: Birth) {
        self.end(&birth.id).await;
        let (number, access) = {
            let mut state = self.state();
            state.born += 1;
            (state.born, state.access)
        };
        let place = Place(self.directory.path().join(number.to_string()));
        let mark = format!("{:032x}", u128::from_be_bytes(random::<16>()));
        let environment = place.environment(&mark, &self.settings.environment);
        let port =
            if cfg!(target_os = "linux") { self.port } else { free_port().unwrap_or(self.port) };
        let plan =
            Blueprint { birth: &birth, place: &place, port, access, environment: &environment };
        let life = self.start_machine(&plan).unwrap_or_else(|why| Life {
            condition: Condition::Broken(why),
            child: None,
            input: None,
        });
        let life = Arc::new(Mutex::new(life));
        let booting = tokio::spawn(let_in(Arc::clone(&life), self.settings.boot_delay));
        let address = birth.address;
        let machine = Machine { place, mark, address, port, life, booting };
        self.state().machines.insert(birth.id, machine);
    }

    async fn end(&self, id: &str) {
        let Some(machine) = self.state().machines.remove(id) else { return };
        machine.booting.abort();
        let child = {
            let mut life = lock(&machine.life);
            life.condition = Condition::Broken("it has ended".to_owned());
            life.child.take()
        };
        if let Some(child) = child
            && let Err(error) = end_machine(child, &machine.mark, self.contained).await
        {
            tracing::warn!(%error, id, "a machine may not have ended");
        }
        if let Err(error) = fs::remove_dir_all(&machine.place.0) {
            tracing::debug!(%error, id, "the directory of a machine was not removed");
        }
    }
}

impl fmt::Debug for SshdMachines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshdMachines")
            .field("port", &self.port)
            .field("contained", &self.contained)
            .field("ids", &self.ids())
            .finish_non_exhaustive()
    }
}

/// Tells the first process of a machine to go on, once the machine has booted long enough.
async fn let_in(life: Arc<Mutex<Life>>, delay: Duration) {
    if !delay.is_zero() {
        pause(delay).await;
    }
    let input = lock(&life).input.take();
    let Some(mut input) = input else { return };
    let told = input.write_all(b"go\n").await;
    let mut life = lock(&life);
    life.input = Some(input);
    match (told, &life.condition) {
        (Ok(()), Condition::Booting) => life.condition = Condition::Up,
        (Err(error), Condition::Booting) => {
            life.condition = Condition::Broken(format!("its first process has ended: {error}"));
        }
        (_, Condition::Up | Condition::Broken(_)) => {}
    }
}

/// The version that sshd prints, on standard error and whatever it thinks of being asked.
async fn version(sshd: &Path) -> (u32, u32) {
    let limits = Limits { deadline: TOOL_TIME_MAX, ..Limits::default() };
    let answer = output(&Program::new(sshd).arg("-V"), limits).await;
    let said =
        answer.map(|it| String::from_utf8_lossy(&it.stderr).into_owned()).unwrap_or_default();
    let tail = said.split_once("OpenSSH_").map_or("", |(_, tail)| tail);
    let mut numbers = tail.split(|it: char| !it.is_ascii_digit()).map_while(|it| it.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// A port that was free a moment ago, on the address that most others use.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn new_host_key() -> io::Result<String> {
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&random::<32>()));
    let key = PrivateKey::new(pair, "emulator").map_err(io::Error::other)?;
    let text = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
    Ok(text.as_str().to_owned())
}

/// Random bytes; zeros on a system without randomness, where nothing here is a secret that matters.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::warn!(%error, "no random bytes");
    }
    bytes
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
