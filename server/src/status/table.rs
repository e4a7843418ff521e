//! How everything is doing, for people.

use std::fmt::Write as _;

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};

use super::{ProjectionStatus, Reached, RelayStatus, Status};

/// The whole account, and what is wrong at its end.
pub(crate) fn described(status: &Status, problems: &[String]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "follows history",
        "position",
        "events behind",
        "seconds behind",
        "",
    ]);
    for relay in &status.relays {
        table.add_row(row(format!("relay to {}", relay.generation), &relay.reached, of_relay(relay)));
    }
    for projection in &status.projections {
        table.add_row(row(projection.name.to_owned(), &projection.reached, of_projection(projection)));
        // Of many partitions those that are not behind say nothing.
        for source in projection.sources.iter().filter(|source| source.reached.behind > 0 && source.name != "store") {
            table.add_row(row(format!("  {}", source.name), &source.reached, String::new()));
        }
    }
    table.add_row(row("processes".to_owned(), &status.processes, String::new()));
    if let Some(sealer) = &status.sealer {
        let associations = format!("{} associations", sealer.associations.len());
        table.add_row(row("sealer".to_owned(), &sealer.reached, associations));
    }
    let mut text = format!("History is at position {}.\n{table}", status.head);
    match problems {
        [] => text += "\nAll is well.",
        problems => problems.iter().for_each(|problem| {
            let _ = write!(text, "\nWrong: {problem}.");
        }),
    }
    text
}

fn row(name: String, reached: &Reached, remark: String) -> [String; 5] {
    let Reached { position, behind, behind_seconds } = reached;
    [name, position.to_string(), behind.to_string(), format!("{behind_seconds:.1}"), remark]
}

fn of_relay(relay: &RelayStatus) -> String {
    match (relay.current, relay.held, relay.holder) {
        (false, ..) => "not the configured generation".to_owned(),
        (true, true, Some(holder)) => format!("held by {holder}, epoch {}", relay.epoch),
        (true, ..) => "held by nobody".to_owned(),
    }
}

fn of_projection(projection: &ProjectionStatus) -> String {
    let mut remarks = Vec::new();
    match (&projection.version, &projection.transport) {
        (Some(version), Some(transport)) => remarks.push(format!("version {version} from {transport}")),
        (Some(version), None) => remarks.push(format!("version {version}, claimed by nobody yet")),
        (None, _) => remarks.push("never ran".to_owned()),
    }
    let counted = [("parked", projection.parked), ("left out", projection.left_out)];
    remarks.extend(counted.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")));
    if projection.rebuilding {
        remarks.push("being rebuilt".to_owned());
    }
    remarks.join(", ")
}
