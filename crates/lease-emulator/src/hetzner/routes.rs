//! From a request to its handler: how often it may be asked, then the route, then who asks, then what for.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LINK};
use http::{Method, StatusCode};
use serde_json::Value;

use super::ask::{Ask, Query, Reply};
use super::budget::{Balance, Spending};
use super::policy::Command;
use super::problem::{self, Problem};
use super::world::{Access, World};
use super::{actions, creation, offers, primary_ips, servers, ssh_keys, views};
use crate::exchange::{Request, Response};

/// The budget that requests without a valid token share.
const NOBODY: &str = "";

/// Every path that the API has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Servers,
    Server(u64),
    ActionsOfServers,
    ActionsOfServer(u64),
    Switch(u64, Command),
    Actions,
    Action(u64),
    SshKeys,
    SshKey(u64),
    ServerTypes,
    ServerType(u64),
    Locations,
    Location(u64),
    Images,
    Image(u64),
    PrimaryIps,
    PrimaryIp(u64),
    Pricing,
    Datacenters,
}

impl Endpoint {
    fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/v1/")?;
        let segments: Vec<_> = path.split('/').collect();
        let id = |text: &str| text.parse::<u64>().ok().filter(|id| *id > 0);
        Some(match segments.as_slice() {
            ["servers"] => Self::Servers,
            ["servers", "actions"] => Self::ActionsOfServers,
            ["servers", "actions", action] => Self::Action(id(action)?),
            ["servers", server] => Self::Server(id(server)?),
            ["servers", server, "actions"] => Self::ActionsOfServer(id(server)?),
            ["servers", server, "actions", "poweron"] => {
                Self::Switch(id(server)?, Command::StartServer)
            }
            ["servers", server, "actions", "poweroff"] => {
                Self::Switch(id(server)?, Command::StopServer)
            }
            ["servers", _, "actions", action] => Self::Action(id(action)?),
            ["actions"] => Self::Actions,
            ["actions", action] => Self::Action(id(action)?),
            ["ssh_keys"] => Self::SshKeys,
            ["ssh_keys", key] => Self::SshKey(id(key)?),
            ["server_types"] => Self::ServerTypes,
            ["server_types", kind] => Self::ServerType(id(kind)?),
            ["locations"] => Self::Locations,
            ["locations", location] => Self::Location(id(location)?),
            ["images"] => Self::Images,
            ["images", image] => Self::Image(id(image)?),
            ["primary_ips"] => Self::PrimaryIps,
            ["primary_ips", ip] => Self::PrimaryIp(id(ip)?),
            ["pricing"] => Self::Pricing,
            ["datacenters"] | ["datacenters", _] => Self::Datacenters,
            _ => return None,
        })
    }
}

/// What a request came to: the answer, and the server whose machine may have to be booted or ended.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) response: Response,
    pub(super) touched: Option<u64>,
}

pub(super) fn answer(
    world: &mut World,
    request: &Request,
    address: impl FnOnce() -> Ipv4Addr,
) -> Answered {
    let endpoint = Endpoint::parse(request.uri().path());
    let token = bearer(request).map(str::to_owned);
    let known = token.as_ref().and_then(|token| world.tokens.get(token)).cloned();
    let project = known.as_ref().map_or(NOBODY, |token| token.project.as_str()).to_owned();
    let spending = world.spend(&project);
    let balance = match spending {
        Spending::Allowed(balance) | Spending::Refused(balance) => balance,
    };
    let reply = match (endpoint, spending) {
        (_, Spending::Refused(balance)) => {
            Err(problem::rate_limited(balance.limit, token.as_deref().unwrap_or_default()))
        }
        (None, _) => Err(problem::no_route()),
        (Some(_), _) if token.is_none() => Err(problem::token_missing()),
        (Some(endpoint), _) => match known {
            None => Err(problem::token_invalid()),
            Some(token) if token.access == Access::ReadOnly && writes(request.method()) => {
                Err(problem::token_readonly())
            }
            Some(_) => refuse_or_handle(world, (endpoint, request), project, address),
        },
    };
    let (response, touched) = match reply {
        Ok(reply) => (respond(world, &reply, balance), reply.touched),
        Err(problem) => (refuse(world, &problem, balance), None),
    };
    Answered { response, touched }
}

fn bearer(request: &Request) -> Option<&str> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    header.strip_prefix("Bearer ").map(str::trim).filter(|token| !token.is_empty())
}

