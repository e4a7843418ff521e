//! `guildhall token`: an access token for development.

use std::{collections::BTreeSet, process::ExitCode};

use chrono::TimeDelta;
use guildhall_event_store::Clock;
use guildhall_web::{Role, TokenKeys, TokenRequest};

use super::Output;
use crate::{
    cli::{Token, TokenScope},
    config::Config,
};

pub(crate) fn run(config: &Config, arguments: &Token, output: &Output) -> anyhow::Result<ExitCode> {
    let keys = TokenKeys::parse(&config.auth.token_secret)?;
    let request = TokenRequest {
        association: arguments.association.clone(),
        subject: arguments.subject.clone(),
        roles: arguments.scope.iter().map(|scope| role_of(*scope)).collect::<BTreeSet<_>>(),
        lifetime: TimeDelta::minutes(i64::from(arguments.minutes)),
    };
    let token = keys.issue(&request, Clock::system().now())?;
    output.report(&token, &serde_json::json!({ "token": token, "minutes": arguments.minutes }))?;
    Ok(ExitCode::SUCCESS)
}

fn role_of(scope: TokenScope) -> Role {
    match scope {
        TokenScope::Api => Role::Api,
        TokenScope::Analyst => Role::Analyst,
        TokenScope::Auditor => Role::Auditor,
    }
}
