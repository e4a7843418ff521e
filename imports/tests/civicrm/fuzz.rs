//! Whatever stands in a file, reading it ends with a report or an error and never with a crash.

use std::fs;

use proptest::prelude::*;

use crate::export::Export;

const TABLES: [&str; 8] =
    ["contact", "email", "membership_status", "membership_type", "membership", "event", "participant", "contribution"];

/// Reads, and checks that no row was lost: the report has as many as the file.
fn read(export: &Export) {
    if let Ok(import) = export.try_read() {
        for (table, report) in &import.report.tables {
            assert_eq!(report.taken + report.adjusted + report.refused, report.rows, "{table}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_table_of_any_bytes_is_read_or_refused(
        table in prop::sample::select(&TABLES[..]),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let export = Export::of_the_ringers();
        let header = fs::read(export.path(table)).unwrap().split(|byte| *byte == b'\n').next().unwrap().to_vec();
        read(export.write(table, [header, b"\n".to_vec(), bytes.clone()].concat()));
        read(export.write(table, bytes));
    }

    #[test]
    fn a_table_with_any_field_is_read(
        table in prop::sample::select(&TABLES[..]),
        row in 1_usize..8,
        column in 0_usize..16,
        field in prop_oneof![any::<i64>().prop_map(|n| n.to_string()), "\\PC{0,12}", "[0-9:. -]{0,24}"],
    ) {
        let export = Export::of_the_ringers();
        let mut csv = csv::Reader::from_path(export.path(table)).unwrap();
        let header = csv.headers().unwrap().clone();
        let mut rows: Vec<Vec<String>> =
            csv.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        let row = row % rows.len();
        let column = column % header.len();
        rows[row][column] = field;
        let mut changed = csv::Writer::from_writer(Vec::new());
        changed.write_record(&header).unwrap();
        for row in &rows {
            changed.write_record(row).unwrap();
        }
        export.write(table, changed.into_inner().unwrap());
        let import = export.read();
        prop_assert_eq!(import.report.tables[table].rows, rows.len());
    }
}
