//! What each format prints for one recorded stream: the same bytes every time, whatever the threads.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tallyline::clock::{Timestamp, VirtualClock};
use tallyline::pipeline::{Pipeline, Settings};
use tallyline::sink::{OutputFormat, SinkOptions};
use tallyline::source::{Script, ScriptEvent};

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

fn output(format: OutputFormat, top: Option<usize>, parsers: usize) -> String {
    let written = Written::default();
    let sink = format.sink(written.clone(), SinkOptions::default());
    let settings = Settings {
        parsers,
        top,
        line_bytes_max: 64,
        ..settings()
    };
    let clock = Arc::new(VirtualClock::new(START));
    let source = Box::new(Script::new(events()));
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
    for parsers in [1, 3, 1, 3] {
        let text = output(format, top, parsers);
        let expected = expected.strip_prefix('\n').unwrap();
        assert_eq!(text, expected, "{format:?} with {parsers} parsers:\n{text}");
    }
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
