"""Answers need numpy and attrs and no other package, so that a browser build or a service can leave the rest out."""

import subprocess
import sys

import pytest

BLOCKED = """
import sys
from importlib.abc import MetaPathFinder

ALLOWED = {"roofline", "numpy", "attr", "attrs", *sys.stdlib_module_names}

class Others(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED:
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)

sys.meta_path.insert(0, Others())
import roofline as rl

EIGHT = "llama-3.1-8b", "dgx-h100"
"""
ANSWERS = {
    "estimate": "est = rl.estimate(*EIGHT, concurrency=64); est.why(); est.to_dict(); est.citations(); est._repr_html_(); print(est)",
    "search": "print(rl.search(*EIGHT, chips=2, tpot='50ms').table())",
    "pools": "print(rl.pools(*EIGHT, prefill_chips=4, chips=4, concurrency=64))",
    "compare": "print(rl.compare('dgx-h100', 'dgx-b200', model=EIGHT[0], chips=2).table())",
    "train": "print(rl.train(*EIGHT, global_batch=64, seq_len=4096))",
    "search_training": "print(rl.search_training(*EIGHT, global_batch=64, seq_len=4096).table())",
    "campaign": "print(rl.campaign(*EIGHT, global_batch=64, seq_len=4096, tokens=1e12))",
    "collective": "print(rl.collective('all-reduce', '1GiB', 'dgx-h100', ranks=8))",
    "sweep": "print(rl.sweep(*EIGHT, batch=[1, 2], context=1024).frame.records())",
    "needed": "print(rl.needed(rl.estimate(*EIGHT, concurrency=64), 'bandwidth', tpot='20ms'))",
    "probability": "print(rl.probability(rl.estimate(*EIGHT, tp=1), rl.estimate(*EIGHT, tp=2)))",
    "sensitivity": "print(rl.estimate(*EIGHT, concurrency=64).sensitivity())",
    "describe": "print(rl.describe('dgx-h100'))",
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_numpy_and_attrs_are_enough(name):
    done = subprocess.run([sys.executable, "-c", BLOCKED + ANSWERS[name]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout
