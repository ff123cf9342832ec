"""Tests of bench-peers: its pure parts, the process that times others, and a whole run against stand-ins.

Needs neither a build nor the network, and takes a few seconds: `python3 tools/bench-peers/bench-peers --self-test`.
"""

import importlib.machinery
import importlib.util
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.dont_write_bytecode = True  # Or the import would leave a folder in the source tree.
SCRIPT = Path(__file__).resolve().with_name("bench-peers")
loader = importlib.machinery.SourceFileLoader("bench_peers", str(SCRIPT))
bench = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_peers", loader))
sys.modules["bench_peers"] = bench
loader.exec_module(bench)

# Stand-ins for the two programs: the same commands and answers, a fixed stream of three records in turn.
LOADGEN = """\
import json, sys
flags = dict(zip(sys.argv[3::2], sys.argv[4::2]))
count, totals = int(flags['--count']), {}
with open(sys.argv[2], 'w') as out:
    for number in range(count):
        key = 'ABC'[number % 3]
        totals[key] = totals.get(key, 0) + 1
        out.write(json.dumps({'order_id': number, 'status': key}) + '\\n')
ledger = {'lines': count, 'counted': count}
rows = [{'key': key, 'total': total} for key, total in totals.items()]
json.dump({'ledger': ledger, 'counts': rows}, open(flags['--expect'], 'w'))
"""
TALLYLINE = """\
import collections, json, sys
if sys.argv[1] == '--version':
    print('tallyline 9.9')
    sys.exit()
totals = collections.Counter(json.loads(line)['status'] for line in open(sys.argv[2]))
totals['A'] += WRONG
rows = [{'key': key, 'total': total} for key, total in totals.items()]
lines = sum(totals.values())
print(json.dumps({'type': 'totals', 'ledger': {'lines': lines, 'counted': lines}, 'counts': rows}))
"""


def result(name, seconds, scaled=1, **more):
    """A result with one run for each of the seconds."""
    runs = [bench.Run(value, 50_000_000, value) for value in seconds]
    return bench.Result(name, name, 1_000_000, 71_000_000, scaled, runs, **more)


REPORT = {
    "date": "2026-01-02", "commit": "abc1234", "dirty": False, "machine": bench.machine(), "rustc": "rustc 1",
    "rounds": 3, "scale": 1, "load": "0.0", "rss_floor": 10_000_000, "command": "bench-peers",
}


