//! What is drawn, as a person would see it: the screen's text, at several sizes.

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::*;
use crate::clock::Timestamp;
use crate::key::KeyRef;
use crate::ledger::Ledger;
use crate::view::picture::{EndLine, KeyNow, WindowNow};

fn row(name: &str, count: u64, before: u64, total: u64) -> KeyNow {
    KeyNow {
        key: Arc::new(KeyRef::string(name).to_key()),
        count,
        before: Some(before),
        total,
        trace: vec![1, before, count],
    }
}

fn picture() -> Picture {
    Picture {
        name: "tcp://shop:9998".to_owned(),
        by: "status".to_owned(),
        every_nanos: 5_000_000_000,
        now: Timestamp::from_millis(200_000),
        batch: 40,
        rates: vec![0, 50, 100],
        ledger: Ledger {
            lines: 1_000,
            counted: 995,
            malformed: 5,
            ..Ledger::default()
        },
        keys: 2,
        sources: vec![EndLine {
            name: "tcp://shop:9998".to_owned(),
            state: "connected".to_owned(),
            is_well: true,
        }],
        rows: vec![row("PLACED", 400, 300, 900), row("SHIPPED", 100, 150, 95)],
        ..Picture::default()
    }
}

/// What stands on a screen of this size.
fn drawn(
    picture: &Picture,
    look: &mut Look,
    messages: &[String],
    (columns, rows): (u16, u16),
) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let mut scene = Scene {
        picture,
        look,
        messages,
        bytes_per_second: 7_100,
        is_draining: false,
        color: true,
        zone: &TimeZone::UTC,
    };
    terminal.draw(|frame| draw(frame, &mut scene)).unwrap();
    terminal
}

/// The screen's lines, without the blanks at their ends.
fn lines(terminal: &Terminal<TestBackend>) -> Vec<String> {
    let buffer = terminal.backend().buffer();
    let columns = usize::from(buffer.area.width);
    let row = |cells: &[ratatui::buffer::Cell]| {
        let mut text = String::new();
        let mut covered = 0;
        for cell in cells {
            if covered > 0 {
                covered -= 1;
                continue;
            }
            covered = width(cell.symbol()).saturating_sub(1);
            text += cell.symbol();
        }
        text.trim_end().to_owned()
    };
    buffer.content.chunks(columns).map(row).collect()
}

#[test]
fn a_screen_has_the_head_the_table_and_the_keys() {
    let screen = lines(&drawn(&picture(), &mut Look::default(), &[], (100, 12)));
    assert_eq!(
        screen,
        [
            "tallyline  tcp://shop:9998 by status  every 5 s  up 3 min 20 s  batch 40",
            "100 records/s  7.1 kB/s   ▄█  keys 2",
            "lines 1,000  counted 995  malformed 5",
            "lag  –",
            "",
            "key                                           count   share  per second  change  total  last batches",
            "PLACED                                          400  80.0 %        80.0    +100    900  ▁▆█",
            "SHIPPED                                         100  20.0 %        20.0     -50     95  ▁█▅",
            "",
            "",
            "",
            "q drain and quit   s sort: count   / filter   p pause   ? help",
        ]
    );
}

#[test]
fn what_is_wrong_is_red() {
    let mut picture = picture();
    picture.sources[0].state = "reconnecting".to_owned();
    picture.sources[0].is_well = false;
    picture.sinks.push(EndLine {
        name: "exec:false".to_owned(),
        state: "takes nothing: it ended with status 1".to_owned(),
        is_well: false,
    });
    let terminal = drawn(&picture, &mut Look::default(), &[], (100, 20));
    let screen = lines(&terminal);
    let hue = |text: &str| {
        let (y, line) = screen
            .iter()
            .enumerate()
            .find(|(_, line)| line.contains(text))
            .unwrap();
        let x = width(&line[..line.find(text).unwrap()]);
        terminal.backend().buffer()[(x as u16, y as u16)].fg
    };
    assert_eq!(hue("malformed 5"), Color::Red);
    assert_eq!(hue("tcp://shop:9998: reconnecting"), Color::Red);
    assert_eq!(hue("exec:false: takes nothing"), Color::Red);
    assert_eq!(hue("counted 995"), Color::Reset);
}

