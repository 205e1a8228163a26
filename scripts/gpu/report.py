"""Writes docs/perf/gpu.md of what scripts/gpu-bench left in a folder: python3 report.py FOLDER > docs/perf/gpu.md"""

import json
import sys
from pathlib import Path

GOALS = {  # (shape, batch, adapters): tokens/s, 8B shape in bf16 at a context of 512 on an H100
    ("8b", 1, 0): 175,
    ("8b", 64, 0): 8500,
    ("8b", 256, 0): 17000,
    ("1b", 1, 0): 800,
}


def records(folder: Path, pattern: str) -> list[dict]:
    """All records of the JSON files that match; a file that is no list of them is left out."""
    found: list[dict] = []
    for path in sorted(folder.glob(pattern)):
        try:
            rows = json.loads(path.read_text())
        except ValueError:
            continue
        found += [dict(row, file=path.stem) for row in rows if isinstance(row, dict)]
    return found


def table(header: list[str], rows: list[list[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def number(value: object, digits: int = 1) -> str:
    return f"{value:,.{digits}f}" if isinstance(value, (int, float)) else "-"


def goal(row: dict) -> str:
    wanted = GOALS.get((row["shape"], row["batch"], row["adapters"]))
    rate = row.get("tokens_per_second")
    if wanted is None or row["measured"] != "decode" or not isinstance(rate, (int, float)):
        return "-"
    return f"{wanted:,} ({'met' if rate >= wanted else f'{rate / wanted:.0%}'})"


def ours(folder: Path) -> str:
    files = ["decode-*.json", "adapters-*.json", "prefill-*.json"]
    rows = [row for pattern in files for row in records(folder, pattern)]
    return table(
        ["run", "measured", "batch", "context", "adapters", "ms/step", "tokens/s", "goal"],
        [
            [
                row["file"], row["measured"], row["batch"], row["context"],
                f"{row['adapters']} of rank {row['rank']}" if row["adapters"] else "-",
                number(row["ms_per_step"], 3), row["error"] or number(row["tokens_per_second"]), goal(row),
            ]
            for row in rows
        ],
    )


def shares(folder: Path) -> str:
    """Tokens/s with adapters as a share of those without, at the same batch."""
    rows = records(folder, "adapters-*.json")
    bases = {row["batch"]: row["tokens_per_second"] for row in rows if not row["adapters"]}
    lines = []
    for row in rows:
        base, rate = bases.get(row["batch"]), row["tokens_per_second"]
        if row["adapters"] and base and rate:
            wanted = 0.95 if row["adapters"] == 1 else 0.70
            lines.append([row["batch"], row["adapters"], f"{rate / base:.1%}", f"{wanted:.0%}"])
    return table(["batch", "distinct adapters", "of the base model's tokens/s", "goal"], lines)


def peers(folder: Path) -> str:
    mine = {
        (row["shape"], row["measured"], row["batch"], row["adapters"]): row["tokens_per_second"]
        for pattern in ("decode-8b.json", "decode-1b.json", "adapters-8b.json", "prefill-8b.json")
        for row in records(folder, pattern)
    }
    lines = []
    for row in records(folder, "peer-*.json"):
        phase, rate = row.get("phase", "decode"), row.get("tokens_per_second")
        adapters = row.get("distinct_adapters", row["adapters"])
        own = mine.get((row["shape"], phase, row["batch"], adapters))
        ratio = f"{own / rate:.2f}" if own and rate else "-"
        lines.append(
            [row["peer"], row["shape"], phase, row["batch"], adapters or "-",
             row.get("error") or number(rate), number(own), ratio]
        )
    return table(
        ["peer", "shape", "measured", "batch", "adapters", "peer's tokens/s", "pbctl's", "ratio"], lines
    )


def selftest(folder: Path) -> str:
    rows = records(folder, "selftest.json")
    if not rows:
        return "Not run.\n"
    bad = [row for row in rows if not row["ok"]]
    worst: dict[str, float] = {}
    for row in rows:
        worst[row["weights"]] = max(worst.get(row["weights"], 0.0), row["error"] or 0.0)
    text = f"{len(rows) - len(bad)} of {len(rows)} checks good; largest errors, as a share of the largest result: "
    text += ", ".join(f"{name} {error:.1e}" for name, error in worst.items()) + ".\n"
    for row in bad:
        text += f"\n- {row['weights']} {row['check']}: {row['failure'] or row['error']}"
    return text + ("\n" if bad else "")


def main() -> None:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: report.py FOLDER")
    folder = Path(sys.argv[1])
    machine = folder / "machine.txt"
    print(f"""# On a GPU

Written by `make gpu-bench`. Weights are random, in the shapes of Llama 3.1 8B and Llama 3.2 1B, in bfloat16 unless a run's
name says otherwise; medians of three.

```
{machine.read_text().strip() if machine.exists() else "unknown machine"}
```

## Self-test

{selftest(folder)}
## pbctl

{ours(folder)}
## Adapters

{shares(folder)}
## Peers

{peers(folder)}""")


if __name__ == "__main__":
    main()
