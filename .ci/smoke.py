"""One estimate, one step of training, one search and one plot: what an installed wheel must do with the oldest dependencies."""

import io

import roofline as rl

est = rl.estimate("llama-3.1-8b", "dgx-h100")
assert est.fits, est.reasons  # noqa: S101
est.plot().figure.savefig(io.BytesIO(), format="svg")
rl.train("llama-3.1-8b", "dgx-h100", global_batch=64, seq_len=4096)
rl.search("llama-3.1-8b", "dgx-h100")
print("smoke passed:", est)
