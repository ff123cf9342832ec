//! `--to`: what arrives at files, commands and web hooks, and what happens when they fail.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Output;
use std::sync::mpsc;
use std::thread;

use flate2::read::MultiGzDecoder;
use rustix::process::Signal;
use serde_json::Value;
use tallyline::clock::Timestamp;
use tallyline::delivery::{self, Context, Cut, Packer, Parcel, SinkSpec};
use tallyline::key::KeyRef;
use tallyline::ledger::Ledger;
use tallyline::sink::{BatchReport, Hidden, Row, Rows};
use tempfile::TempDir;

use crate::support::{Running, tallyline};

/// A folder with input, and what becomes of it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place {
            folder: tempfile::tempdir().unwrap(),
        };
        place.write("in.jsonl", &lines(&["PLACED", "PLACED", "SHIPPED"]));
        place
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = fs::File::options()
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// Counts `in.jsonl` by status, with these flags, in which `@` stands for the folder.
    fn count(&self, flags: &[&str]) -> Output {
        let folder = self.folder.path().display().to_string();
        let mut command = tallyline(&["count", "--by=status", "--output=json"]);
        command.arg(self.path("in.jsonl"));
        command.args(flags.iter().map(|flag| flag.replace('@', &folder)));
        command.output().unwrap()
    }
}

