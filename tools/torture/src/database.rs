//! A schema that results go to, and what is in its tables.

use postgres::{Client, Config, NoTls};

use crate::served::{Found, Place};
use crate::server::Server;

/// A schema of a round's own.
#[derive(Debug)]
pub struct Database<'a> {
    url: String,
    password: String,
    schema: String,
    server: &'a Server,
}

impl<'a> Database<'a> {
    /// A schema that nobody else uses.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new(server: &'a Server, schema: &str) -> Result<Database<'a>, String> {
        let database = Database {
            url: server.told("TEST_POSTGRES").to_owned(),
            password: server.told("TEST_POSTGRES_PASSWORD").to_owned(),
            schema: schema.to_owned(),
            server,
        };
        let make = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
        let made = database.client()?.batch_execute(&make);
        made.map_err(|error| error.to_string())?;
        Ok(database)
    }

    fn client(&self) -> Result<Client, String> {
        let told = |error: postgres::Error| error.to_string();
        let mut config: Config = self.url.parse().map_err(told)?;
        config.password(&self.password).connect(NoTls).map_err(told)
    }
}

impl Place for Database<'_> {
    fn sink(&self) -> String {
        format!("schema={} {}", self.schema, self.url)
    }

    fn environment(&self) -> Option<(&'static str, String)> {
        Some(("PGPASSWORD", self.password.clone()))
    }

    fn look(&self) -> Result<Found, String> {
        let told = |error: postgres::Error| error.to_string();
        let mut client = self.client()?;
        let mut found = Found::default();
        let schema = &self.schema;
        let batches = format!("SELECT batch FROM {schema}.tallyline_batches");
        for row in client.query(&batches, &[]).map_err(told)? {
            found.batches.push(row.get::<_, i64>(0).unsigned_abs());
        }
        // Sums of rows, and beside them what the totals say.
        let counts = format!(
            "SELECT key, sum(count)::bigint, min(total) FROM {schema}.tallyline_counts \
             JOIN {schema}.tallyline_totals USING (job, key) GROUP BY key"
        );
        for row in client.query(&counts, &[]).map_err(told)? {
            let (key, count, total): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
            if count != total {
                return Err(format!("{key} has a total of {total}, and rows of {count}"));
            }
            found.counts.insert(key, count.unsigned_abs());
        }
        Ok(found)
    }

    fn server(&self) -> Option<&Server> {
        Some(self.server)
    }

    fn server_kills_percent(&self) -> u8 {
        40
    }
}
