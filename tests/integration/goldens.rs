//! What each format prints for one recorded stream: the same bytes every time, whatever the threads.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tallyline::clock::{Timestamp, VirtualClock};
use tallyline::pipeline::{Pipeline, Settings};
use tallyline::sink::{OutputFormat, SinkOptions};
use tallyline::source::{Script, ScriptEvent};
use tallyline::window::{WindowSettings, WindowSpec};

use crate::support::settings;

/// 2026-11-22 15:47:37.500 UTC.
const START: Timestamp = Timestamp::from_millis(1_795_362_457_500);

/// A writer whose text can be read after the sink is gone.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Three batches of 5 s: keys of every kind and lines of every column, nothing, and a last one that
/// the stream's end cuts short.
fn events() -> Vec<(Timestamp, ScriptEvent)> {
    let at = |ms: u64, text: &str| {
        (
            START.plus_nanos(ms * 1_000_000),
            ScriptEvent::Bytes(text.as_bytes().to_vec()),
        )
    };
    vec![
        at(
            0,
            "\u{feff}{\"status\":\"PLACED\"}\n{\"status\":\"PLACED\"}\r\n{\"sta",
        ),
        at(
            900,
            "tus\":\"größe\"}\n\n{\"status\":5}\n{\"status\":\"5\"}\n{\"status\":null}\n",
        ),
        at(
            1000,
            "not JSON\n{\"id\":1}\n{\"status\":true}\n{\"status\":\"a\\tb, \\\"c\\\"\"}\n",
        ),
        at(
            9_000,
            "{\"status\":\"PLACED\",\"note\":\"longer than the sixty-four bytes allowed\"}\n\
             {\"status\":\"PLACED\"}\n{\"status\":\"PLACED\"}\n{\"status\":\"SHIPPED\"}",
        ),
    ]
}

