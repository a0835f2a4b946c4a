//! The creation of a server: what is asked for, whether it can be had, and what it turns into.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::actions;
use super::ask::{Ask, Fields, Reply};
use super::catalog::{
    Cpu, Image, LOCATIONS, Location, Offer, ServerType, find_image, find_location, find_server_type,
};
use super::labels::Labels;
use super::policy::{Command, Fate, Stock, ToldFirst, UnknownReference};
use super::primary_ips;
use super::problem::{self, Problem};
use super::servers::name_fault;
use super::ssh_keys;
use super::views::{self, Glance};
use super::world::{Family, Hold, Outcome, Power, Record, Server, Status, World};

const USER_DATA_BYTES_MAX: usize = 32 * 1024;

/// What the body asks for, well-formed but not yet looked up.
#[derive(Debug)]
struct Wish {
    name: String,
    server_type: String,
    image: String,
    location: Option<String>,
    ssh_keys: Vec<String>,
    labels: Labels,
    user_data: Option<String>,
    start: Power,
    ips: Vec<(Family, Option<u64>)>,
}

/// What is to be made, and exists.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) server_type: &'static ServerType,
    pub(super) location: &'static Location,
    pub(super) image: &'static Image,
    pub(super) public_keys: Vec<String>,
    pub(super) user_data: Option<String>,
    /// Each family that is enabled, with the primary IP that it is to use if that exists already.
    pub(super) ips: Vec<(Family, Option<u64>)>,
}

/// Answers `POST /servers`. An address is only taken for a server that is made.
pub(super) fn create(
    world: &mut World,
    ask: &Ask,
    address: impl FnOnce() -> Ipv4Addr,
) -> Result<Reply, Problem> {
    let wish = read(ask)?;
    let order = look_up(world, ask, &wish)?;
    match world.policy.told_first {
        ToldFirst::Name => {
            check_name(world, &ask.project, &wish.name)?;
            check_means(world, &ask.project, &order)?;
        }
        ToldFirst::Means => {
            check_means(world, &ask.project, &order)?;
            check_name(world, &ask.project, &wish.name)?;
        }
    }
    take_stock(world, &order);
    let password = order.public_keys.is_empty();
    let record = world.record(&ask.project, &wish.name, wish.labels);
    let id = record.id;
    let address = primary_ips::address_of(world, &order.ips).unwrap_or_else(address);
    insert(world, record, order, address);
    let fate = world.fates.pop_front().unwrap_or(Fate::Runs);
    let (action, next) = begin(world, id, fate, wish.start);
    let next: Vec<_> = next.iter().map(|action| actions::view_by_id(world, *action)).collect();
    let server = world.servers.get(&id).map(|s| views::server(world, s, Glance::Direct));
    let body = json!({
        "server": server,
        "action": actions::view_by_id(world, action),
        "next_actions": next,
        "root_password": password.then(|| format!("emulated-{id}")),
    });
    Ok(Reply::created(body).touching(id))
}

fn read(ask: &Ask) -> Result<Wish, Problem> {
    let mut fields = Fields::parse(&ask.body)?;
    let name = fields.required("name");
    if let Some(fault) = name_fault(&name).filter(|_| !name.is_empty()) {
        fields.fault("name", fault);
    }
    let user_data = fields.text("user_data");
    if user_data.as_ref().is_some_and(|data| data.len() > USER_DATA_BYTES_MAX) {
        fields.fault("user_data", "is too long, the limit is 32KiB");
    }
    let start = match fields.flag("start_after_create") {
        Some(false) => Power::Off,
        _ => Power::On,
    };
    let net = fields.object("public_net").unwrap_or_default();
    let ips = wanted_ips(&net);
    if ips.is_empty() {
        fields.fault("public_net", "at least one network is needed");
    }
    let wish = Wish {
        name,
        server_type: fields.required("server_type"),
        image: fields.required("image"),
        location: fields.reference("location"),
        ssh_keys: fields.references("ssh_keys").unwrap_or_default(),
        labels: fields.labels().unwrap_or_default(),
        user_data,
        start,
        ips,
    };
    fields.finish()?;
    Ok(wish)
}