class Folder(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()

    def file(self, text):
        path = self.folder / "answer"
        path.write_text(text)
        return path


class Specs(Folder):
    def test_scale_shrinks_records_and_the_keys_of_keys_alone(self):
        self.assertEqual(bench.DATASETS["orders"].spec(0.02)[0], 200_000)
        self.assertIn("20000", bench.DATASETS["keys"].spec(0.02)[1])
        self.assertEqual(bench.DATASETS["wide"].spec(1, 10)[1][:2], ["--count", "100000"])

    def test_no_scale_asks_for_no_records(self):
        self.assertEqual(bench.DATASETS["wide"].spec(1e-9, 10)[0], 1)

    def test_data_is_current_only_with_its_spec_and_its_size(self):
        data, meta = self.folder / "d", self.folder / "m"
        data.write_text("12345")
        self.assertFalse(bench.is_current(meta, data, ["a"]))
        meta.write_text(json.dumps({"spec": ["a"], "bytes": 5}))
        self.assertTrue(bench.is_current(meta, data, ["a"]))
        self.assertFalse(bench.is_current(meta, data, ["b"]))
        data.write_text("1234")
        self.assertFalse(bench.is_current(meta, data, ["a"]))
        meta.write_text("torn")
        self.assertFalse(bench.is_current(meta, data, ["a"]))

    def test_small_data_is_read_whole_by_slow_peers(self):
        self.assertEqual([bench.slow_share(99_999), bench.slow_share(100_000)], [1, 10])


class Answers(Folder):
    def test_each_reader_reads_its_format(self):
        wanted = {"A": 2, "B": 1}
        clean = {"type": "totals", "ledger": {"lines": 3, "counted": 3},
                 "counts": [{"key": "A", "total": 2}, {"key": "B", "total": 1}]}
        cases = [
            (bench.read_tallyline, '{"type":"batch"}\n' + json.dumps(clean) + "\n"),
            (bench.read_csv, '"A",2\nB,1\n'),
            (bench.read_json_object, '{"A": 2,\n "B": 1}'),
            (bench.read_mlr, '{"status": "A", "count": 2}\n{"status": "B", "count": 1}\n'),
            (bench.read_agrind, 'wait\n[{"status":"A","_count":2},{"status":"B","_count":1}]\n'),
            (bench.read_agrind, "status   _count\n-----------\nA   2\nB   1\n"),
        ]
        for read, text in cases:
            self.assertEqual(read(self.file(text)), wanted, read.__name__)
        self.assertEqual(bench.read_wc(self.file("  3 file\n")), {"": 3})

    def test_a_ledger_with_uncounted_lines_is_refused(self):
        with self.assertRaises(ValueError):
            bench.read_tallyline(self.file('{"type":"totals","ledger":{"lines":3,"counted":2},"counts":[]}'))

    def test_difference_names_the_key(self):
        self.assertIsNone(bench.difference({"A": 1}, {"A": 1}))
        self.assertIn("'A': expected 1, got 2", bench.difference({"A": 1}, {"A": 2}))
        self.assertIn("'B': expected none, got 2", bench.difference({"A": 1}, {"A": 1, "B": 2}))
        self.assertIn("'A': expected 1, got none", bench.difference({"A": 1}, {}))

    def test_an_answer_of_another_shape_is_wrong_and_not_a_crash(self):
        data = bench.Data("d", Path("d"), 1, 1, {"counts": []})
        for peer in bench.PEERS:
            for text in ("", "[1]", "null", "1\n2\n3\n", '{"data": 7}', '{"type": "batch"}\n'):
                if peer.lines_only and text:
                    continue
                noted = result(peer.name, [])
                bench.check_answer(self.file(text), peer, data, noted)
                self.assertTrue(noted.wrong or not noted.trouble, (peer.name, text))

    def test_reports_of_engines_and_senders(self):
        self.assertEqual(bench.read_report("warning\nbench-peers 0.5 2.0 (X 1)\n"), (0.5, "2.0 (X 1)"))
        self.assertEqual(bench.read_report("nothing"), (None, None))
        self.assertEqual(bench.sent_rate("sent 10 records, 70 bytes in 0.1 s: 100 records/s, 0.1 GB/s"), 100)
        with self.assertRaises(bench.Failed):
            bench.sent_rate("")


class Commands(unittest.TestCase):
    def test_every_command_names_the_data_and_every_program_compiles(self):
        for peer in bench.PEERS:
            words = bench.argv(peer, "/bin/x", "data.jsonl")
            self.assertIn("data.jsonl", " ".join(words), peer.name)
            self.assertNotIn("FILE", " ".join(words), peer.name)
            self.assertNotIn("/bin/x", bench.shown_command(peer))
        for name, program in bench.PROGRAMS.items():
            compile(program, name, "exec")
        compile(bench.RUNNER, "runner", "exec")

    def test_names_are_checked_and_tallyline_stays(self):
        args = bench.parse(["--only", "wc,jq", "--skip", "jq"])
        self.assertEqual(bench.chosen(args), ["tallyline", "wc"])
        with self.assertRaisesRegex(bench.Trouble, "invalid value 'nobody' for '--skip'"):
            bench.chosen(bench.parse(["--skip", "nobody"]))


class Report(unittest.TestCase):
    def setUp(self):
        self.results = [
            result("tallyline", [0.2, 0.1, 0.4]), result("slow|one", [1.0], scaled=10),
            result("liar", [0.3], trouble="key 'A'", wrong=True), result("absentee", [], trouble="exit status 1"),
        ]
        self.parts = [bench.Part("orders", "orders: <some> & more", self.results)]

    def test_rows_hold_medians_ratios_and_marks(self):
        rows = {name.title: bench.row(name, 0.2, 10_000_000) for name in self.results}
        self.assertEqual(rows["tallyline"][1:5], ["0.200 s", "0.100–0.400", "1.00", "5 M"])
        self.assertEqual(rows["slow|one"][:4], ["slow|one ¹", "≈ 10.0 s", "one run", "50.0"])
        self.assertIn("**wrong**", rows["liar"][-1])
        self.assertEqual(rows["absentee"][1], "–")
        self.assertEqual(bench.row(result("x", [1]), None, 60_000_000)[3:8:4], ["–", "≤ 60 MB"])

    def test_markdown_has_a_whole_table(self):
        text = bench.markdown(REPORT, self.parts, [], {"jq": "not installed"}, str)
        lines = [line for line in text.split("\n") if line.startswith("|")]
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in lines[:6]}
        self.assertEqual(widths, {len(bench.HEAD) + 1})
        self.assertIn("- jq: not installed", text)
        self.assertNotIn("not for publication", text)

    def test_chart_is_well_formed_and_starts_with_the_fastest(self):
        root = ElementTree.fromstring(bench.chart(REPORT, self.parts))
        bars = [item for item in root if item.get("class") in ("ours", "peer")]
        self.assertEqual([item.get("class") for item in bars], ["ours", "peer", "peer"])
        self.assertEqual(float(bars[0].get("width")), bench.BAR)

    def test_quantities(self):
        wanted = ["999", "1 k", "81.2 M", "4.5 G", "0.0838"]
        self.assertEqual([bench.quantity(n) for n in (999, 1000, 81_234_567, 4.5e9, 0.0838)], wanted)


class Timing(Folder):
    def test_a_process_is_timed_and_a_failure_says_why(self):
        with bench.Runner(self.folder, 20) as runner:
            run = runner.run([sys.executable, "-c", "import time; time.sleep(0.2); print('out')"])
            self.assertEqual(runner.out.read_text(), "out\n")
            self.assertTrue(0.2 <= run.seconds < 15 and run.rss > 1_000_000, run)
            with self.assertRaisesRegex(bench.Failed, "exit status 3: sorry"):
                runner.run([sys.executable, "-c", "import sys; print('sorry', file=sys.stderr); sys.exit(3)"])
            with self.assertRaisesRegex(bench.Failed, "No such file"):
                runner.run([self.folder / "nothing"])

    def test_memory_of_this_script_is_not_put_down_to_a_small_process(self):
        ballast = bytearray(os.urandom(1)) * 200_000_000
        with bench.Runner(self.folder, 20) as runner:
            self.assertLess(runner.floor(), 100_000_000)
        self.assertEqual(len(ballast), 200_000_000)

    def test_a_process_that_hangs_is_given_up_and_the_next_one_runs(self):
        with bench.Runner(self.folder, 1) as runner:
            with self.assertRaisesRegex(bench.Failed, "no answer after 1 s"):
                runner.run([sys.executable, "-c", "import time; time.sleep(60)"])
            runner.run([sys.executable, "-c", ""])

    def test_leaving_kills_what_runs(self):
        with bench.Runner(self.folder, 60) as runner:
            program = "import os, time; open('pid', 'w').write(str(os.getpid()) + '.'); time.sleep(60)"
            runner.send(([sys.executable, "-c", program], str(runner.out), str(runner.err), 60))
            child = wait_for_pid(self.folder / "pid")
        self.assertTrue(ends(child))


def wait_for_pid(path):
    """The process id in a file that a process is about to write, ended by a full stop."""
    for _ in range(1000):
        text = path.read_text() if path.exists() else ""
        if text.endswith("."):
            return int(text[:-1])
        time.sleep(0.01)
    raise AssertionError(f"no process wrote {path.name}")


