"""The table of known differences (`differences.toml`) and the page made of it."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE, PAGE, COUNTS = HERE / "differences.toml", HERE / "DIFFERENCES.md", HERE / "counts.toml"
ALLOWED = {"id", "class", "api", "case", "field", "kafka", "corelane", "reason", "tool", "sometimes"}
PATTERNS = ("api", "case", "field", "kafka", "corelane", "tool")
# What kind of difference it is; a case with several counts as the last one of these.
CLASSES = {
    "wording": "only the words of a message, or whether there is one, beside the same code",
    "kafka fails": "Kafka has an internal error (`UNKNOWN_SERVER_ERROR`), closes the connection or never answers",
    "not served": "an API, a version or a feature that Corelane does not have, or Kafka does not",
    "other": "all others",
}
# The fields that only people read.
WORDS = ("*ErrorMessage", "*Documentation")
VERDICTS = ("same", *CLASSES, "open")


class Entry:
    def __init__(self, spec):
        unknown = set(spec) - ALLOWED
        if unknown or not {"id", "reason", "class"} <= set(spec):
            raise SystemExit(f"differences.toml: {spec.get('id')}: id, class and reason are needed, {unknown or 'nothing'} unknown")
        self.id, self.reason, self.kind = spec["id"], " ".join(spec["reason"].split()), spec["class"]
        if self.kind not in CLASSES:
            raise SystemExit(f"differences.toml: {self.id}: there is no class {self.kind}")
        # Whether it depends on the moment: then a run may do without it.
        self.sometimes = spec.get("sometimes", False)
        self.patterns = {name: _list(spec.get(name, "*")) for name in PATTERNS}
        self.tool = self.patterns["tool"] if "tool" in spec else []
        if self.tool:
            self.patterns["api"] = spec.get("api", [])
        elif self.kind == "wording" and not all(fits(one, WORDS) for one in self.patterns["field"]):
            raise SystemExit(f"differences.toml: {self.id}: words are in {WORDS} alone")
        self.cases = set()
        self.hit = set()

    def covers(self, exchange, difference):
        """Whether a difference is one of these. Notes it, and the patterns that it took."""
        if self.tool or self.kind == "kafka fails" and not exchange.kafka_fails:
            return False
        return self._matches(exchange.case, {
            "api": [exchange.api.name], "case": [exchange.case], "field": [difference.path],
            "kafka": [difference.kafka], "corelane": [difference.corelane],
        })

    def covers_lines(self, name, kafka, corelane):
        """Whether all lines of a tool's output that only one broker has are these."""
        return bool(self.tool) and self._matches(name, {"tool": [name], "kafka": kafka, "corelane": corelane})

    def _matches(self, case, texts):
        hit = set()
        for name, lines in texts.items():
            for line in lines:
                fitting = {(name, pattern) for pattern in self.patterns[name] if fits(line, [pattern])}
                if not fitting:
                    return False
                hit |= fitting
        self.hit |= hit
        self.cases.add(case)
        return True

    def stale(self):
        """The patterns that nothing needed any more."""
        if self.sometimes:
            return []
        if not self.cases:
            return ["all of it"]
        used = {name for name, _ in self.hit}
        return [f"{name} = {one!r}" for name in used for one in self.patterns[name] if (name, one) not in self.hit]


def fits(text, patterns):
    return any(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in patterns)


def _list(value):
    return value if isinstance(value, list) else [value]


def load():
    entries = [Entry(spec) for spec in tomllib.loads(TABLE.read_text())["difference"]]
    ids = [entry.id for entry in entries]
    doubled = {one for one in ids if ids.count(one) > 1}
    if doubled:
        raise SystemExit(f"differences.toml: twice: {doubled}")
    return entries


def judge(entries, exchange):
    """Marks each difference with the first entry that covers it: the class of all of them, or `open`."""
    kinds = []
    for difference in exchange.differences:
        entry = next((e for e in entries if e.covers(exchange, difference)), None)
        if entry is None:
            kinds.append("open")
        else:
            difference.documented = entry.id
            kinds.append(entry.kind)
    return max(kinds, key=VERDICTS.index, default="same")


def tell_stale(entries, tools):
    """Prints what of the entries is not needed any more: how many there are."""
    found = [(e.id, one) for e in entries if bool(e.tool) == tools for one in e.stale()]
    for name, one in found:
        print(f"STALE {name}: {one}")
    return len(found)


def page(entries):
    counts = tomllib.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    lines = [
        "# Differences to Apache Kafka", "",
        "Made by `scripts/parity docs` from `differences.toml` and the counts of the last full run; do not edit.",
        "`scripts/parity` sends the same requests to a real Apache Kafka and to Corelane and compares the decoded",
        "answers field by field; identifiers, times and addresses are left out of the comparison. A run fails where a",
        "difference is in no entry, and where an entry, or a pattern of one, fits nothing any more.", "",
    ]
    cases = counts.get("cases", {})
    if counts:
        rows = counts["counts"]
        lines += ["| | " + " | ".join(rows) + " |", "| --- |" + " --- |" * len(rows)]
        for name in VERDICTS:
            lines.append(f"| {name} | " + " | ".join(str(row.get(name, 0)) for row in rows.values()) + " |")
        lines += ["", f"Beside Apache Kafka {counts['kafka']}, on {counts['date']}. A case counts once, as the last of"]
        lines += ["these that it has: " + "; ".join(f"*{name}*: {what}" for name, what in CLASSES.items()) + ".", ""]
    lines += ["| difference | class | cases | where | Kafka | Corelane | why |", "| --- |" + " --- |" * 6]
    for e in entries:
        if e.tool:
            where = ", ".join(f"`kafka-{tool}`" for tool in e.tool)
        else:
            where = ", ".join(e.patterns["api"]) + ": " + ", ".join(f"`{f}`" for f in e.patterns["field"])
        where = where.replace("*: `*`", "everywhere").replace("*: ", "all APIs: ")
        cells = [e.id, e.kind, str(cases.get(e.id, "")), where, *(", ".join(e.patterns[side]) for side in ("kafka", "corelane")), e.reason]
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


def record(what, counts, entries, kafka, date):
    """Keeps a full run's counts, and how many cases each entry covers, beside those of the other runs."""
    old = tomllib.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    kept = old.get("counts", {}) | {what: counts}
    mine = {e.id: len(e.cases) for e in entries if bool(e.tool) == (what == "tools")}
    known = {e.id for e in entries}
    cases = {name: count for name, count in (old.get("cases", {}) | mine).items() if name in known}
    lines = ["# Counts of the last full runs, written by scripts/parity --record.", f'kafka = "{kafka}"', f'date = "{date}"']
    for name, row in kept.items():
        lines += ["", f"[counts.{name}]", *(f'"{key}" = {value}' for key, value in row.items())]
    lines += ["", "# Cases that have a difference of each entry.", "[cases]"]
    lines += [f'"{name}" = {count}' for name, count in sorted(cases.items())]
    COUNTS.write_text("\n".join(lines) + "\n")
    write_docs(False)