fn lines(statuses: &[&str]) -> String {
    let line = |status: &&str| format!("{{\"status\":\"{status}\"}}\n");
    statuses.iter().map(line).collect()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The objects of JSON lines.
fn objects(text: &str) -> Vec<Value> {
    let object = |line: &str| serde_json::from_str(line).unwrap();
    text.lines().map(object).collect()
}

/// The numbers of the batches that came, in their order.
fn batches(text: &str) -> Vec<u64> {
    let batches = objects(text);
    let numbers = batches.iter().filter_map(|object| object["batch"].as_u64());
    numbers.collect()
}

#[test]
fn a_file_has_what_standard_output_has() {
    let place = Place::new();
    let flags = ["--to=file:@/a.jsonl", "--to=file:@/a.csv"];
    let more = ["--to=file:@/a.jsonl.gz", "--to=file:@/a.jsonl.zst"];
    let output = place.count(&[flags, more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = stdout(&output);
    assert_eq!(expected.lines().count(), 2, "{expected}");
    assert_eq!(place.read("a.jsonl"), expected);
    let mut unpacked = String::new();
    let packed = fs::File::open(place.path("a.jsonl.gz")).unwrap();
    MultiGzDecoder::new(packed)
        .read_to_string(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, expected);
    let packed = fs::read(place.path("a.jsonl.zst")).unwrap();
    assert_eq!(zstd::decode_all(&packed[..]).unwrap(), expected.as_bytes());
    let csv = place.read("a.csv");
    let head = "type,batch,start,end,key,key_type,count,total\nbatch,1,";
    assert!(csv.starts_with(head), "{csv}");
    assert!(
        csv.contains(",PLACED,string,2,2\n") && csv.contains("\ntotals,,"),
        "{csv}"
    );
    let summary = stderr(&output);
    let told = format!(
        "sink       file:{}: 1 batch with 4 rows delivered\n",
        place.path("a.csv")
    );
    assert!(summary.contains(&told), "{summary}");
}

#[test]
fn a_sink_gets_what_it_wants_and_no_more() {
    let place = Place::new();
    let sinks = [
        "--to=top=1 file:@/top.jsonl",
        "--to=filter=totals file:@/totals.jsonl",
        "--to=filter=ledger file:@/ledger.jsonl",
        "--top=1",
    ];
    let output = place.count(&sinks);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(place.read("top.jsonl"), stdout(&output));
    let totals = objects(&place.read("totals.jsonl"));
    assert_eq!(totals.len(), 1);
    assert_eq!(totals[0]["counts"].as_array().unwrap().len(), 2);
    let ledger = objects(&place.read("ledger.jsonl"));
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0]["ledger"]["counted"], 3);
    assert!(ledger[0]["counts"].as_array().unwrap().is_empty());
    assert_eq!(ledger[0].get("hidden"), None);
}

#[test]
fn a_half_written_end_is_cut_off_and_nothing_is_glued_to_it() {
    let place = Place::new();
    assert!(
        place
            .count(&[
                "--to=file:@/a.jsonl",
                "--to=file:@/a.csv",
                "--to=file:@/a.csv.gz",
                "--to=file:@/a.jsonl.zst"
            ])
            .status
            .success()
    );
    let names = ["a.jsonl", "a.csv", "a.csv.gz", "a.jsonl.zst"];
    let whole = names.map(|name| fs::read(place.path(name)).unwrap());
    // As much of another batch as got to the disk.
    for (name, bytes) in names.iter().zip(&whole) {
        let half = match *name {
            "a.csv" => b"batch,2,\"a\nb".to_vec(),
            _ => bytes[..bytes.len() / 3].to_vec(),
        };
        let mut file = fs::File::options()
            .append(true)
            .open(place.path(name))
            .unwrap();
        file.write_all(&half).unwrap();
    }
    let output = place.count(&[
        "--to=file:@/a.jsonl",
        "--to=file:@/a.csv",
        "--to=file:@/a.csv.gz",
        "--to=file:@/a.jsonl.zst",
    ]);
    assert!(output.status.success());
    assert_eq!(
        stderr(&output).matches("half written: cut off").count(),
        4,
        "{}",
        stderr(&output)
    );
    for (name, bytes) in names.iter().zip(&whole) {
        let now = fs::read(place.path(name)).unwrap();
        assert!(now.starts_with(bytes) && now.len() > bytes.len(), "{name}");
    }
    assert_eq!(batches(&place.read("a.jsonl")), [1, 1]);
    assert_eq!(place.read("a.csv").matches("type,batch").count(), 1);
    let mut unpacked = String::new();
    MultiGzDecoder::new(fs::File::open(place.path("a.csv.gz")).unwrap())
        .read_to_string(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked.matches("\ntotals,,").count(), 4);
}

#[test]
fn a_file_is_put_aside_when_it_is_long_and_names_that_are_taken_are_left_alone() {
    let place = Place::new();
    place.write("a.1.jsonl", "mine\n");
    for _ in 0..4 {
        assert!(
            place
                .count(&["--to=rotate=1KiB file:@/a.jsonl"])
                .status
                .success()
        );
    }
    assert_eq!(place.read("a.1.jsonl"), "mine\n");
    let names = place.names();
    assert_eq!(
        names,
        ["a.1.jsonl", "a.2.jsonl", "a.jsonl", "in.jsonl"],
        "{names:?}"
    );
    let all = place.read("a.2.jsonl") + &place.read("a.jsonl");
    assert_eq!(batches(&all), [1, 1, 1, 1]);
    assert!(place.read("a.2.jsonl").len() >= 1024);
}

#[test]
fn a_file_with_a_time_in_its_name_has_it_when_it_is_complete() {
    let place = Place::new();
    place.write("seen", "");
    for _ in 0..2 {
        let exec = "--to=exec:ls @/out >> @/seen";
        fs::create_dir_all(place.path("out")).unwrap();
        let output = place.count(&["--to=file:@/out/%Y-%%.jsonl", exec]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let year = jiff::Zoned::now().year();
    let mut names: Vec<String> = fs::read_dir(place.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    // A run's end completes its file; the next run's is another.
    assert_eq!(
        names,
        [format!("{year}-%.1.jsonl"), format!("{year}-%.jsonl")]
    );
    for name in names {
        assert_eq!(batches(&place.read(&format!("out/{name}"))), [1]);
    }
}

#[test]
fn with_a_state_a_file_is_cut_back_to_what_the_state_knows() {
    let place = Place::new();
    let flags = ["--state=@/s.db", "--to=file:@/a.jsonl"];
    assert!(place.count(&flags).status.success());
    let before = place.read("a.jsonl");
    // A run that was killed had written its batch, and could not say so any more.
    place.append("a.jsonl", &before);
    place.append("a.jsonl", "{\"type\":\"ba");
    place.append("in.jsonl", &lines(&["CANCELLED"]));
    let output = place.count(&flags);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.read("a.jsonl"), before + &stdout(&output));
    assert_eq!(batches(&place.read("a.jsonl")), [1, 2]);
}

/// A batch of so many keys.
fn parcel(batch: u64, keys: usize) -> Parcel {
    let texts: Vec<String> = (0..keys).map(|key| format!("KEY {key}")).collect();
    let rows = texts.iter().map(|text| Row {
        key: KeyRef::string(text),
        count: 1,
        total: batch,
        sums: None,
    });
    let rows: Vec<Row<'_>> = rows.collect();
    let mut packer = Packer::default();
    packer.begin(batch, Timestamp::default(), Timestamp::default());
    packer.batch(&BatchReport {
        batch,
        start: Timestamp::default(),
        end: Timestamp::default(),
        ledger: Ledger::default(),
        counts: Rows {
            shown: &rows,
            hidden: Hidden::default(),
        },
        totals: None,
        latency: None,
        lag: &[],
    });
    packer.finish().unwrap()
}

#[test]
fn what_a_run_that_was_killed_wrote_is_told_from_what_was_there_before() {
    let place = Place::new();
    place.write("a.jsonl", "mine\n");
    let spec = SinkSpec::parse(&format!("rotate=1KiB file:{}", place.path("a.jsonl"))).unwrap();
    let open = |mark: Option<&str>| delivery::open(&spec, &Context::default(), mark).unwrap();
    let (first, second) = (parcel(1, 100), parcel(2, 1));

    let mut sink = open(None);
    let begun = sink.begin(&first).unwrap().unwrap();
    assert_eq!(sink.begin(&first).unwrap(), None, "it has been told");
    sink.deliver(&first, &Cut::default()).unwrap();
    // Killed: the state knows where the sink was about to write, and no more.
    let mut sink = open(Some(&begun));
    assert_eq!(sink.begin(&first).unwrap(), None);
    let behind_first = sink.deliver(&first, &Cut::default()).unwrap().mark.unwrap();
    let text = place.read("a.jsonl");
    let text = text.strip_prefix("mine\n").unwrap();
    assert_eq!(batches(text), [1]);

    // Killed when the file was put aside, and the state knows of no other.
    sink.begin(&second).unwrap().unwrap();
    let mut sink = open(Some(&behind_first));
    let begun = sink.begin(&second).unwrap().unwrap();
    sink.deliver(&second, &Cut::default()).unwrap();
    // And killed behind the first batch of the next file.
    let mut sink = open(Some(&begun));
    assert_eq!(sink.begin(&second).unwrap(), None);
    sink.deliver(&second, &Cut::default()).unwrap();
    assert_eq!(batches(&place.read("a.jsonl")), [2]);
    assert!(place.read("a.1.jsonl").ends_with(text));
}

#[test]
fn what_a_sink_did_not_take_waits_in_the_state_for_the_next_run() {
    let place = Place::new();
    let flags = [
        "--state=@/s.db",
        "--to-drain=0s",
        "--to=exec:test -e @/up && cat >> @/got",
        "--to=file:@/a.jsonl",
    ];
    let mut expected = String::new();
    for status in ["A", "B"] {
        let output = place.count(&flags);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(
            stderr(&output).ends_with(
                "waiting in the state for the next run: the command ended with status 1\n"
            ),
            "{}",
            stderr(&output)
        );
        expected += &stdout(&output);
        // The other one is not held up.
        assert_eq!(place.read("a.jsonl"), expected);
        place.append("in.jsonl", &lines(&[status]));
    }
    place.write("up", "");
    let output = place.count(&flags);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    expected += &stdout(&output);
    assert_eq!(place.read("got"), expected);
    assert_eq!(batches(&expected), [1, 2, 3]);
    // Nothing waits any more, and nothing is handed over twice.
    let db = rusqlite::Connection::open(place.path("s.db")).unwrap();
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM spool"), 0);
    assert_eq!(count("SELECT min(batch) FROM sink"), 3);
}

#[test]
fn a_sink_that_is_not_named_any_more_leaves_nothing_waiting() {
    let place = Place::new();
    let failing = ["--state=@/s.db", "--to-drain=0s", "--to=exec:false"];
    assert_eq!(place.count(&failing).status.code(), Some(1));
    let output = place.count(&["--state=@/s.db", "--to=file:@/a.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = "exec:false: not among the sinks any more: 1 batch that waited for it let go";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
    // It begins with the batch after those.
    assert_eq!(batches(&place.read("a.jsonl")), [2]);
}

#[test]
fn without_a_state_what_a_sink_did_not_take_is_counted_and_told() {
    let place = Place::new();
    let output = place.count(&["--to-drain=0s", "--to=exec:exit 3", "--to=file:@/a.jsonl"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains(
            "WARN exec:exit 3: the command ended with status 3; tried again, counting goes on"
        ),
        "{told}"
    );
    assert!(
        told.ends_with("tallyline: exec:exit 3: 1 batch lost: the command ended with status 3\n"),
        "{told}"
    );
    assert_eq!(place.read("a.jsonl"), stdout(&output));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told_and_leaves_the_counting_alone() {
    let place = Place::new();
    let output = place.count(&["--to-drain=0s", "--to=file:/dev/full"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.ends_with("file:/dev/full: 1 batch lost: no space left on device\n"),
        "{told}"
    );
    assert_eq!(stdout(&output).lines().count(), 2);
}

#[test]
fn a_command_that_hangs_is_killed_with_all_that_it_started() {
    let place = Place::new();
    let output = place.count(&[
        "--to-drain=0s",
        "--to=timeout=300ms exec:sleep 600 & sleep 600",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains("the command took longer than 300 ms (timeout=) and was killed"),
        "{told}"
    );
    // Whoever of them lived would have held our standard error open, and we would wait for him here.
    assert!(stdout(&output).lines().count() == 2);
}

#[test]
fn a_command_learns_which_batch_it_is_and_need_not_read_it() {
    let place = Place::new();
    let output = place.count(&[
        "--job=j",
        "--to=exec:echo $BATCH $BATCH_KEY > @/got; echo seen",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let got = place.read("got");
    assert!(got.starts_with("1 j/1") && got.ends_with("/1\n"), "{got}");
    // What a command prints is no result.
    assert!(stderr(&output).contains("seen\n") && !stdout(&output).contains("seen"));
}

#[test]
fn too_much_that_waits_in_the_state_holds_up_the_counting_until_the_sink_takes_it() {
    let place = Place::new();
    let mut command = tallyline(&["count", "-", "--by=status", "--output=json", "--every=10ms"]);
    command
        .args([
            "--state-lag=1",
            "--to-spool=1",
            "--state",
            &place.path("s.db"),
        ])
        .arg(format!(
            "--to=exec:test -e {} && cat >> {}",
            place.path("up"),
            place.path("got")
        ))
        .stdin(std::process::Stdio::piped());
    let (told, tells) = mpsc::channel();
    let running = Running::start(&mut command, move |line| {
        drop(told.send(line.to_owned()));
    });
    let told = tells
        .iter()
        .find(|line| line.contains("counting waits for it (--to-spool)"));
    assert!(told.unwrap().contains("more waits for it than 1 B"));
    place.write("up", "");
    running.signal(Signal::TERM);
    let output = running.finish();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(place.read("got"), stdout(&output));
}

#[test]
fn a_sink_that_cannot_be_is_refused_in_one_line() {
    let place = Place::new();
    for (sink, told) in [
        (
            "file:@/nowhere/a.jsonl",
            "'file:@/nowhere/a.jsonl': cannot write @/nowhere: no such file or directory; name a file in a folder that is there and may be written to",
        ),
        ("file:@", "'file:@': that is a folder; name a file"),
        (
            "file:@/a.txt",
            "'file:@/a.txt': .txt is no suffix that is known here; let its name end in .jsonl, .ndjson, .json or .csv",
        ),
        (
            "file:@/%!.jsonl",
            "'file:@/%!.jsonl': its name makes no time",
        ),
        (
            "file:@/in.jsonl",
            "'@/in.jsonl': that is the source itself; name another file",
        ),
        (
            "exec:if",
            "'exec:if': the shell does not understand the command",
        ),
        (
            "headers=@/none http://127.0.0.1:1/",
            "'http://127.0.0.1:1/': cannot read @/none: no such file or directory; name the file with headers=",
        ),
        (
            "headers=@/in.jsonl http://127.0.0.1:1/",
            "line 1 is no header; write a 'Name: value' on each",
        ),
        (
            "s3://bucket",
            "'s3://bucket': s3: is not known here; write a sink such as",
        ),
    ] {
        let output = place.count(&[&format!("--to={sink}")]);
        let folder = place.folder.path().display().to_string();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{sink}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.starts_with("tallyline: --to ") && text.contains(&told.replace('@', &folder)),
            "{text}"
        );
        assert!(output.stdout.is_empty());
    }
    let output = place.count(&["--to=file:@/a", "--to=top=1 file:@/a"]);
    assert!(stderr(&output).contains("named twice; name it once"));
}

#[test]
fn a_sink_can_be_tried() {
    let place = Place::new();
    let test = |sink: &str| tallyline(&["sink", "test", sink]).output().unwrap();
    let path = place.path("a.csv");
    let output = test(&format!("file:{path}"));
    assert_eq!(
        stdout(&output),
        format!("file:{path}: CSV rows can be appended to it\n")
    );
    assert!(!PathBuf::from(path).exists());
    assert_eq!(test("exec:true").status.code(), Some(0));
    assert_eq!(test("file:/nowhere/a").status.code(), Some(2));
    let output = test("http://127.0.0.1:1/");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "tallyline: http://127.0.0.1:1/: cannot reach it: connection refused\n"
    );
}

/// A request as a receiver sees it.
#[derive(Debug)]
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut decoder = MultiGzDecoder::new(&self.body[..]);
        decoder.read_to_string(&mut text).unwrap();
        text
    }
}

/// A receiver that gives these answers, one to each POST; HEAD is answered with 204.
fn receiver(answers: &'static [&'static str]) -> (String, mpsc::Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut answers = answers.iter();
        while answers.len() > 0 {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let Some(request) = read_request(&mut reader) else {
                continue;
            };
            let answer = match request.head.starts_with("HEAD") {
                true => "204 No Content\r\n",
                false => {
                    drop(sender.send(request));
                    answers.next().unwrap()
                }
            };
            let stream: &mut TcpStream = reader.get_mut();
            let (status, body) = answer.split_once("\n\n").unwrap_or((answer, ""));
            write!(
                stream,
                "HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                status.trim_end(),
                body.len()
            )
            .unwrap();
        }
    });
    (url, requests)
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap() == 0 {
            return None;
        }
    }
    let mut request = Request {
        head,
        body: Vec::new(),
    };
    if let Some(length) = request.header("content-length") {
        request.body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut request.body).unwrap();
    }
    Some(request)
}

#[test]
fn a_web_hook_gets_each_batch_once_it_takes_it_under_the_same_key() {
    let place = Place::new();
    place.write("headers", "Authorization: Bearer secret\n");
    place.write("secret", "Jefe\n");
    let (url, requests) = receiver(&[
        "503 Busy\r\nRetry-After: 0",
        "429 Slowly",
        "401 Who\n\nno such token\nat all",
        "200 OK",
    ]);
    let sink = format!("--to=headers=@/headers secret-file=@/secret {url}");
    let output = place.count(&["--job=j", &sink]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for line in [
        "it answers 503; tried",
        "it answers 429; tried",
        "it answers 401: no such token; tried",
        "takes results again",
        "3 attempts failed",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(!told.contains("secret"), "{told}");
    let requests: Vec<Request> = requests.iter().collect();
    assert_eq!(requests.len(), 4);
    let key = requests[0].header("idempotency-key").unwrap();
    assert!(key.starts_with("j/1") && key.ends_with("/1"), "{key}");
    for request in &requests {
        assert!(
            request.head.starts_with("POST /hook?a=b HTTP/1.1\r\n"),
            "{}",
            request.head
        );
        assert_eq!(request.header("idempotency-key"), Some(key));
        assert_eq!(request.header("authorization"), Some("Bearer secret"));
        assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
        assert_eq!(request.text(), stdout(&output));
        let signature = request.header("x-tallyline-signature").unwrap();
        assert_eq!(signature.strip_prefix("sha256=").unwrap().len(), 64);
    }
}

#[test]
fn what_a_web_hook_will_never_take_is_passed_over_and_told() {
    let place = Place::new();
    let (url, requests) = receiver(&["413 Content Too Large"]);
    let output = place.count(&[&format!("--to={url}")]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains("batch 1 is not taken and passed over: it answers 413\n"),
        "{told}"
    );
    assert!(
        told.ends_with("1 batch not taken and passed over: it answers 413\n"),
        "{told}"
    );
    assert_eq!(requests.iter().count(), 1);
}

#[test]
fn a_web_hook_that_moved_or_hangs_is_told_as_that() {
    let place = Place::new();
    let (url, _requests) = receiver(&["302 Found\r\nLocation: http://127.0.0.1:1/new"]);
    let output = place.count(&["--to-drain=0s", &format!("--to={url}")]);
    assert!(
        stderr(&output).contains("it answers 302: it is at http://127.0.0.1:1/new; name that"),
        "{}",
        stderr(&output)
    );
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let output = place.count(&["--to-drain=0s", &format!("--to=timeout=200ms {url}")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("it takes longer than timeout= allows"),
        "{}",
        stderr(&output)
    );
}