fn wanted_ips(net: &Map<String, Value>) -> Vec<(Family, Option<u64>)> {
    [(Family::V4, "enable_ipv4", "ipv4"), (Family::V6, "enable_ipv6", "ipv6")]
        .into_iter()
        .filter(|(_, enable, _)| net.get(*enable).and_then(Value::as_bool).unwrap_or(true))
        .map(|(family, _, id)| (family, net.get(id).and_then(Value::as_u64)))
        .collect()
}

fn look_up(world: &World, ask: &Ask, wish: &Wish) -> Result<Order, Problem> {
    let unknown = |field: &str, kind: &str| match world.policy.unknown_reference {
        UnknownReference::InvalidInput => problem::invalid(field, format!("{kind} not found")),
        UnknownReference::NotFound => problem::not_found(kind),
    };
    let server_type =
        find_server_type(&wish.server_type).ok_or_else(|| unknown("server_type", "server type"))?;
    let image =
        find_image(&wish.image, server_type.arch).ok_or_else(|| unknown("image", "image"))?;
    if image.arch != server_type.arch {
        let message = "has another architecture than the server type";
        return Err(problem::invalid("image", message));
    }
    let location = match &wish.location {
        Some(name) => find_location(name).ok_or_else(|| unknown("location", "location"))?,
        None => any_location(world, server_type)?,
    };
    if !server_type.offered_in(location) {
        return Err(problem::invalid("location", "unsupported location for server type"));
    }
    if server_type.offer == Offer::Withdrawn {
        return Err(problem::invalid("server_type", "is deprecated in this location"));
    }
    let mut public_keys = Vec::new();
    for wanted in &wish.ssh_keys {
        let key = ssh_keys::existing(world, &ask.project)
            .find(|key| key.record.name == *wanted || key.record.id.to_string() == *wanted);
        let key = key.ok_or_else(|| unknown("ssh_keys", "SSH key"))?;
        public_keys.push(key.public_key.clone());
    }
    let (user_data, ips) = (wish.user_data.clone(), wish.ips.clone());
    Ok(Order { server_type, location, image, public_keys, user_data, ips })
}

fn any_location(world: &World, server_type: &ServerType) -> Result<&'static Location, Problem> {
    let has_some = |location: &&Location| {
        let stock = world.stock_of(server_type, location);
        server_type.offered_in(location) && matches!(stock, Stock::Plenty | Stock::Left(1..))
    };
    LOCATIONS.iter().find(has_some).ok_or_else(problem::resource_unavailable)
}

fn check_name(world: &World, project: &str, name: &str) -> Result<(), Problem> {
    if world.is_server_name_used(project, name, None) {
        return Err(problem::server_name_used());
    }
    Ok(())
}

/// Checks what a server is made of and made with.
fn check_means(world: &World, project: &str, order: &Order) -> Result<(), Problem> {
    check_limits(world, project, order)?;
    check_stock(world, order)?;
    for (family, id) in &order.ips {
        if let Some(id) = *id {
            primary_ips::usable(world, project, (id, *family), order.location)?;
        }
    }
    Ok(())
}

fn check_limits(world: &World, project: &str, order: &Order) -> Result<(), Problem> {
    let limits = world.limits.get(project).copied().unwrap_or_default();
    let exists = |record: &Record| record.project == project && record.gone.is_none();
    let servers = || world.servers.values().filter(|server| exists(&server.record));
    if limits.servers.is_some_and(|max| servers().count() >= max) {
        return Err(problem::limit_exceeded("server_limit", "server limit exceeded"));
    }
    let new_ips = order.ips.iter().filter(|(_, id)| id.is_none()).count();
    let ips = world.primary_ips.values().filter(|ip| exists(&ip.record)).count();
    if limits.primary_ips.is_some_and(|max| ips + new_ips > max) {
        return Err(problem::limit_exceeded("primary_ip_limit", "Primary IP limit exceeded"));
    }
    let dedicated = |kind: &ServerType| if kind.cpu == Cpu::Dedicated { kind.cores } else { 0 };
    let wanted = dedicated(order.server_type);
    let cores: u32 = servers().map(|server| dedicated(server.kind)).sum();
    if limits.dedicated_cores.is_some_and(|max| wanted > 0 && cores + wanted > max) {
        let message = "dedicated core limit exceeded";
        return Err(problem::limit_exceeded("dedicated_core_limit", message));
    }
    Ok(())
}

