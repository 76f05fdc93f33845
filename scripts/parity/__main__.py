"""Asks a real Apache Kafka and Corelane the same, and compares the answers field by field.

    scripts/parity [--binary FILE] [--kafka VERSION] [--only API] [--case NAME|N] [--json FILE] [--record]
    scripts/parity tools [--only topics]   the same with Kafka's shell tools
    scripts/parity docs [--check]      the page of differences from the table
"""

import argparse
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import run  # noqa: E402
import table  # noqa: E402


def arguments():
    plain = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(prog="scripts/parity", description=__doc__, formatter_class=plain)
    parser.add_argument("what", nargs="?", choices=["requests", "tools", "docs"], default="requests")
    parser.add_argument("--binary", default=str(HERE.parent.parent / "target/release/corelane"))
    parser.add_argument("--kafka", default="4.1.1", help="version of Apache Kafka, from Maven")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn of older versions' cases")
    parser.add_argument("--only", help="cases of this API (name or key)")
    parser.add_argument("--case", help="one case, by name or number: both answers are shown")
    parser.add_argument("--list", action="store_true", help="only the cases' names")
    parser.add_argument("--json", help="where every case's result is written, one a line")
    parser.add_argument("--show", type=int, default=40, help="open differences to print")
    parser.add_argument("--record", action="store_true", help="keep the counts for DIFFERENCES.md")
    parser.add_argument("--check", action="store_true", help="docs: only say whether the page is current")
    return parser.parse_args()


if __name__ == "__main__":
    args = arguments()
    # Ended from outside it still stops its brokers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if args.what == "docs":
        table.write_docs(args.check)
    else:
        sys.exit(run.tools(args) if args.what == "tools" else run.requests(args))
