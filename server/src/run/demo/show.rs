//! What a person would want to see after the story.

use std::fmt::Write as _;

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use guildhall_aggregates::money::{Currency, Money};
use serde_json::Value;

use super::{api::Api, story};

/// Rows of each list that are shown.
const ROWS: usize = 12;

/// Receipts, directory, roster, reports and journal, read through the API.
pub(super) async fn everything(api: &Api) -> anyhow::Result<String> {
    let mut text = String::new();
    receipts(&mut text, api);
    list(&mut text, api, "The directory", "/v1/directory?limit=12", &["display_name", "city", "credentials"]).await?;
    let roster = format!("/v1/events/{}/roster", story::conference());
    list(&mut text, api, "The roster of the Spring Conference", &roster, &["number", "name", "standing", "fee_minor"])
        .await?;
    let memberships = ["plan_name", "status", "memberships"];
    list(&mut text, api, "Memberships by plan and status, today", "/v1/reports/memberships", &memberships).await?;
    let fill = ["title", "pool", "size", "confirmed", "waitlisted", "available"];
    list(&mut text, api, "How full events are", "/v1/reports/event-fill", &fill).await?;
    journal(&mut text, api).await?;
    Ok(text)
}

fn receipts(text: &mut String, api: &Api) {
    let _ = writeln!(text, "\nReceipts, the last of {}", api.receipts.len());
    let mut table = table(&["command", "stream", "version", "position", "recorded"]);
    for (name, receipt) in api.receipts.iter().rev().take(ROWS).rev() {
        let events: Vec<_> =
            receipt["events"].as_array().into_iter().flatten().map(|event| cell(&event["type"])).collect();
        let stream = cell(&receipt["stream"]);
        let recorded = if events.is_empty() { "nothing new".to_owned() } else { events.join(", ") };
        table.add_row([name.clone(), short(&stream), cell(&receipt["version"]), cell(&receipt["position"]), recorded]);
    }
    let _ = writeln!(text, "{table}");
}

async fn list(text: &mut String, api: &Api, title: &str, path: &str, columns: &[&str]) -> anyhow::Result<()> {
    let answer = api.read(path).await?;
    let mut table = table(columns);
    for row in answer["data"].as_array().into_iter().flatten().take(ROWS) {
        table.add_row(columns.iter().map(|column| match *column {
            "fee_minor" => amount(&row["fee_minor"], &row["currency"]),
            other => cell(&row[other]),
        }));
    }
    let _ = writeln!(text, "\n{title} (position {}, GET {path})\n{table}", cell(&answer["position"]));
    Ok(())
}

async fn journal(text: &mut String, api: &Api) -> anyhow::Result<()> {
    let answer = api.read("/v1/journal?limit=200").await?;
    let mut table = table(&["dated", "what", "account", "debit", "credit"]);
    let entries: Vec<&Value> = answer["data"].as_array().into_iter().flatten().collect();
    let booked = entries.iter().filter(|entry| entry["kind"] != "recognition").take(ROWS / 3);
    for entry in booked {
        for line in entry["lines"].as_array().into_iter().flatten() {
            let account = format!("{} {}", cell(&line["account_code"]), cell(&line["account_name"]));
            let amounts = [&line["debit_minor"], &line["credit_minor"]].map(cell);
            table.add_row([
                cell(&entry["dated"]),
                cell(&entry["kind"]),
                account,
                amounts[0].clone(),
                amounts[1].clone(),
            ]);
        }
    }
    let _ = writeln!(text, "\nThe journal, some entries (GET /v1/journal; also as csv, hledger, beancount)\n{table}");
    Ok(())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(header);
    table
}

/// A JSON value as people write it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// An amount as people write it; nothing where there is none.
fn amount(minor: &Value, currency: &Value) -> String {
    match (minor.as_i64(), currency.as_str().and_then(Currency::from_code)) {
        (Some(0) | None, _) | (_, None) => String::new(),
        (Some(minor), Some(currency)) => Money::new(minor, currency).to_string(),
    }
}

/// A stream's name without the middle of its id.
fn short(stream: &str) -> String {
    match stream.split_once('-') {
        Some((category, id)) if id.len() > 12 => format!("{category}-{}…", &id[..8]),
        _ => stream.to_owned(),
    }
}