fn writes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn refuse_or_handle(
    world: &mut World,
    (endpoint, request): (Endpoint, &Request),
    project: String,
    address: impl FnOnce() -> Ipv4Addr,
) -> Result<Reply, Problem> {
    if writes(request.method())
        && let Some(refusal) = world.refusals.pop_front()
    {
        return Err(refusal.problem());
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let origin = match host {
        Some(host) => format!("http://{host}"),
        None => "https://api.hetzner.cloud".to_owned(),
    };
    let ask = Ask {
        project,
        address: format!("{origin}{}", request.uri().path()),
        query: Query::parse(request.uri().query().unwrap_or_default()),
        body: request.body().clone(),
    };
    if request.method() == Method::POST && endpoint == Endpoint::Servers {
        return creation::create(world, &ask, address);
    }
    if request.method() == Method::POST && endpoint == Endpoint::PrimaryIps {
        return primary_ips::create(world, &ask, address);
    }
    handle(world, (request.method(), endpoint), &ask)
}

fn handle(
    world: &mut World,
    (method, endpoint): (&Method, Endpoint),
    ask: &Ask,
) -> Result<Reply, Problem> {
    match (method.as_str(), endpoint) {
        ("GET", Endpoint::Servers) => servers::list(world, ask),
        ("GET", Endpoint::Server(id)) => servers::get(world, ask, id),
        ("PUT", Endpoint::Server(id)) => servers::update(world, ask, id),
        ("DELETE", Endpoint::Server(id)) => servers::delete(world, ask, id),
        ("POST", Endpoint::Switch(id, command)) => servers::switch(world, ask, id, command),
        ("GET", Endpoint::ActionsOfServers) => actions::list(world, ask, None),
        ("GET", Endpoint::ActionsOfServer(id)) => actions::list(world, ask, Some(id)),
        ("GET", Endpoint::Actions) => actions::by_ids(world, ask),
        ("GET", Endpoint::Action(id)) => actions::get(world, ask, id),
        ("GET", Endpoint::SshKeys) => ssh_keys::list(world, ask),
        ("POST", Endpoint::SshKeys) => ssh_keys::create(world, ask),
        ("GET", Endpoint::SshKey(id)) => ssh_keys::get(world, ask, id),
        ("PUT", Endpoint::SshKey(id)) => ssh_keys::update(world, ask, id),
        ("DELETE", Endpoint::SshKey(id)) => ssh_keys::delete(world, ask, id),
        ("GET", Endpoint::ServerTypes) => offers::server_types(world, ask),
        ("GET", Endpoint::ServerType(id)) => offers::server_type(world, id),
        ("GET", Endpoint::Locations) => offers::locations(world, ask),
        ("GET", Endpoint::Location(id)) => offers::location(id),
        ("GET", Endpoint::Images) => offers::images(world, ask),
        ("GET", Endpoint::Image(id)) => offers::image(world, id),
        ("GET", Endpoint::PrimaryIps) => primary_ips::list(world, ask),
        ("GET", Endpoint::PrimaryIp(id)) => primary_ips::get(world, ask, id),
        ("PUT", Endpoint::PrimaryIp(id)) => primary_ips::update(world, ask, id),
        ("DELETE", Endpoint::PrimaryIp(id)) => primary_ips::delete(world, ask, id),
        ("GET", Endpoint::Pricing) => Ok(Reply::ok(views::pricing())),
        (_, Endpoint::Datacenters) => Err(problem::removed("datacenters")),
        _ => Err(problem::method_not_allowed()),
    }
}

fn respond(world: &mut World, reply: &Reply, balance: Balance) -> Response {
    let body = reply.body.as_ref().map(Value::to_string);
    let mut response = build(world, reply.status, body, balance);
    if let Some(link) = reply.link.as_ref().and_then(|link| link.parse().ok()) {
        response.headers_mut().insert(LINK, link);
    }
    response
}

fn refuse(world: &mut World, problem: &Problem, balance: Balance) -> Response {
    let body = if *problem == problem::no_route() {
        // Where the vendor has no route, another program answers, which prints in its own way.
        "{\n  \"error\": {\n    \"message\": \"api route not found\",\n    \"code\": \"not_found\",\n    \"details\": null\n  }\n}\n"
            .to_owned()
    } else {
        problem.body().to_string()
    };
    build(world, problem.status, Some(body), balance)
}

fn build(
    world: &mut World,
    status: StatusCode,
    body: Option<String>,
    balance: Balance,
) -> Response {
    let has_body = body.is_some();
    let mut response = Response::new(body.map_or_else(Bytes::new, Bytes::from));
    *response.status_mut() = status;
    let reset = world.policy.epoch.as_secs().saturating_add(balance.full_at);
    let headers = response.headers_mut();
    if has_body {
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    }
    headers.insert("ratelimit-limit", balance.limit.into());
    headers.insert("ratelimit-remaining", balance.remaining.into());
    headers.insert("ratelimit-reset", reset.into());
    if let Ok(id) = format!("{:016x}", world.fresh_correlation()).parse() {
        headers.insert("x-correlation-id", id);
    }
    response
}
