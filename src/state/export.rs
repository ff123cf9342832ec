//! A state file as SQL text: statements that make the same database.

use std::io::{self, Write};

use crate::error::Error;
use crate::state::look::Look;

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
        let tables =
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let mut tables = self.db.prepare(tables)?;
        let tables = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let tables: Vec<(String, String)> = tables.collect::<rusqlite::Result<_>>()?;
        head.extend(tables.iter().map(|(_, sql)| format!("{sql};")));
        for text in head {
            if let Err(error) = print(&text) {
                return Ok(Err(error));
            }
        }
        for (name, _) in &tables {
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
