"""What an installed wheel must do with the oldest and the newest dependencies: a few functions, and every command once."""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import roofline as rl
from roofline.cli.app import app

SERVED = "llama-3.1-8b -s dgx-h100 --concurrency 8 --tp 1"
STEP = "llama-3.1-8b -s dgx-h100 --chips 8 --global-batch 64 --seq-len 4096 --tp 1 --pp 1"
COMMANDS = {
    "list": "systems", "show": "h100 --kind chip", "estimate": f"{SERVED} --json", "train": STEP, "campaign": f"{STEP} --tokens 1T",
    "search": "serve llama-3.1-8b -s dgx-h100 --chips 2", "compare": "dgx-h100 dgx-b200", "collective": "all-reduce 1GiB -s dgx-h100 --ranks 8",
    "simulate": "llama-3.1-8b -s dgx-h100 --tp 1 --rate 2.5 --requests 20 --input 100 --output 10",
    "sweep": "llama-3.1-8b -s dgx-h100 --set batch=8,16 --set context=1024 --workers 2 --checkpoint sweep.log -o kept.csv",
    "needed": "bandwidth llama-3.1-8b -s dgx-h100 --phase decode --batch 8 --context 1024 --target tpot=5ms", "sensitivity": SERVED,
    "break-even": "dgx-b200 dgx-h100 llama-3.1-8b --concurrency 8", "plot": f"{SERVED} -o picture.svg", "report": f"{SERVED} -o page.html",
    "validate": "runs.csv", "calibrate": "nothing.csv --chip h200", "launch": "llama-3.1-8b -s dgx-h100 --tp 1 --concurrency 8",
}  # fmt: skip
REFUSED = ("calibrate",)
"""Commands of which a line that says what is missing is asked: their input does not come with the wheel."""
ELSEWHERE = ("--help", "-h", "--version", "--install-completion", "app", "mcp", "serve")
"""What is no command, or goes on until it is ended."""


def main() -> None:
    """Run the functions and the commands.

    Raises:
        SystemExit: the first that fails.
    """
    est = rl.estimate("llama-3.1-8b", "dgx-h100")
    if not est.fits:
        raise SystemExit(f"does not fit: {est.reasons}")
    est.plot().figure.savefig(io.BytesIO(), format="svg")
    rl.train("llama-3.1-8b", "dgx-h100", global_batch=64, seq_len=4096)
    rl.search("llama-3.1-8b", "dgx-h100")
    names = [name for name in app if name not in ELSEWHERE]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "runs.csv").write_text(
            "model,system,input_len,output_len,concurrency,tp,tpot_ms\nllama-3.1-8b,dgx-h100,1024,128,8,1,7.5\n"
        )
        for name in names:
            words = [
                sys.executable,
                "-W",
                "error::DeprecationWarning:roofline",
                "-m",
                "roofline",
                name,
                *COMMANDS.get(name, "--help").split(),
            ]
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
            lacking = done.returncode == 2 and "install the extra" in done.stderr
            if (done.returncode != 2 * (name in REFUSED) and not lacking) or "Traceback" in done.stderr:
                raise SystemExit(
                    f"roofline {name}: status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
                )
    print(f"smoke passed: Python {sys.version.split()[0]}, {len(names)} commands; {est!r}")


if __name__ == "__main__":
    main()