fn check_stock(world: &World, order: &Order) -> Result<(), Problem> {
    match world.stock_of(order.server_type, order.location) {
        Stock::Plenty | Stock::Left(1..) => Ok(()),
        Stock::Left(0) | Stock::SoldOut | Stock::SecretlySoldOut => {
            Err(problem::resource_unavailable())
        }
        Stock::Unplaceable => Err(problem::placement_error()),
    }
}

fn take_stock(world: &mut World, order: &Order) {
    let place = (order.server_type.name.to_owned(), order.location.name.to_owned());
    if let Some(Stock::Left(left @ 1..)) = world.stock.get_mut(&place) {
        *left -= 1;
    }
}

/// Enters a server with its primary IPs. It is off and has no action yet.
pub(super) fn insert(world: &mut World, record: Record, order: Order, address: Ipv4Addr) {
    let (id, origin, project) = (record.id, record.origin, record.project.clone());
    for (family, existing) in &order.ips {
        let ip = existing.unwrap_or_else(|| {
            primary_ips::make(world, &project, *family, address, order.location)
        });
        if let Some(ip) = world.primary_ips.get_mut(&ip) {
            ip.assignee = Some(id);
            ip.record.origin = origin;
        }
    }
    let server = Server {
        record,
        kind: order.server_type,
        location: order.location,
        image: order.image,
        public_keys: order.public_keys,
        user_data: order.user_data,
        address,
        power: Power::Off,
        timeline: vec![(world.now, Status::Off)],
        protection: Hold::Free,
        lock: Hold::Free,
        deletion: None,
    };
    world.servers.insert(id, server);
}

/// Begins the actions of a new server. Returns the first and those that follow it.
fn begin(world: &mut World, id: u64, fate: Fate, start: Power) -> (u64, Option<u64>) {
    let (made, started) = match fate {
        Fate::Stuck => (Duration::MAX, Duration::MAX),
        Fate::CreateFails => (world.policy.create_time, world.policy.create_time),
        Fate::Runs | Fate::StartFails => {
            let made = world.policy.create_time;
            (made, made.saturating_add(world.policy.start_time))
        }
    };
    let create = world.begin(id, Command::CreateServer, made);
    let next = (start == Power::On).then(|| world.begin(id, Command::StartServer, started));
    let failing = match fate {
        Fate::CreateFails => vec![Some(create), next],
        Fate::StartFails => vec![next],
        Fate::Runs | Fate::Stuck => Vec::new(),
    };
    for action in failing.into_iter().flatten() {
        if let Some(action) = world.actions.get_mut(&action) {
            action.outcome = Outcome::Error;
        }
    }
    let now = world.now;
    let (made, started) = (now.saturating_add(made), now.saturating_add(started));
    let mut to_come = vec![(now, Status::Initializing)];
    to_come.extend(match (fate, start) {
        (Fate::Stuck, _) => vec![],
        (Fate::CreateFails, _) | (_, Power::Off) => vec![(made, Status::Off)],
        (Fate::StartFails, _) => vec![(made, Status::Starting), (started, Status::Off)],
        (Fate::Runs, _) => vec![(made, Status::Starting), (started, Status::Running)],
    });
    if let Some(server) = world.servers.get_mut(&id) {
        server.power = if fate == Fate::Runs { start } else { Power::Off };
        server.turn(now, &to_come);
    }
    (create, next)
}
