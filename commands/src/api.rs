//! The routes.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRef, State},
    http::HeaderMap,
    routing::post,
};
use guildhall_web::{Caller, TokenKeys};
use tokio::sync::Semaphore;
use utoipa::openapi::{HttpMethod, path::PathItem};
use utoipa_axum::router::OpenApiRouter;

use crate::{Executor, bulk, openapi, registry::COMMANDS, single::single};

/// The limits of the command API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandApiOptions {
    /// The largest body of a command, and the longest line in bulk.
    pub body_bytes: usize,
    /// How many lines of one bulk request are worked on at once.
    pub bulk_window: usize,
    /// How many bulk requests are worked on at once.
    pub bulk_requests: usize,
}

impl Default for CommandApiOptions {
    /// 128 KiB, 256 lines, 64 bulk requests.
    fn default() -> Self {
        Self { body_bytes: 128 * 1024, bulk_window: 512, bulk_requests: 64 }
    }
}

/// What the routes work with. Cheap to clone.
#[derive(Clone)]
pub struct CommandApi {
    /// What executes commands.
    pub executor: Executor,
    /// What tokens are verified with.
    pub keys: TokenKeys,
    /// The limits.
    pub options: CommandApiOptions,
}

/// What handlers find.
#[derive(Clone)]
pub(crate) struct Routed {
    pub(crate) api: CommandApi,
    pub(crate) bulk_places: Arc<Semaphore>,
}

impl FromRef<Routed> for TokenKeys {
    fn from_ref(routed: &Routed) -> Self {
        routed.api.keys.clone()
    }
}

/// All routes of the write side. Whose data a command is about stands in the token and nowhere else, so no
/// route has a way to name another association.
pub fn router(api: CommandApi) -> OpenApiRouter {
    let bulk_places = Arc::new(Semaphore::new(api.options.bulk_requests));
    routes().with_state(Routed { api, bulk_places })
}

/// What the routes are, for people and for programs.
pub fn document() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Routed> {
    let mut router = OpenApiRouter::new().routes((
        Vec::new(),
        openapi::paths("/v1/commands", PathItem::new(HttpMethod::Post, openapi::bulk())),
        post(bulk::http),
    ));
    for command in COMMANDS.values() {
        let path = format!("/v1/commands/{}", command.name);
        let handler = move |State(routed): State<Routed>, caller: Caller, headers: HeaderMap, body: Body| {
            single(command, routed.api, caller, headers, body)
        };
        let schemas = (command.schemas)();
        let operation = openapi::operation(command, &schemas);
        router =
            router.routes((schemas, openapi::paths(&path, PathItem::new(HttpMethod::Post, operation)), post(handler)));
    }
    openapi::complete(router.get_openapi_mut());
    router
}
