//! Columns that line up, whatever their cells are styled like.

use alknet_proto::fault::{harmless, one_line};
use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::{DIM, painted};

/// Between two columns.
const GAP: &str = "  ";

/// One cell: what it says, and how.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
    is_number: bool,
}

impl Cell {
    /// A text, on the left. What a server or a file may have written into it is made harmless.
    pub(super) fn text(text: impl AsRef<str>) -> Self {
        Cell { text: one_line(text.as_ref()), style: Style::new(), is_number: false }
    }

    /// A text of any length, for the last column.
    pub(super) fn long(text: impl AsRef<str>) -> Self {
        Cell { text: text.as_ref().trim().chars().map(harmless).collect(), ..Cell::text("") }
    }

    /// A number, on the right.
    pub(super) fn number(text: impl AsRef<str>) -> Self {
        Cell { is_number: true, ..Cell::text(text) }
    }

    /// The same in another style.
    pub(super) fn styled(self, style: Style) -> Self {
        Cell { style, ..self }
    }
}

/// One line below the header.
#[derive(Clone, Debug)]
pub(super) enum Row {
    /// One cell for each column.
    Cells(Vec<Cell>),
    /// A dim remark about the row above.
    Remark(String),
}

/// The header and the rows, each line with its newline. Columns of numbers have their header on
/// the right too.
pub(super) fn table(header: &[&str], rows: &[Row]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|name| name.width()).collect();
    let mut numbers = vec![false; header.len()];
    for row in rows {
        let Row::Cells(cells) = row else { continue };
        for (column, cell) in cells.iter().enumerate().take(header.len()) {
            widths[column] = widths[column].max(cell.text.width());
            numbers[column] |= cell.is_number;
        }
    }
    let names: Vec<Cell> = header
        .iter()
        .zip(&numbers)
        .map(|(name, is_number)| Cell { text: (*name).to_owned(), style: DIM, is_number: *is_number })
        .collect();
    let head = line(&names, &widths);
    head + &body(rows, &widths)
}

/// The rows alone, their last column as wide as it may be.
pub(super) fn table_without_header(rows: &[Row]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        let Row::Cells(cells) = row else { continue };
        widths.resize(widths.len().max(cells.len()), 0);
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.text.width());
        }
    }
    body(rows, &widths)
}

fn body(rows: &[Row], widths: &[usize]) -> String {
    let mut text = String::new();
    for row in rows {
        match row {
            Row::Cells(cells) => text.push_str(&line(cells, widths)),
            Row::Remark(remark) => text.push_str(&format!("  {}\n", painted(DIM, &one_line(remark)))),
        }
    }
    text
}

fn line(cells: &[Cell], widths: &[usize]) -> String {
    let mut line = String::new();
    // Spaces wait until something follows them, so that no line ends with any.
    let mut owed = 0;
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if 0 < column {
            owed += GAP.len();
        }
        let padding = width.saturating_sub(cell.text.width());
        if cell.is_number {
            owed += padding;
        }
        if !cell.text.is_empty() {
            line.push_str(&" ".repeat(owed));
            let is_plain = cell.style == Style::new();
            line.push_str(&if is_plain { cell.text.clone() } else { painted(cell.style, &cell.text) });
            owed = 0;
        }
        if !cell.is_number {
            owed += padding;
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::super::GREEN;
    use super::super::tests::plain;
    use super::*;

    #[test]
    fn columns_line_up_under_wide_letters_and_styles() {
        let rows = [
            Row::Cells(vec![Cell::text("web"), Cell::text("active").styled(GREEN), Cell::number("7")]),
            Row::Remark("why".to_owned()),
            Row::Cells(vec![Cell::text("日本"), Cell::text(""), Cell::number("10")]),
        ];

        let shown = table(&["NAME", "STATUS", "N"], &rows);

        assert_eq!(plain(&shown), "NAME  STATUS   N\nweb   active   7\n  why\n日本          10\n");
        assert!(shown.contains("\u{1b}[32mactive\u{1b}[0m   7"));
    }

    #[test]
    fn what_a_server_wrote_cannot_paint_the_terminal() {
        let rows = [Row::Cells(vec![Cell::text("a\u{1b}[2Jb\nc")])];

        assert_eq!(table(&[""], &rows), "\na [2Jb c\n");
    }
}