def ends(process):
    """Whether a process is gone, or soon will be."""
    for _ in range(500):
        try:
            os.kill(process, 0)
            stat_line = Path(f"/proc/{process}/stat")
            if stat_line.exists() and stat_line.read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True  # Killed; whoever inherits it has not looked yet.
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


class WholeRun(Folder):
    """The script itself, with stand-ins for loadgen and tallyline."""

    def start(self, *flags, wrong=0, tallyline=TALLYLINE):
        release = self.folder / "target" / "release"
        release.mkdir(parents=True, exist_ok=True)
        for name, text in (("loadgen", LOADGEN), ("tallyline", tallyline.replace("WRONG", str(wrong)))):
            path = release / name
            path.write_text(f"#!{sys.executable}\n{text}")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        fixed = ["--no-build", "--dir", self.folder / "cache", "--out", self.folder / "out", "--data", "orders"]
        env = {**os.environ, "CARGO_TARGET_DIR": str(self.folder / "target")}
        return subprocess.Popen(
            [sys.executable, "-B", SCRIPT, *fixed, *flags], env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def run_script(self, *flags, wrong=0):
        process = self.start(*flags, wrong=wrong)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def test_report_agrees_and_data_is_reused(self):
        flags = ["--records-scale", "0.001", "--rounds", "2", "--only", "tallyline,tallyline-1,wc,python"]
        status, out, err = self.run_script(*flags)
        self.assertEqual(status, 0, err)
        self.assertIn("writing orders-10000.jsonl", err)
        text = (self.folder / "out" / "results.md").read_text()
        self.assertEqual(text.count("agrees"), 4 - ("no wc on PATH" in err), text)
        self.assertIn("tallyline 9.9", text)
        for path in (self.folder / "out").iterdir():
            self.assertNotIn(str(self.folder), path.read_text(), path.name)
        ElementTree.parse(self.folder / "out" / "chart.svg")
        raw = json.loads((self.folder / "out" / "results.json").read_text())
        self.assertEqual(len(raw["parts"][0]["results"][0]["runs"]), 2)
        self.assertNotIn("writing", self.run_script(*flags)[2])

    def test_slow_peers_read_a_tenth(self):
        status, out, err = self.run_script("--records-scale", "0.02", "--rounds", "1", "--only", "python")
        self.assertEqual(status, 0, err)
        self.assertIn("writing orders-20000.jsonl", err)
        self.assertIn("Python json.loads ¹", out)

    def test_a_wrong_tallyline_is_marked_and_fails_the_run(self):
        status, out, err = self.run_script("--records-scale", "0.001", "--rounds", "1", "--only", "tallyline", wrong=5)
        self.assertEqual(status, 1, err)
        self.assertIn("**wrong**: key 'A': expected 3334, got 3339", out)

    def test_an_end_from_outside_leaves_nothing_running(self):
        hang = "import os, sys, time\nif sys.argv[1] == '--version': sys.exit()\n"
        hang += f"open({str(self.folder / 'pid')!r}, 'w').write(str(os.getpid()) + '.')\ntime.sleep(60)\n"
        for number in (signal.SIGINT, signal.SIGTERM):
            (self.folder / "pid").unlink(missing_ok=True)
            process = self.start("--records-scale", "0.001", "--only", "tallyline", tallyline=hang)
            child = wait_for_pid(self.folder / "pid")
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130, err)
            self.assertTrue(ends(child))
            self.assertNotIn("Traceback", err)

    def test_usage_is_explained_in_one_line(self):
        for flags, wanted in (
            (["--rounds", "0"], "'--rounds'"), (["--records-scale", "0"], "'--records-scale'"),
            (["--only", "x"], "'--only'"), (["--data", "x"], "'--data'"), (["--install", "x"], "'--install'"),
            (["--dir", str(bench.ROOT / "data")], "'--dir'"),
        ):
            status, _, err = self.run_script(*flags)
            self.assertEqual(status, 2, err)
            self.assertIn(wanted, err)
            self.assertEqual(err.count("\n"), 1, err)


if __name__ == "__main__":
    unittest.main()
