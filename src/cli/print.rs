//! What commands print: tables that fit the terminal, or JSON. Whoever reads it may stop reading.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use comfy_table::{presets, Attribute, Cell, CellAlignment, ContentArrangement};

/// A line on the standard output. Nobody has to read it to its end.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// A remark for whoever sits there, apart from what the command was asked for.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether what is printed may be coloured (see no-color.org).
pub fn may_colour(stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stream.is_terminal()
        && !is_set("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Prints a table under its head. On a terminal it is as wide as that at most: long cells are broken
/// into lines. Columns of numbers are right-aligned.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) {
    say(rendered(head, &rows, may_colour(&io::stdout())));
}

fn rendered(head: &[&str], rows: &[Vec<String>], bold: bool) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    let title = |name: &&str| match bold {
        true => Cell::new(name).add_attribute(Attribute::Bold),
        false => Cell::new(name),
    };
    table.set_header(head.iter().map(title));
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if rows.iter().all(|row| row.get(index).is_none_or(|cell| is_number(cell))) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// A number, perhaps with a unit or a sign, or the dash that stands for none.
fn is_number(cell: &str) -> bool {
    let mut words = cell.split(' ');
    let first = words.next().unwrap_or_default();
    let number = first == "-" || first.replace(',', "").parse::<f64>().is_ok();
    number && words.count() <= 1
}

/// A number with commas between thousands.
pub fn counted(number: i64) -> String {
    indicatif::HumanCount(number.unsigned_abs()).to_string()
}

/// `1 topic`, `2 topics`.
pub fn plural(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        count => format!("{} {thing}s", indicatif::HumanCount(count as u64)),
    }
}

/// Bytes as `1.50 MiB`.
pub fn bytes(bytes: i64) -> String {
    match u64::try_from(bytes) {
        Ok(bytes) => indicatif::HumanBytes(bytes).to_string(),
        Err(_) => "-".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_right_aligned_and_lines_have_no_tail() {
        let rows = [["a", "1"], ["bbb", "10,000"]];
        let rows = rows.map(|row| row.map(String::from).to_vec());
        let shown = rendered(&["NAME", "COUNT"], &rows, false);
        assert_eq!(shown, "NAME   COUNT\na          1\nbbb   10,000");
        assert!(is_number("-") && is_number("1.5 MiB") && !is_number("a b"));
    }

    #[test]
    fn things_are_counted() {
        assert_eq!(plural(1, "topic"), "1 topic");
        assert_eq!(plural(1_000, "topic"), "1,000 topics");
    }
}
