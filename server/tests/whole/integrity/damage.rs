//! What an attacker breaks without putting it right elsewhere: any column, any row, any table.

use tokio_postgres::Client;

use crate::dice::Dice;

/// Something that an attacker does to the database.
pub(super) struct Damage {
    /// In words, for whoever reads that it was not found.
    pub(super) name: String,
    pub(super) sql: String,
}

/// How a column's values are changed.
#[derive(Clone, Copy)]
enum Kind {
    /// One of so many low bits is turned.
    Number(u32),
    Bytes,
    Text,
    Uuid,
    Time,
}
use Kind::{Bytes, Number, Text, Time, Uuid};

struct Table {
    name: &'static str,
    /// The order in which rows are counted.
    key: &'static str,
    columns: &'static [(&'static str, Kind)],
}

const TABLES: [Table; 6] = [
    Table {
        name: "event",
        key: "position",
        columns: &[
            ("position", Number(40)),
            ("stream_key", Number(40)),
            ("version", Number(40)),
            ("recorded_at", Time),
            ("tenant_id", Uuid),
            ("event_id", Uuid),
            ("command_id", Uuid),
            ("schema_version", Number(14)),
            ("type", Text),
            ("leaf_hash", Bytes),
            ("metadata", Bytes),
            ("payload", Bytes),
        ],
    },
    Table {
        name: "stream",
        key: "stream_key",
        columns: &[
            ("stream_key", Number(40)),
            ("first_position", Number(40)),
            ("tenant_id", Uuid),
            ("id", Uuid),
            ("category", Text),
        ],
    },
    Table {
        name: "command_log",
        key: "tenant_id, command_id",
        columns: &[
            ("tenant_id", Uuid),
            ("command_id", Uuid),
            ("stream_key", Number(40)),
            ("version", Number(40)),
            ("position", Number(40)),
            ("event_count", Number(30)),
        ],
    },
    Table {
        name: "log_tile",
        key: "tenant_id, level, index",
        columns: &[
            ("tenant_id", Uuid),
            ("level", Number(14)),
            ("index", Number(40)),
            ("last_position", Number(40)),
            ("root", Bytes),
            ("hashes", Bytes),
        ],
    },
    Table {
        name: "checkpoint",
        key: "number",
        columns: &[
            ("number", Number(40)),
            ("tenant_id", Uuid),
            ("tree_size", Number(40)),
            ("position", Number(40)),
            ("root", Bytes),
            ("key", Text),
            ("note", Text),
            ("signed_at", Time),
        ],
    },
    Table {
        name: "log_tail",
        key: "tenant_id",
        columns: &[("tenant_id", Uuid), ("tree_size", Number(40)), ("last_position", Number(40)), ("hashes", Bytes)],
    },
];

/// How many rows each table has, in the order of [`TABLES`].
pub(super) async fn count_rows(client: &Client) -> Vec<u64> {
    let mut counts = Vec::new();
    for table in &TABLES {
        let row = client.query_one(&format!("SELECT count(*) FROM es.{}", table.name), &[]).await.expect("a count");
        counts.push(u64::try_from(row.get::<_, i64>(0)).expect("a count is not negative"));
    }
    counts
}

/// Any one of all.
pub(super) fn any(dice: &mut Dice, rows: &[u64]) -> Damage {
    // Half of all attacks are on events: there is most to gain.
    let number = if dice.below(2) == 0 { 0 } else { dice.index(TABLES.len()) };
    let (table, rows) = (&TABLES[number], rows[number]);
    match dice.below(11) {
        // Where it is missing, it is made again from events.
        _ if table.name == "log_tail" => change(dice, table, rows),
        0..=4 => change(dice, table, rows),
        5 => remove(dice, table, rows),
        6 => double(dice, table, rows),
        7 | 8 => swap(dice, table, rows),
        9 => cut_off(dice, table, rows),
        _ => hide(dice),
    }
}

fn row(table: &Table, nth: u64) -> String {
    let Table { name, key, .. } = table;
    format!("(tableoid, ctid) = (SELECT tableoid, ctid FROM es.{name} ORDER BY {key} OFFSET {nth} LIMIT 1)")
}

fn change(dice: &mut Dice, table: &Table, rows: u64) -> Damage {
    let ((column, kind), nth, some) = (*dice.pick(table.columns), dice.below(rows), dice.below(1 << 30));
    let value = match kind {
        Number(bits) => format!("{column} # (1::bigint << {})::int8", some % u64::from(bits)),
        Bytes => match some % 8 {
            0 => format!(r"{column} || '\x00'"),
            1 => format!("substr({column}, 1, octet_length({column}) - 1)"),
            _ => {
                let bit = format!("({some} % (8 * octet_length({column})))");
                format!("set_bit({column}, {bit}, 1 - get_bit({column}, {bit}))")
            }
        },
        Text => match some % 3 {
            0 => format!("{column} || 'x'"),
            1 => format!("left({column}, -1)"),
            _ => format!("overlay({column} placing '~' from 1 + {some} % length({column}) for 1)"),
        },
        Uuid => format!("'{}'", dice.uuid()),
        Time => format!("{column} + interval '{} microseconds'", 1 + some % 1_000_000),
    };
    let cast = if matches!(kind, Number(14)) { "::smallint" } else { "" };
    let cast = if matches!(kind, Number(30)) { "::integer" } else { cast };
    Damage {
        name: format!("{}.{column} of row {nth} becomes {value}", table.name),
        sql: format!("UPDATE es.{} SET {column} = ({value}){cast} WHERE {}", table.name, row(table, nth)),
    }
}

