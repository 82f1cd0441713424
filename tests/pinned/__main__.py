"""Work out pinned numbers again, write them, and print old -> new: ``python -m tests.pinned [TABLE ...]``; ``--check`` writes nothing."""

import argparse
import sys

from . import TABLES, differences, functions, read, worked_out, write


def main():
    """Work out tables, and print what changed."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("tables", nargs="*", help="all unless some are named")
    words.add_argument("--check", action="store_true", help="print what changed and leave the tables as they are")
    asked = words.parse_args()
    unknown = set(asked.tables) - set(TABLES)
    if unknown:
        sys.exit(f"no such table: {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    changed = numbers = 0
    for table in asked.tables or TABLES:
        new = {name: dict(worked_out(made)) for name, made in functions(table).items()}
        try:
            old = read(table)
        except ValueError:
            print(f"{table}: cannot be read, as after a merge conflict; written anew")
            old = {}
        for line in differences(old, new):
            print(f"{table}: {line}")
            changed += 1
        numbers += sum(map(len, new.values()))
        if not asked.check:
            write(table, new)
    print(f"{numbers:,} lines, {changed:,} numbers changed")


if __name__ == "__main__":
    main()
