"""/metrics through the parser of Prometheus's own Python client, while keys come and go: metrics.py BINARY"""

import json
import re
import subprocess
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

HOSTILE = ['a"b', "back\\slash", "new\nline", "<img>", "", "ü\u202e", "_other", 1, 1.5, True, None]


def families(url):
    with urllib.request.urlopen(url + "metrics", timeout=10) as answer:
        kind = answer.headers["content-type"]
        assert kind.startswith("application/openmetrics-text"), kind
        text = answer.read().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(family):
    return {tuple(sorted(sample.labels.items())): sample.value for sample in family.samples}


def wait_for_lines(url, lines):
    for _ in range(2000):
        with urllib.request.urlopen(url + "api/v1/totals", timeout=10) as answer:
            if json.load(answer)["ledger"]["lines"] == lines:
                return
    sys.exit(f"{lines} lines are not counted")


def main(binary):
    flags = "count - --by k --every 50ms --http 0 --metrics-keys 8 --output none"
    command = [binary, *flags.split()]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = None
        while url is None:
            found = re.match(r"dashboard at (\S+)", program.stderr.readline())
            url = found and found[1]
        sent, before = 0, {}
        for round_ in range(12):
            keys = HOSTILE + [f"key {round_} {n}" for n in range(20)]
            for n, key in enumerate(keys):
                program.stdin.write((json.dumps({"k": key}) + "\n") * (n + round_ + 1))
                sent += n + round_ + 1
            program.stdin.flush()
            wait_for_lines(url, sent)
            found = families(url)
            records = values(found["tallyline_records"])
            assert sum(records.values()) == sent, (records, sent)
            assert len(records) == 9, records
            for name, family in found.items():
                assert family.documentation, name
                if family.type == "counter":
                    for labels, value in values(family).items():
                        key = (name, labels)
                        assert value >= before.get(key, 0), f"{key} fell"
                        before[key] = value
        assert found["tallyline_paused_seconds"].unit == "seconds"
        print(f"{len(found)} families, {sent} records: 1 passed, 0 failed")
    finally:
        program.kill()
        program.wait()


main(sys.argv[1])