#[test]
fn columns_go_before_the_key_does() {
    let heads = |columns| {
        let screen = lines(&drawn(&picture(), &mut Look::default(), &[], (columns, 12)));
        let head = screen
            .iter()
            .find(|line| line.starts_with("key"))
            .cloned()
            .unwrap();
        head.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(heads(60), "key count share per second change total");
    assert_eq!(heads(46), "key count share change total");
    assert_eq!(heads(30), "key count total");
    assert_eq!(heads(20), "key count");
}

#[test]
fn any_size_and_any_key_can_be_drawn() {
    let mut picture = picture();
    let hostile = [
        "\x1b[2J\x1b]0;title\x07",
        "日本語のとても長い名前ですからここで切られます",
        "e\u{301}\u{301}\u{301}\u{202e}abc",
        "<img onerror=x>",
        "",
        "\u{1f980}\u{200d}\u{1f980}",
    ];
    picture.rows.extend(
        hostile
            .iter()
            .map(|name| row(name, u64::MAX / 16, 0, u64::MAX / 16)),
    );
    picture.name = "file \x1b[31m\n.jsonl".to_owned();
    picture.windows = vec![WindowNow {
        spec: "1m".to_owned(),
        counts: hostile
            .iter()
            .map(|name| (Arc::new(KeyRef::string(name).to_key()), 7))
            .collect(),
        records: 42,
        trending: vec![(Arc::new(KeyRef::string("\x1b[5m").to_key()), 9, 1)],
        ..WindowNow::default()
    }];
    let messages = [" WARN \x1b[31mlost".to_owned()];
    for columns in [1, 2, 3, 7, 12, 40, 79, 80, 133, 400] {
        for rows in [1, 2, 3, 5, 9, 24, 100] {
            for (is_typing, has_help) in [(false, false), (true, false), (false, true)] {
                let mut look = Look {
                    is_typing,
                    has_help,
                    filter: if is_typing {
                        "日本".to_owned()
                    } else {
                        String::new()
                    },
                    ..Look::default()
                };
                let terminal = drawn(&picture, &mut look, &messages, (columns, rows));
                let all = lines(&terminal).join("");
                assert!(!all.contains(char::is_control), "{columns}x{rows}: {all:?}");
                assert!(!all.contains('\u{202e}'), "{columns}x{rows}: {all:?}");
            }
        }
    }
    let screen = lines(&drawn(&picture, &mut Look::default(), &messages, (400, 40)));
    assert!(
        screen
            .iter()
            .any(|line| line.starts_with(r"\x1b[2J\x1b]0;title\x07")),
        "{screen:?}"
    );
}

#[test]
fn windows_and_messages_have_panes_where_there_is_room() {
    let mut picture = picture();
    let key = |name| Arc::new(KeyRef::string(name).to_key());
    picture.windows = vec![WindowNow {
        spec: "1m/10s".to_owned(),
        span: (Timestamp::from_millis(0), Timestamp::from_millis(60_000)),
        is_open: true,
        counts: vec![(key("PLACED"), 30), (key("SHIPPED"), 10)],
        records: 40,
        trending: vec![(key("SHIPPED"), 10, 0)],
    }];
    let messages = [" WARN lost tcp://shop:9998".to_owned()];
    let mut look = Look::default();
    let screen = lines(&drawn(&picture, &mut look, &messages, (80, 20)));
    let at = screen
        .iter()
        .position(|line| line.starts_with("window"))
        .unwrap();
    assert_eq!(
        screen[at],
        "window 1m/10s  1970-01-01 00:00:00 – 00:01:00  so far"
    );
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words(&screen[at + 1]), "PLACED 30 75.0 % SHIPPED 10 ×2.00");
    assert_eq!(screen[18], "WARN lost tcp://shop:9998");
    look.window = 1;
    let screen = lines(&drawn(&picture, &mut look, &[], (80, 20)));
    assert!(!screen.iter().any(|line| line.starts_with("window")));
    let screen = lines(&drawn(&picture, &mut Look::default(), &messages, (80, 8)));
    assert!(
        screen.iter().any(|line| line.starts_with("PLACED")),
        "{screen:?}"
    );
}

#[test]
fn a_curve_is_as_high_as_its_highest() {
    assert_eq!(curve(&[]), "");
    assert_eq!(curve(&[0, 0]), "  ");
    assert_eq!(curve(&[0, 1, 7, 8, u64::MAX]), " ▁▁▁█");
    assert_eq!(curve(&[1; 99]).chars().count(), CURVE_WIDTH);
    assert_eq!(curve(&[3, 3]), "██");
}