fn output(
    format: OutputFormat,
    settings: &Settings,
    events: Vec<(Timestamp, ScriptEvent)>,
    parsers: usize,
) -> String {
    let written = Written::default();
    let options = SinkOptions {
        trending: settings.windows.trending.is_some(),
        ..SinkOptions::default()
    };
    let sink = format.sink(written.clone(), options);
    let settings = Settings {
        parsers,
        ..settings.clone()
    };
    let clock = Arc::new(VirtualClock::new(START));
    let source = Box::new(Script::new(events));
    let pipeline = Pipeline::new(settings, vec![source], vec![sink], clock).unwrap();
    let (_, result) = pipeline.run().unwrap();
    assert!(result.is_ok());
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// Checks the output of a format on several numbers of threads, each twice.
///
/// The expected text begins on its second line.
fn golden(format: OutputFormat, top: Option<usize>, expected: &str) {
    let settings = Settings {
        top,
        line_bytes_max: 64,
        ..settings()
    };
    check(format, &settings, &events, expected);
}

fn check(
    format: OutputFormat,
    settings: &Settings,
    events: &dyn Fn() -> Vec<(Timestamp, ScriptEvent)>,
    expected: &str,
) {
    for parsers in [1, 3, 1, 3] {
        let text = output(format, settings, events(), parsers);
        let expected = expected.strip_prefix('\n').unwrap();
        assert_eq!(text, expected, "{format:?} with {parsers} parsers:\n{text}");
    }
}

/// Windows of 5 s and of 10 s every 5 s over four batches; the second and third 5 s are whole.
fn golden_windows(format: OutputFormat, expected: &str) {
    let spec = |length, slide| {
        WindowSpec::new(Duration::from_secs(length), Duration::from_secs(slide)).unwrap()
    };
    let windows = WindowSettings {
        specs: vec![spec(5, 5), spec(10, 5)],
        trending: Some(2),
        ..settings().windows
    };
    let settings = Settings {
        top: Some(2),
        windows,
        ..settings()
    };
    let orders = |ms: u64, orders: &[(&str, usize)]| {
        let lines = orders
            .iter()
            .map(|(key, count)| format!("{{\"status\":{key}}}\n").repeat(*count));
        (
            START.plus_nanos(ms * 1_000_000),
            ScriptEvent::Bytes(lines.collect::<String>().into_bytes()),
        )
    };
    let events = || {
        vec![
            orders(0, &[("\"a\"", 3)]),
            orders(4_000, &[("\"a\"", 2), ("\"b\"", 30), ("7", 2)]),
            orders(
                9_000,
                &[("\"a\"", 12), ("\"b\"", 31), ("7", 1), ("null", 1)],
            ),
            orders(13_000, &[("\"b\"", 1)]),
        ]
    };
    check(format, &settings, &events, expected);
}

#[test]
fn windows_in_the_table() {
    golden_windows(
        OutputFormat::Table,
        r#"
batch 1  2026-11-22 15:47:37 – 15:47:40  2.50 s
  key  count  share  per second  total
  a        3  100 %        1.20      3
  lines 3  counted 3

window 5s  2026-11-22 15:47:35 – 15:47:40  2.50 s of it
  key  count  share  per second
  a        3  100 %        1.20

window 10s/5s  2026-11-22 15:47:30 – 15:47:40  2.50 s of it
  key  count  share  per second
  a        3  100 %        1.20

batch 2  2026-11-22 15:47:40 – 15:47:45  5 s
  key           count   share  per second  total
  b                30  88.2 %        6.00     30
  7                 2   5.9 %        0.40      2
  … 1 more key      2
  lines 34  counted 34

window 5s  2026-11-22 15:47:40 – 15:47:45
  key           count   share  per second
  b                30  88.2 %        6.00
  7                 2   5.9 %        0.40
  … 1 more key      2

window 10s/5s  2026-11-22 15:47:35 – 15:47:45  7.50 s of it
  key           count   share  per second
  b                30  81.1 %        4.00
  a                 5  13.5 %        0.67
  … 1 more key      2

batch 3  2026-11-22 15:47:45 – 15:47:50  5 s
  key            count   share  per second  total
  b                 31  68.9 %        6.20     61
  a                 12  26.7 %        2.40     17
  … 2 more keys      2
  lines 45  counted 45

window 5s  2026-11-22 15:47:45 – 15:47:50
  key            count   share  per second
  b                 31  68.9 %        6.20
  a                 12  26.7 %        2.40
  … 2 more keys      2
  trending  count  before  ratio
  a            12       2   1.83
  null          1       0   1.10

window 10s/5s  2026-11-22 15:47:40 – 15:47:50
  key            count   share  per second
  b                 61  77.2 %        6.10
  a                 14  17.7 %        1.40
  … 2 more keys      4

batch 4  2026-11-22 15:47:50 – 15:47:50  500 ms
  key  count  share  per second  total
  b        1  100 %        2.00     62
  lines 1  counted 1

window 5s  2026-11-22 15:47:50 – 15:47:55  500 ms of it
  key  count  share  per second
  b        1  100 %        2.00

window 10s/5s  2026-11-22 15:47:45 – 15:47:55  5.50 s of it
  key            count   share  per second
  b                 32  69.6 %        5.82
  a                 12  26.1 %        2.18
  … 2 more keys      2

totals  2026-11-22 15:47:50
  key            total   share
  b                 62  74.7 %
  a                 17  20.5 %
  … 2 more keys      4
  lines 83  counted 83
"#,
    );
}

#[test]
fn windows_as_json() {
    golden_windows(
        OutputFormat::Json,
        r#"
{"type":"batch","batch":1,"start":"2026-11-22T15:47:37.500Z","end":"2026-11-22T15:47:40.000Z","ledger":{"lines":3,"counted":3,"missing":0,"filtered":0,"malformed":0,"oversize":0,"blank":0,"late":0},"counts":[{"key":"a","count":3,"total":3}]}
{"type":"window","length_ms":5000,"slide_ms":5000,"start":"2026-11-22T15:47:35.000Z","end":"2026-11-22T15:47:40.000Z","final":true,"covered":{"start":"2026-11-22T15:47:37.500Z","end":"2026-11-22T15:47:40.000Z"},"counts":[{"key":"a","count":3}]}
{"type":"window","length_ms":10000,"slide_ms":5000,"start":"2026-11-22T15:47:30.000Z","end":"2026-11-22T15:47:40.000Z","final":true,"covered":{"start":"2026-11-22T15:47:37.500Z","end":"2026-11-22T15:47:40.000Z"},"counts":[{"key":"a","count":3}]}
{"type":"batch","batch":2,"start":"2026-11-22T15:47:40.000Z","end":"2026-11-22T15:47:45.000Z","ledger":{"lines":34,"counted":34,"missing":0,"filtered":0,"malformed":0,"oversize":0,"blank":0,"late":0},"counts":[{"key":"b","count":30,"total":30},{"key":7,"count":2,"total":2}],"hidden":{"keys":1,"count":2}}
{"type":"window","length_ms":5000,"slide_ms":5000,"start":"2026-11-22T15:47:40.000Z","end":"2026-11-22T15:47:45.000Z","final":true,"counts":[{"key":"b","count":30},{"key":7,"count":2}],"hidden":{"keys":1,"count":2}}
{"type":"window","length_ms":10000,"slide_ms":5000,"start":"2026-11-22T15:47:35.000Z","end":"2026-11-22T15:47:45.000Z","final":true,"covered":{"start":"2026-11-22T15:47:37.500Z","end":"2026-11-22T15:47:45.000Z"},"counts":[{"key":"b","count":30},{"key":"a","count":5}],"hidden":{"keys":1,"count":2}}
{"type":"batch","batch":3,"start":"2026-11-22T15:47:45.000Z","end":"2026-11-22T15:47:50.000Z","ledger":{"lines":45,"counted":45,"missing":0,"filtered":0,"malformed":0,"oversize":0,"blank":0,"late":0},"counts":[{"key":"b","count":31,"total":61},{"key":"a","count":12,"total":17}],"hidden":{"keys":2,"count":2}}
{"type":"window","length_ms":5000,"slide_ms":5000,"start":"2026-11-22T15:47:45.000Z","end":"2026-11-22T15:47:50.000Z","final":true,"counts":[{"key":"b","count":31},{"key":"a","count":12}],"trending":[{"key":"a","count":12,"previous":2,"ratio":1.83},{"key":null,"count":1,"previous":0,"ratio":1.10}],"hidden":{"keys":2,"count":2}}
{"type":"window","length_ms":10000,"slide_ms":5000,"start":"2026-11-22T15:47:40.000Z","end":"2026-11-22T15:47:50.000Z","final":true,"counts":[{"key":"b","count":61},{"key":"a","count":14}],"hidden":{"keys":2,"count":4}}
{"type":"batch","batch":4,"start":"2026-11-22T15:47:50.000Z","end":"2026-11-22T15:47:50.500Z","ledger":{"lines":1,"counted":1,"missing":0,"filtered":0,"malformed":0,"oversize":0,"blank":0,"late":0},"counts":[{"key":"b","count":1,"total":62}]}
{"type":"window","length_ms":5000,"slide_ms":5000,"start":"2026-11-22T15:47:50.000Z","end":"2026-11-22T15:47:55.000Z","final":true,"covered":{"start":"2026-11-22T15:47:50.000Z","end":"2026-11-22T15:47:50.500Z"},"counts":[{"key":"b","count":1}]}
{"type":"window","length_ms":10000,"slide_ms":5000,"start":"2026-11-22T15:47:45.000Z","end":"2026-11-22T15:47:55.000Z","final":true,"covered":{"start":"2026-11-22T15:47:45.000Z","end":"2026-11-22T15:47:50.500Z"},"counts":[{"key":"b","count":32},{"key":"a","count":12}],"hidden":{"keys":2,"count":2}}
{"type":"totals","ledger":{"lines":83,"counted":83,"missing":0,"filtered":0,"malformed":0,"oversize":0,"blank":0,"late":0},"counts":[{"key":"b","total":62},{"key":"a","total":17}],"hidden":{"keys":2,"count":4}}
"#,
    );
}

#[test]
fn windows_as_spark_prints_them() {
    golden_windows(
        OutputFormat::Spark,
        r#"
-------------------------------------------
Time: 2026-11-22 15:47:40
-------------------------------------------
('a', 3)

-------------------------------------------
Time: 2026-11-22 15:47:40
-------------------------------------------
('a', 3)

-------------------------------------------
Time: 2026-11-22 15:47:40
-------------------------------------------
('a', 3)

-------------------------------------------
Time: 2026-11-22 15:47:40
-------------------------------------------
('a', 3)

-------------------------------------------
Time: 2026-11-22 15:47:45
-------------------------------------------
('b', 30)
(7, 2)
...

-------------------------------------------
Time: 2026-11-22 15:47:45
-------------------------------------------
('b', 30)
('a', 5)
...

-------------------------------------------
Time: 2026-11-22 15:47:45
-------------------------------------------
('b', 30)
(7, 2)
...

-------------------------------------------
Time: 2026-11-22 15:47:45
-------------------------------------------
('b', 30)
('a', 5)
...

-------------------------------------------
Time: 2026-11-22 15:47:50
-------------------------------------------
('b', 31)
('a', 12)
...

-------------------------------------------
Time: 2026-11-22 15:47:50
-------------------------------------------
('b', 61)
('a', 17)
...

-------------------------------------------
Time: 2026-11-22 15:47:50
-------------------------------------------
('b', 31)
('a', 12)
...

-------------------------------------------
Time: 2026-11-22 15:47:50
-------------------------------------------
('a', (12, 2, 1.83))
(None, (1, 0, 1.10))

-------------------------------------------
Time: 2026-11-22 15:47:50
-------------------------------------------
('b', 61)
('a', 14)
...

-------------------------------------------
Time: 2026-11-22 15:47:50
-------------------------------------------
('b', 1)

-------------------------------------------
Time: 2026-11-22 15:47:50
-------------------------------------------
('b', 62)
('a', 17)
...

-------------------------------------------
Time: 2026-11-22 15:47:55
-------------------------------------------
('b', 1)

-------------------------------------------
Time: 2026-11-22 15:47:55
-------------------------------------------
('b', 32)
('a', 12)
...

"#,
    );
}

#[test]
fn windows_as_csv() {
    golden_windows(
        OutputFormat::Csv,
        r#"
type,batch,start,end,key,key_type,count,total,previous,ratio
batch,1,2026-11-22T15:47:37.500Z,2026-11-22T15:47:40.000Z,a,string,3,3,,
window,,2026-11-22T15:47:35.000Z,2026-11-22T15:47:40.000Z,a,string,3,,,
window,,2026-11-22T15:47:30.000Z,2026-11-22T15:47:40.000Z,a,string,3,,,
batch,2,2026-11-22T15:47:40.000Z,2026-11-22T15:47:45.000Z,b,string,30,30,,
batch,2,2026-11-22T15:47:40.000Z,2026-11-22T15:47:45.000Z,7,number,2,2,,
batch,2,2026-11-22T15:47:40.000Z,2026-11-22T15:47:45.000Z,1,hidden,2,,,
window,,2026-11-22T15:47:40.000Z,2026-11-22T15:47:45.000Z,b,string,30,,,
window,,2026-11-22T15:47:40.000Z,2026-11-22T15:47:45.000Z,7,number,2,,,
window,,2026-11-22T15:47:40.000Z,2026-11-22T15:47:45.000Z,1,hidden,2,,,
window,,2026-11-22T15:47:35.000Z,2026-11-22T15:47:45.000Z,b,string,30,,,
window,,2026-11-22T15:47:35.000Z,2026-11-22T15:47:45.000Z,a,string,5,,,
window,,2026-11-22T15:47:35.000Z,2026-11-22T15:47:45.000Z,1,hidden,2,,,
batch,3,2026-11-22T15:47:45.000Z,2026-11-22T15:47:50.000Z,b,string,31,61,,
batch,3,2026-11-22T15:47:45.000Z,2026-11-22T15:47:50.000Z,a,string,12,17,,
batch,3,2026-11-22T15:47:45.000Z,2026-11-22T15:47:50.000Z,2,hidden,2,,,
window,,2026-11-22T15:47:45.000Z,2026-11-22T15:47:50.000Z,b,string,31,,,
window,,2026-11-22T15:47:45.000Z,2026-11-22T15:47:50.000Z,a,string,12,,,
window,,2026-11-22T15:47:45.000Z,2026-11-22T15:47:50.000Z,2,hidden,2,,,
trending,,2026-11-22T15:47:45.000Z,2026-11-22T15:47:50.000Z,a,string,12,,2,1.83
trending,,2026-11-22T15:47:45.000Z,2026-11-22T15:47:50.000Z,null,null,1,,0,1.10
window,,2026-11-22T15:47:40.000Z,2026-11-22T15:47:50.000Z,b,string,61,,,
window,,2026-11-22T15:47:40.000Z,2026-11-22T15:47:50.000Z,a,string,14,,,
window,,2026-11-22T15:47:40.000Z,2026-11-22T15:47:50.000Z,2,hidden,4,,,
batch,4,2026-11-22T15:47:50.000Z,2026-11-22T15:47:50.500Z,b,string,1,62,,
window,,2026-11-22T15:47:50.000Z,2026-11-22T15:47:55.000Z,b,string,1,,,
window,,2026-11-22T15:47:45.000Z,2026-11-22T15:47:55.000Z,b,string,32,,,
window,,2026-11-22T15:47:45.000Z,2026-11-22T15:47:55.000Z,a,string,12,,,
window,,2026-11-22T15:47:45.000Z,2026-11-22T15:47:55.000Z,2,hidden,2,,,
totals,,,2026-11-22T15:47:50.500Z,b,string,,62,,
totals,,,2026-11-22T15:47:50.500Z,a,string,,17,,
totals,,,2026-11-22T15:47:50.500Z,2,hidden,,4,,
"#,
    );
}

#[test]
fn table() {
    golden(
        OutputFormat::Table,
        Some(50),
        r#"
batch 1  2026-11-22 15:47:37 – 15:47:40  2.50 s
  key        count   share  per second  total
  PLACED         2  25.0 %        0.80      2
  null           1  12.5 %        0.40      1
  true           1  12.5 %        0.40      1
  5              1  12.5 %        0.40      1
  "5"            1  12.5 %        0.40      1
  a\tb, "c"      1  12.5 %        0.40      1
  größe          1  12.5 %        0.40      1
  lines 11  counted 8  missing 1  malformed 1  blank 1

batch 2  2026-11-22 15:47:40 – 15:47:45  5 s
  no records
  lines 0  counted 0

batch 3  2026-11-22 15:47:45 – 15:47:46  1.50 s
  key      count   share  per second  total
  PLACED       2  66.7 %        1.33      4
  SHIPPED      1  33.3 %        0.67      1
  lines 4  counted 3  oversize 1

totals  2026-11-22 15:47:46
  key        total   share
  PLACED         4  36.4 %
  null           1   9.1 %
  true           1   9.1 %
  5              1   9.1 %
  "5"            1   9.1 %
  SHIPPED        1   9.1 %
  a\tb, "c"      1   9.1 %
  größe          1   9.1 %
  lines 15  counted 11  missing 1  malformed 1  oversize 1  blank 1
"#,
    );
}

#[test]
fn table_with_hidden_rows() {
    golden(
        OutputFormat::Table,
        Some(2),
        r#"
batch 1  2026-11-22 15:47:37 – 15:47:40  2.50 s
  key            count   share  per second  total
  PLACED             2  25.0 %        0.80      2
  null               1  12.5 %        0.40      1
  … 5 more keys      5
  lines 11  counted 8  missing 1  malformed 1  blank 1

batch 2  2026-11-22 15:47:40 – 15:47:45  5 s
  no records
  lines 0  counted 0

batch 3  2026-11-22 15:47:45 – 15:47:46  1.50 s
  key      count   share  per second  total
  PLACED       2  66.7 %        1.33      4
  SHIPPED      1  33.3 %        0.67      1
  lines 4  counted 3  oversize 1

totals  2026-11-22 15:47:46
  key            total   share
  PLACED             4  36.4 %
  null               1   9.1 %
  … 6 more keys      6
  lines 15  counted 11  missing 1  malformed 1  oversize 1  blank 1
"#,
    );
}

#[test]
fn json() {
    golden(
        OutputFormat::Json,
        None,
        r#"
{"type":"batch","batch":1,"start":"2026-11-22T15:47:37.500Z","end":"2026-11-22T15:47:40.000Z","ledger":{"lines":11,"counted":8,"missing":1,"filtered":0,"malformed":1,"oversize":0,"blank":1,"late":0},"counts":[{"key":"PLACED","count":2,"total":2},{"key":null,"count":1,"total":1},{"key":true,"count":1,"total":1},{"key":5,"count":1,"total":1},{"key":"5","count":1,"total":1},{"key":"a\tb, \"c\"","count":1,"total":1},{"key":"größe","count":1,"total":1}]}
{"type":"batch","batch":2,"start":"2026-11-22T15:47:40.000Z","end":"2026-11-22T15:47:45.000Z","ledger":{"lines":0,"counted":0,"missing":0,"filtered":0,"malformed":0,"oversize":0,"blank":0,"late":0},"counts":[]}
{"type":"batch","batch":3,"start":"2026-11-22T15:47:45.000Z","end":"2026-11-22T15:47:46.500Z","ledger":{"lines":4,"counted":3,"missing":0,"filtered":0,"malformed":0,"oversize":1,"blank":0,"late":0},"counts":[{"key":"PLACED","count":2,"total":4},{"key":"SHIPPED","count":1,"total":1}]}
{"type":"totals","ledger":{"lines":15,"counted":11,"missing":1,"filtered":0,"malformed":1,"oversize":1,"blank":1,"late":0},"counts":[{"key":"PLACED","total":4},{"key":null,"total":1},{"key":true,"total":1},{"key":5,"total":1},{"key":"5","total":1},{"key":"SHIPPED","total":1},{"key":"a\tb, \"c\"","total":1},{"key":"größe","total":1}]}
"#,
    );
}

#[test]
fn json_with_hidden_rows() {
    golden(
        OutputFormat::Json,
        Some(1),
        r#"
{"type":"batch","batch":1,"start":"2026-11-22T15:47:37.500Z","end":"2026-11-22T15:47:40.000Z","ledger":{"lines":11,"counted":8,"missing":1,"filtered":0,"malformed":1,"oversize":0,"blank":1,"late":0},"counts":[{"key":"PLACED","count":2,"total":2}],"hidden":{"keys":6,"count":6}}
{"type":"batch","batch":2,"start":"2026-11-22T15:47:40.000Z","end":"2026-11-22T15:47:45.000Z","ledger":{"lines":0,"counted":0,"missing":0,"filtered":0,"malformed":0,"oversize":0,"blank":0,"late":0},"counts":[]}
{"type":"batch","batch":3,"start":"2026-11-22T15:47:45.000Z","end":"2026-11-22T15:47:46.500Z","ledger":{"lines":4,"counted":3,"missing":0,"filtered":0,"malformed":0,"oversize":1,"blank":0,"late":0},"counts":[{"key":"PLACED","count":2,"total":4}],"hidden":{"keys":1,"count":1}}
{"type":"totals","ledger":{"lines":15,"counted":11,"missing":1,"filtered":0,"malformed":1,"oversize":1,"blank":1,"late":0},"counts":[{"key":"PLACED","total":4}],"hidden":{"keys":7,"count":7}}
"#,
    );
}

#[test]
fn spark() {
    golden(
        OutputFormat::Spark,
        Some(10),
        r#"
-------------------------------------------
Time: 2026-11-22 15:47:40
-------------------------------------------
('PLACED', 2)
(None, 1)
(True, 1)
(5, 1)
('5', 1)
('a\tb, "c"', 1)
('größe', 1)

-------------------------------------------
Time: 2026-11-22 15:47:40
-------------------------------------------
('PLACED', 2)
(None, 1)
(True, 1)
(5, 1)
('5', 1)
('a\tb, "c"', 1)
('größe', 1)

-------------------------------------------
Time: 2026-11-22 15:47:45
-------------------------------------------

-------------------------------------------
Time: 2026-11-22 15:47:45
-------------------------------------------
('PLACED', 2)
(None, 1)
(True, 1)
(5, 1)
('5', 1)
('a\tb, "c"', 1)
('größe', 1)

-------------------------------------------
Time: 2026-11-22 15:47:46
-------------------------------------------
('PLACED', 2)
('SHIPPED', 1)

-------------------------------------------
Time: 2026-11-22 15:47:46
-------------------------------------------
('PLACED', 4)
(None, 1)
(True, 1)
(5, 1)
('5', 1)
('SHIPPED', 1)
('a\tb, "c"', 1)
('größe', 1)

"#,
    );
}

#[test]
fn csv() {
    golden(
        OutputFormat::Csv,
        None,
        r#"
type,batch,start,end,key,key_type,count,total
batch,1,2026-11-22T15:47:37.500Z,2026-11-22T15:47:40.000Z,PLACED,string,2,2
batch,1,2026-11-22T15:47:37.500Z,2026-11-22T15:47:40.000Z,null,null,1,1
batch,1,2026-11-22T15:47:37.500Z,2026-11-22T15:47:40.000Z,true,boolean,1,1
batch,1,2026-11-22T15:47:37.500Z,2026-11-22T15:47:40.000Z,5,number,1,1
batch,1,2026-11-22T15:47:37.500Z,2026-11-22T15:47:40.000Z,5,string,1,1
batch,1,2026-11-22T15:47:37.500Z,2026-11-22T15:47:40.000Z,"a	b, ""c""",string,1,1
batch,1,2026-11-22T15:47:37.500Z,2026-11-22T15:47:40.000Z,größe,string,1,1
batch,3,2026-11-22T15:47:45.000Z,2026-11-22T15:47:46.500Z,PLACED,string,2,4
batch,3,2026-11-22T15:47:45.000Z,2026-11-22T15:47:46.500Z,SHIPPED,string,1,1
totals,,,2026-11-22T15:47:46.500Z,PLACED,string,,4
totals,,,2026-11-22T15:47:46.500Z,null,null,,1
totals,,,2026-11-22T15:47:46.500Z,true,boolean,,1
totals,,,2026-11-22T15:47:46.500Z,5,number,,1
totals,,,2026-11-22T15:47:46.500Z,5,string,,1
totals,,,2026-11-22T15:47:46.500Z,SHIPPED,string,,1
totals,,,2026-11-22T15:47:46.500Z,"a	b, ""c""",string,,1
totals,,,2026-11-22T15:47:46.500Z,größe,string,,1
"#,
    );
}
