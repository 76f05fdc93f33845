"""One run: starts both brokers, goes through the cases, counts and tells."""

import datetime
import json
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import brokers
import compare
import generate
import records
import scenarios
import schema
import table
import tools as shell_tools
from session import Session, Side, TopicId


class Report:
    """Judges every exchange as it comes."""

    def __init__(self, entries, sides, json_file):
        self.entries, self.sides = entries, sides
        self.json = open(json_file, "w") if json_file else None
        self.counts = Counter()
        self.open = []
        # Requests that both left without an answer: too little to call them the same, if there are many.
        self.silent = 0
        self.exchanges = []

    def __call__(self, exchange):
        exchange.differences = compare.differences(exchange, self.sides)
        verdict = table.judge(self.entries, exchange)
        self.counts[verdict] += 1
        self.exchanges.append(exchange)
        self.silent += exchange.kafka.outcome == exchange.corelane.outcome == "silent"
        if verdict == "open":
            self.open.append(exchange)
        if self.json:
            differing = [{"path": d.path, "kafka": d.kafka, "corelane": d.corelane, "documented": d.documented}
                         for d in exchange.differences]
            line = {"case": exchange.case, "api": exchange.api.name, "version": exchange.version,
                    "verdict": verdict, "kafka_fails": exchange.kafka_fails, "seconds": round(exchange.seconds, 3), "differences": differing}
            self.json.write(json.dumps(line) + "\n")

    def stopped(self, case, error):
        """A scenario that could not go on."""
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(f"\n{case}: stopped at {Path(where.filename).name}:{where.lineno}: {error!r}", file=sys.stderr)
        self.counts["open"] += 1


def tools(args):
    """Kafka's shell tools against both."""
    classes = brokers.class_path(args.kafka)
    entries = table.load()
    running, runner = [], None
    try:
        running.append(brokers.start_kafka(classes))
        running.append(brokers.start_corelane(Path(args.binary).resolve()))
        runner = shell_tools.Runner(classes)
        for broker in running:
            broker.await_ready()
        counts = shell_tools.compare(runner, running, args.only, entries, args.show)
    finally:
        for one in [runner, *running]:
            if one:
                one.stop()
    stale = 0 if args.only else table.tell_stale(entries, tools=True)
    print(told(counts))
    if args.record and not args.only:
        table.record("tools", counts, entries, args.kafka, datetime.date.today())
    return 1 if counts["open"] or stale else 0


def told(counts):
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def requests(args):
    classes = brokers.class_path(args.kafka)
    apis = schema.load(brokers.clients_jar(classes))
    running = []
    try:
        running.append(brokers.start_kafka(classes))
        running.append(brokers.start_corelane(Path(args.binary).resolve()))
        for broker in running:
            broker.await_ready()
        return compare_requests(args, apis, [Side(broker, apis) for broker in running])
    finally:
        for broker in running:
            broker.stop()


def compare_requests(args, apis, sides):
    entries = table.load()
    report = Report(entries, sides, args.json)
    session = Session(*sides, report)
    fixtures(session)
    cases = [*scenarios.all(), *generate.Generator(apis, served(sides[1]), args.seed).all(), *scenarios.last()]
    if args.list:
        print("\n".join(f"{n:5} {case.name}" for n, case in enumerate(cases)))
        return 0
    chosen = [case for n, case in enumerate(cases) if wanted(args, n, case, apis)]
    started = time.monotonic()
    go_through(session, report, chosen)
    print(f"\n{sum(report.counts.values())} requests compared in {time.monotonic() - started:.0f} s, seed {args.seed}")
    if args.case:
        for exchange in report.exchanges:
            show(exchange, sides)
    else:
        for exchange in report.open[:args.show]:
            print(f"OPEN {exchange.case}")
            for difference in exchange.differences:
                if not difference.documented:
                    print(f"     {difference}"[:400])
    counts, stale = {name: report.counts[name] for name in table.VERDICTS}, 0
    if not (args.only or args.case):
        # Other seeds draw other cases of older versions.
        stale = table.tell_stale(entries, tools=False) if args.seed == 1 else 0
        if args.record:
            table.record("requests", counts, entries, args.kafka, datetime.date.today())
    print(told(counts))
    asked_again = ", ".join(f"{side.name} {session.asked_again[side.name]}" for side in sides)
    print(f"asked again, for an error that passes: {asked_again}; answered by neither: {report.silent}")
    return 1 if counts["open"] or stale else 0


def served(side):
    """What Corelane says that it serves: key to lowest and highest version."""
    body = side.ask("ApiVersions", 3, {"ClientSoftwareName": "parity", "ClientSoftwareVersion": "1"})
    return {row["ApiKey"]: (row["MinVersion"], row["MaxVersion"]) for row in body["ApiKeys"]}


def fixtures(session):
    """What the cases find: topics with and without records, a group with offsets."""
    session.topics(["alpha", "beta"], 3)
    session.topics(["empty"])
    session.topics(["compacted"], configs=[("cleanup.policy", "compact")])
    session.warm_up()
    for topic in ("alpha", "beta", "compacted"):
        for at in range(3):
            batch = records.batch([b"%d-%d" % (at, i) for i in range(4)], key=b"k", time=records.TIME + at * 1000)
            data = [{"Name": topic, "PartitionData": [{"Index": 0, "Records": batch}]}]
            session.ask("Produce", 9, quiet=True, Acks=-1, TimeoutMs=5000, TopicData=data)
    partitions = [{"PartitionIndex": 0, "CommittedOffset": 7, "CommittedMetadata": "seven"},
                  {"PartitionIndex": 1, "CommittedOffset": 0, "CommittedMetadata": None}]
    topics = [{"Name": "alpha", "TopicId": TopicId("alpha"), "Partitions": partitions}]
    session.ask("OffsetCommit", 8, quiet=True, patient=True, GroupId="grp", Topics=topics)


def wanted(args, n, case, apis):
    if args.case:
        return args.case in (str(n), case.name)
    if args.only:
        keys = {str(apis[case.api].key)} if case.api in apis else set()
        return args.only == case.api or args.only in keys or case.name.startswith(args.only)
    return True


def go_through(session, report, cases):
    at, told = 0, 0.0
    while at < len(cases):
        part = [c for c in cases[at:at + 100]]
        topics = [name for case in part for name in case.topics]
        if topics:
            session.topics(topics)
        for case in part:
            session.begin(case.name)
            try:
                case.run(session)
            except (TypeError, KeyError, IndexError, OSError) as error:
                report.stopped(case.name, error)
            if time.monotonic() - told > 1:
                told = time.monotonic()
                c = report.counts
                print(f"\r{at + 1}/{len(cases)} cases, same {c['same']}, open {c['open']}"
                      f" {case.name[:50]:50}", end="", file=sys.stderr)
            at += 1
        session.begin("")
        if topics:
            session.delete_topics(topics)


def show(exchange, sides):
    print(f"\n{exchange.case}\nrequest {exchange.api.name} {exchange.version}: {exchange.body}")
    for side, answer in zip(sides, (exchange.kafka, exchange.corelane)):
        print(f"{side.name:9} {answer.outcome}, header {answer.header_version}: {answer.body}")
    for difference in exchange.differences:
        print(f"  {difference.documented or 'OPEN'}: {difference}")
