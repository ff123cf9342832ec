//! A state file printed: its history as a run prints it, or all of it as SQL, statements that make the same database.

use std::io::{self, Write};

use crate::error::Error;
use crate::sink::OutputFormat;
use crate::state::look::Look;

/// Rows of the history that are read at a time.
const PAGE: usize = 1_000;

/// What of the history is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastKind {
    /// Batches.
    Batches,
    /// Windows.
    Windows,
}

impl Look {
    /// Writes every table as SQL.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn print_sql(&self, writer: &mut impl Write) -> Result<(), Error> {
        self.each_statement(&mut |text| writeln!(writer, "{text}"))
            .map_err(|error| self.failed(&error))?
            .map_err(Error::Output)
    }

    /// Prints the batches, or the windows, of the history as a run does, the oldest first.
    ///
    /// # Errors
    /// If they cannot be read or printed.
    pub fn print_history(
        &self,
        what: PastKind,
        format: OutputFormat,
        writer: impl Write + Send,
    ) -> Result<(), Error> {
        let mut sink = format.sink(writer, self.sink_options());
        // What is read page by page is the newest first.
        let mut firsts = Vec::new();
        let mut before = None;
        while let Some(first) = self.first_of_page(what, before)? {
            firsts.push((before, first));
            before = Some(first);
        }
        for (before, _) in firsts.into_iter().rev() {
            match what {
                PastKind::Batches => {
                    for batch in self.batches(before, PAGE)?.iter().rev() {
                        batch
                            .report(|report| sink.batch(report))
                            .map_err(Error::Output)?;
                    }
                }
                PastKind::Windows => {
                    for window in self.windows(before, PAGE)?.iter().rev() {
                        window
                            .report(|report| sink.window(report))
                            .map_err(Error::Output)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The number of the first row of the page that ends before this one.
    fn first_of_page(&self, what: PastKind, before: Option<u64>) -> Result<Option<u64>, Error> {
        let (table, number) = match what {
            PastKind::Batches => ("batch", "number"),
            PastKind::Windows => ("window", "id"),
        };
        let sql = format!(
            "SELECT min({number}) FROM (SELECT {number} FROM {table} WHERE {number} < ?1 \
             ORDER BY {number} DESC LIMIT {PAGE})"
        );
        let before = before.map_or(i64::MAX, |before| before as i64);
        let first = self
            .db
            .query_row(&sql, [before], |row| row.get::<_, Option<i64>>(0));
        let first = first.map_err(|error| self.failed(&error))?;
        Ok(first.map(|first| first as u64))
    }

    /// Gives each statement to `print`, until that fails.
    fn each_statement(
        &self,
        print: &mut dyn FnMut(&str) -> io::Result<()>,
    ) -> rusqlite::Result<io::Result<()>> {
        let mut head = vec!["BEGIN;".to_owned()];
        for pragma in ["application_id", "user_version"] {
            let value: i64 = self.db.pragma_query_value(None, pragma, |row| row.get(0))?;
            head.push(format!("PRAGMA {pragma} = {value};"));
        }
        let tables = "SELECT name, sql, type = 'table' FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC";
        let mut tables = self.db.prepare(tables)?;
        let tables = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut tables: Vec<(String, String, bool)> = tables.collect::<rusqlite::Result<_>>()?;
        head.extend(tables.iter().map(|(_, sql, _)| format!("{sql};")));
        // Indexes have no rows of their own.
        tables.retain(|(_, _, is_table)| *is_table);
        for text in head {
            if let Err(error) = print(&text) {
                return Ok(Err(error));
            }
        }
        for (name, _, _) in &tables {
            let mut rows = self.db.prepare(&self.rows_as_statements(name)?)?;
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                let text: String = row.get(0)?;
                if let Err(error) = print(&text) {
                    return Ok(Err(error));
                }
            }
        }
        Ok(print("COMMIT;"))
    }

    /// A query for the rows of a table, each as a statement that inserts it.
    fn rows_as_statements(&self, table: &str) -> rusqlite::Result<String> {
        let mut columns = self.db.prepare("SELECT name FROM pragma_table_info(?1)")?;
        let columns = columns.query_map([table], |row| row.get::<_, String>(0))?;
        let columns = columns.map(|name| name.map(|name| format!("quote(\"{name}\")")));
        let columns = columns.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(format!(
            "SELECT 'INSERT INTO \"{table}\" VALUES(' || {} || ');' FROM \"{table}\"",
            columns.join(" || ',' || ")
        ))
    }
}
