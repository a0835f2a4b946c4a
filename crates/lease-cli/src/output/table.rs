//! Aligned columns for people. They are no interface; programs read `--json`.

use crate::failure::one_line;

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|it| (*it).to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|it| one_line(&it)).collect());
    }

    /// The table as text, without trailing blanks.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let start = text.len();
            for (width, cell) in widths.iter().zip(row) {
                text.push_str(cell);
                let blanks = width + 2 - cell.chars().count();
                text.extend(std::iter::repeat_n(' ', blanks));
            }
            text.truncate(start + text[start..].trim_end().len());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_are_one_line() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(["ü".to_owned(), "a\nb\u{7}".to_owned()]);
        table.row(["longer".to_owned(), String::new()]);
        assert_eq!(table.render(), "NAME    STATE\nü       a b\\u{7}\nlonger\n");
    }
}
