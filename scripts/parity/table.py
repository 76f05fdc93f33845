"""The table of known differences (`differences.toml`) and the page made of it."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE, PAGE, COUNTS = HERE / "differences.toml", HERE / "DIFFERENCES.md", HERE / "counts.toml"
ALLOWED = {"id", "api", "case", "field", "kafka", "corelane", "reason", "tool"}


class Entry:
    def __init__(self, spec):
        unknown = set(spec) - ALLOWED
        if unknown or not {"id", "reason"} <= set(spec):
            raise SystemExit(f"differences.toml: {spec.get('id')}: id and reason are needed, {unknown or 'nothing'} unknown")
        self.id, self.reason = spec["id"], " ".join(spec["reason"].split())
        self.tool = _list(spec["tool"]) if "tool" in spec else []
        self.apis = _list(spec.get("api", [] if self.tool else "*"))
        self.cases = _list(spec.get("case", "*"))
        self.fields = _list(spec.get("field", "*"))
        self.kafka, self.corelane = _list(spec.get("kafka", "*")), _list(spec.get("corelane", "*"))
        self.used = 0

    def covers(self, api, case, difference):
        return not self.tool and (
            _any(api, self.apis) and _any(case, self.cases) and _any(difference.path, self.fields)
            and _any(difference.kafka, self.kafka) and _any(difference.corelane, self.corelane)
        )


    def covers_lines(self, kafka, corelane):
        """Whether all lines of a tool's output that only one broker has are these."""
        return all(_any(line, self.kafka) for line in kafka) and all(_any(line, self.corelane) for line in corelane)


def fits(text, patterns):
    return _any(text, patterns)


def _list(value):
    return value if isinstance(value, list) else [value]


def _any(text, patterns):
    return any(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in patterns)


def load():
    entries = [Entry(spec) for spec in tomllib.loads(TABLE.read_text())["difference"]]
    ids = [entry.id for entry in entries]
    doubled = {one for one in ids if ids.count(one) > 1}
    if doubled:
        raise SystemExit(f"differences.toml: twice: {doubled}")
    return entries


def judge(entries, exchange):
    """Marks each difference that an entry covers; whether all are."""
    for difference in exchange.differences:
        for entry in entries:
            if entry.covers(exchange.api.name, exchange.case, difference):
                difference.documented = entry.id
                entry.used += 1
                break
    return all(d.documented for d in exchange.differences)


def page(entries):
    counts = tomllib.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    lines = [
        "# Differences to Apache Kafka", "",
        "Made by `scripts/parity docs` from `differences.toml` and the counts of the last full run; do not edit.",
        "`scripts/parity` sends the same requests to a real Apache Kafka and to Corelane and compares the decoded",
        "answers field by field; identifiers, times and addresses are left out of the comparison.", "",
    ]
    if counts:
        lines += ["| | same | documented difference | open |", "| --- | --- | --- | --- |"]
        for name, row in counts["counts"].items():
            lines.append(f"| {name} | {row['same']} | {row['documented']} | {row['open']} |")
        lines += ["", f"Beside Apache Kafka {counts['kafka']}, on {counts['date']}.", ""]
    lines += ["| difference | where | Kafka | Corelane | why |", "| --- | --- | --- | --- | --- |"]
    for e in entries:
        where = ", ".join(f"`kafka-{tool}`" for tool in e.tool) if e.tool else ", ".join(e.apis) + ": " + ", ".join(f"`{f}`" for f in e.fields)
        where = where.replace("*: `*`", "everywhere").replace("*: ", "all APIs: ")
        cells = [e.id, where, ", ".join(e.kafka), ", ".join(e.corelane), e.reason]
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(text):
    return "any" if text == "*" else text.replace("|", "\\|")


def write_docs(check):
    wanted = page(load())
    if check:
        if not PAGE.exists() or PAGE.read_text() != wanted:
            raise SystemExit("DIFFERENCES.md is not what differences.toml says: run scripts/parity docs")
    else:
        PAGE.write_text(wanted)


def record(what, counts, kafka, date):
    """Keeps a full run's counts, beside those of the other runs."""
    kept = tomllib.loads(COUNTS.read_text())["counts"] if COUNTS.exists() else {}
    kept[what] = counts
    lines = ["# Counts of the last full runs, written by scripts/parity --record.", f'kafka = "{kafka}"', f'date = "{date}"']
    for name, row in kept.items():
        lines += ["", f"[counts.{name}]", *(f"{key} = {value}" for key, value in row.items())]
    COUNTS.write_text("\n".join(lines) + "\n")
    write_docs(False)
