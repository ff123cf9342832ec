//! The tables of a PostgreSQL sink: how they are made, and whether those that are there are the right ones.

use super::Fault;
use super::line::Line;
use crate::delivery::outlet::Refusal;

/// A table's columns, with their types as PostgreSQL calls them.
type Columns = &'static [(&'static str, &'static str)];

const BATCHES: Columns = &[
    ("job", "text"),
    ("batch_start", "timestamp with time zone"),
    ("batch_end", "timestamp with time zone"),
    ("batch", "bigint"),
    ("lines", "bigint"),
    ("counted", "bigint"),
    ("missing", "bigint"),
    ("filtered", "bigint"),
    ("malformed", "bigint"),
    ("oversize", "bigint"),
    ("blank", "bigint"),
    ("late", "bigint"),
    ("hidden_keys", "bigint"),
    ("hidden_count", "bigint"),
];

const COUNTS: Columns = &[
    ("job", "text"),
    ("batch_start", "timestamp with time zone"),
    ("key", "text"),
    ("key_hash", "bytea"),
    ("count", "bigint"),
    ("sum", "numeric"),
];

const WINDOWS: Columns = &[
    ("job", "text"),
    ("length_ms", "bigint"),
    ("slide_ms", "bigint"),
    ("window_start", "timestamp with time zone"),
    ("window_end", "timestamp with time zone"),
    ("final", "boolean"),
    ("key", "text"),
    ("key_hash", "bytea"),
    ("count", "bigint"),
];

const TOTALS: Columns = &[
    ("job", "text"),
    ("key", "text"),
    ("key_hash", "bytea"),
    ("total", "bigint"),
    ("total_sum", "numeric"),
];

/// One table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Its name, in quotes, behind its schema's.
    pub(super) name: String,
    columns: Columns,
    /// What tells its rows apart.
    key: &'static str,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    schema: Option<String>,
    pub(super) batches: Table,
    pub(super) counts: Table,
    pub(super) windows: Table,
    pub(super) totals: Table,
}

impl Tables {
    /// Tables in a schema, or where the role finds them, whose names begin so. Both are plain words.
    pub(super) fn new(schema: Option<&str>, prefix: &str) -> Tables {
        let table = |name: &str, columns, key| Table {
            name: match schema {
                Some(schema) => format!("\"{schema}\".\"{prefix}{name}\""),
                None => format!("\"{prefix}{name}\""),
            },
            columns,
            key,
        };
        Tables {
            schema: schema.map(str::to_owned),
            batches: table("batches", BATCHES, "job, batch_start"),
            counts: table("counts", COUNTS, "job, batch_start, key_hash"),
            windows: table(
                "windows",
                WINDOWS,
                "job, length_ms, slide_ms, window_start, key_hash",
            ),
            totals: table("totals", TOTALS, "job, key_hash"),
        }
    }

    pub(super) fn all(&self) -> [&Table; 4] {
        [&self.batches, &self.counts, &self.windows, &self.totals]
    }

    /// Whether the role may create tables there.
    pub(super) fn may_create(&self, line: &Line) -> Result<bool, Refusal> {
        let may = "SELECT coalesce(has_schema_privilege(coalesce(to_regnamespace($1)::oid, \
                   to_regnamespace(quote_ident(current_schema()))::oid), 'CREATE'), false) \
                   AND ($1::text IS NULL OR to_regnamespace($1) IS NOT NULL)";
        Ok(line.query_one(may, &[&self.schema])?.get(0))
    }
}

impl Table {
    /// The statement that makes it.
    pub(super) fn create(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|(name, kind)| match *name {
                "sum" | "total_sum" => format!("{name} {kind}"),
                _ => format!("{name} {kind} NOT NULL"),
            })
            .collect();
        // Totals change with every batch: with room left in a page, a new one goes where the old one is, and no index changes.
        let fill = if self.columns == TOTALS { 50 } else { 100 };
        format!(
            "CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({})) WITH (fillfactor = {fill})",
            self.name,
            columns.join(", "),
            self.key
        )
    }

    /// The columns of the table that is there, with their types; none if there is no table.
    pub(super) fn columns_of(&self, line: &Line) -> Result<Vec<(String, String)>, Refusal> {
        let columns = "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute \
                       WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
        let rows = line.query(columns, &[&self.name])?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// What is wrong with it.
    pub(super) fn fault(&self, line: &Line) -> Result<Option<Fault>, Refusal> {
        let found = self.columns_of(line)?;
        if found.is_empty() {
            return Ok(Some(Fault::Missing));
        }
        let name = &self.name;
        for (column, wanted) in self.columns {
            let found = found.iter().find(|(name, _)| name == column);
            let wrong = match found {
                None => format!("table {name} has no column {column}"),
                Some((_, kind)) if kind != wanted => {
                    format!("table {name}: column {column} is {kind}, not {wanted}")
                }
                Some(_) => continue,
            };
            let remedy = "mend it as docs/sinks.md tells, or give prefix= for other tables";
            return Ok(Some(Fault::Wrong(format!("{wrong}; {remedy}"))));
        }
        for right in ["INSERT", "UPDATE", "SELECT"] {
            let may = "SELECT has_table_privilege(to_regclass($1)::oid, $2)";
            if !line.query_one(may, &[name, &right])?.get::<_, bool>(0) {
                let wrong = format!("we may not {right} in table {name}; GRANT that to the role");
                return Ok(Some(Fault::Wrong(wrong)));
            }
        }
        // Whether the rows are told apart by what they are to be, which a statement needs.
        let unique = "SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = to_regclass($1) AND i.indisunique \
                      AND i.indpred IS NULL AND (SELECT string_agg(a.attname, ', ' ORDER BY a.attname) \
                      FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)) = $2)";
        let mut key: Vec<&str> = self.key.split(", ").collect();
        key.sort_unstable();
        if !line
            .query_one(unique, &[name, &key.join(", ")])?
            .get::<_, bool>(0)
        {
            let wrong = format!(
                "table {name} has no primary key ({}); add it, or give prefix= for other tables",
                self.key
            );
            return Ok(Some(Fault::Wrong(wrong)));
        }
        Ok(None)
    }
}