fn remove(dice: &mut Dice, table: &Table, rows: u64) -> Damage {
    let nth = dice.below(rows);
    Damage {
        name: format!("row {nth} of {} is removed", table.name),
        sql: format!("DELETE FROM es.{} WHERE {}", table.name, row(table, nth)),
    }
}

fn double(dice: &mut Dice, table: &Table, rows: u64) -> Damage {
    let (nth, name) = (dice.below(rows), table.name);
    Damage {
        name: format!("row {nth} of {name} is there twice"),
        sql: format!("INSERT INTO es.{name} SELECT * FROM es.{name} WHERE {}", row(table, nth)),
    }
}

/// Two rows exchange one column.
fn swap(dice: &mut Dice, table: &Table, rows: u64) -> Damage {
    let Table { name, key, columns } = table;
    let (one, other, column) = (dice.below(rows), dice.below(rows), dice.pick(columns).0);
    Damage {
        name: format!("rows {one} and {other} of {name} exchange their {column}"),
        sql: format!(
            "WITH rows AS (SELECT tableoid AS t, ctid AS c, {column} AS v, row_number() OVER (ORDER BY {key}) - 1 AS n
                 FROM es.{name}),
             pair AS (SELECT a.t, a.c, b.v FROM rows a JOIN rows b ON (a.n, b.n) IN (({one}, {other}), ({other}, {one})))
             UPDATE es.{name} SET {column} = pair.v FROM pair
             WHERE (es.{name}.tableoid, es.{name}.ctid) = (pair.t, pair.c) AND {column} IS DISTINCT FROM pair.v"
        ),
    }
}

/// The end of a table is gone, or all of it; or the end of everything, as when an older backup is played in.
fn cut_off(dice: &mut Dice, table: &Table, rows: u64) -> Damage {
    let Table { name, key, .. } = table;
    let left = dice.below(rows);
    match dice.below(3) {
        0 => Damage { name: format!("{name} is emptied"), sql: format!("DELETE FROM es.{name}") },
        1 => Damage {
            name: format!("{name} ends after {left} rows"),
            sql: format!(
                "DELETE FROM es.{name} WHERE (tableoid, ctid) IN
                 (SELECT tableoid, ctid FROM es.{name} ORDER BY {key} OFFSET {left})"
            ),
        },
        _ => {
            let position = dice.below(300);
            Damage {
                name: format!("everything after position {position} is undone"),
                sql: format!(
                    "DELETE FROM es.event WHERE position > {position};
                     DELETE FROM es.stream WHERE first_position > {position};
                     DELETE FROM es.command_log WHERE position > {position};
                     DELETE FROM es.log_tile WHERE last_position > {position};
                     DELETE FROM es.checkpoint WHERE position > {position}"
                ),
            }
        }
    }
}

/// What looks at first as if it belonged there.
fn hide(dice: &mut Dice) -> Damage {
    let (position, id) = (2 + dice.below(200), dice.uuid());
    let stream = format!("stream_key = (SELECT stream_key FROM es.event WHERE position = {position})");
    match dice.below(4) {
        0 => Damage {
            name: format!("the stream of position {position} is there a second time, without records"),
            sql: format!(
                "INSERT INTO es.stream (stream_key, first_position, tenant_id, id, category)
                 SELECT stream_key + 1000000, first_position, tenant_id, id, category FROM es.stream WHERE {stream}"
            ),
        },
        1 => Damage {
            name: format!("a record of the stream of position {position} is hidden below the first position"),
            sql: format!(
                "INSERT INTO es.event SELECT -5, stream_key, version + 1, recorded_at, tenant_id, '{id}', command_id,
                     schema_version, type, leaf_hash, metadata, payload
                 FROM es.event WHERE {stream} ORDER BY version DESC LIMIT 1;
                 UPDATE es.stream SET first_position = -5 WHERE {stream}"
            ),
        },
        2 => Damage {
            name: format!("a command that never was is in the log, behind position {position}"),
            sql: format!(
                "INSERT INTO es.command_log SELECT tenant_id, '{id}', stream_key, version, position, event_count,
                     request_hash FROM es.command_log WHERE position >= {position} AND event_count > 0 LIMIT 1"
            ),
        },
        _ => Damage {
            name: format!("the records up to position {position} are said to be archived, and are gone"),
            sql: format!(
                "DELETE FROM es.event e WHERE position <= {position} AND EXISTS
                     (SELECT FROM es.event l WHERE l.stream_key = e.stream_key AND l.version > e.version);
                 INSERT INTO es.archived (partition_name, first_position, last_position, manifest)
                 VALUES ('event_0', 1, {position}, '{{}}')"
            ),
        },
    }
}
