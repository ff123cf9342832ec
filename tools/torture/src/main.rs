//! Kills tallyline for a time or so many times, and says what came of it.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use torture::{Done, Options, appearing, delivered, finished, growing, timed};

/// Kills in a round at the most; then its result is looked at.
const KILLS_A_ROUND: u32 = 25;

/// What is done in a round.
type Round = Box<dyn Fn(&Options) -> Result<Done, String>>;

/// Kill tallyline again and again, and check that its state is what an uninterrupted run's would be.
#[derive(Debug, Parser)]
#[command(name = "torture", version)]
struct Args {
    /// The program. [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The program was built with the feature simulation: have it die within saves every other time.
    #[arg(long)]
    fault_points: bool,
    /// End after so many kills.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    kills: u32,
    /// End after so many seconds, with the round that is under way.
    #[arg(long, value_name = "N", default_value_t = 3_600)]
    seconds: u64,
    /// A Kafka broker; the program must have been built with it.
    #[cfg(feature = "kafka")]
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
    /// Start a broker and a database with tools/kafka-broker and tools/postgres-server, and kill them as well: only
    /// rounds with those. The program must have been built with both.
    #[cfg(all(feature = "kafka", feature = "postgres"))]
    #[arg(long)]
    servers: bool,
    /// The first round's seed; those after it follow.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people"
)]
fn main() -> ExitCode {
    let args = Args::parse();
    let beside = env::current_exe().map(|path| path.with_file_name("tallyline"));
    let binary = args.binary.or(beside.ok()).expect("a program has a path");
    let begun = Instant::now();
    let first_seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let mut sum = Done::default();
    #[cfg_attr(
        not(feature = "kafka"),
        expect(unused_mut, reason = "nothing is added then")
    )]
    let mut rounds: Vec<(&str, Round)> = vec![
        ("finished", Box::new(finished)),
        ("growing", Box::new(growing)),
        ("appearing", Box::new(appearing)),
        ("timed", Box::new(timed)),
        ("delivered", Box::new(delivered)),
    ];
    #[cfg(feature = "kafka")]
    if let Some(broker) = args.broker {
        rounds.push((
            "topic",
            Box::new(move |options| of_broker(&broker, options)),
        ));
    }
    #[cfg(all(feature = "kafka", feature = "postgres"))]
    if args.servers {
        rounds = match of_servers() {
            Ok(rounds) => rounds,
            Err(trouble) => {
                eprintln!("torture: {trouble}");
                return ExitCode::FAILURE;
            }
        };
    }
    for (seed, (name, round)) in (first_seed..).zip(rounds.iter().cycle()) {
        if sum.kills >= args.kills || begun.elapsed() >= Duration::from_secs(args.seconds) {
            break;
        }
        let options = Options {
            binary: binary.clone(),
            seed,
            kills: KILLS_A_ROUND.min(args.kills - sum.kills),
            has_fault_points: args.fault_points,
        };
        match round(&options) {
            Ok(done) => {
                sum += done;
                println!("{name}, seed {seed}: exact after {} kills", done.kills);
            }
            Err(difference) => {
                eprintln!("torture: {name}, {difference}; --seed {seed} repeats the input");
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{} kills, {} of them of servers and {} while a batch was being saved, in {} s: nothing lost, nothing doubled",
        sum.kills,
        sum.of_servers,
        sum.within_saves,
        begun.elapsed().as_secs()
    );
    ExitCode::SUCCESS
}

/// Results into servers that are killed, too: the servers live as long as the rounds do.
#[cfg(all(feature = "kafka", feature = "postgres"))]
fn of_servers() -> Result<Vec<(&'static str, Round)>, String> {
    use torture::{Database, Server, Topic, served};

    let name = format!("torture-{}", std::process::id());
    let broker = Server::start("kafka-broker", &name)?;
    let database = Server::start("postgres-server", &name)?;
    let into_topic: Round = Box::new(move |options| {
        let address = broker.told("TEST_KAFKA");
        let topic = format!("results-{}", options.seed);
        served(options, &Topic::new(address, &topic, Some(&broker))?)
    });
    let into_tables: Round = Box::new(move |options| {
        let schema = format!("results_{}", options.seed);
        served(options, &Database::new(&database, &schema)?)
    });
    Ok(vec![("tables", into_tables), ("topic", into_topic)])
}

/// A topic of its own, in a broker.
#[cfg(feature = "kafka")]
fn of_broker(broker: &str, options: &Options) -> Result<Done, String> {
    let topic = format!("torture-{}-{}", options.seed, std::process::id());
    let never = std::sync::atomic::AtomicBool::new(false);
    torture::topic(
        options,
        &format!("kafka://{broker}/{topic}"),
        |spec, plan| {
            let pushed = loadgen::push_kafka(broker, &topic, spec, plan, &never);
            pushed.map(|_| ()).map_err(|error| error.to_string())
        },
    )
}
