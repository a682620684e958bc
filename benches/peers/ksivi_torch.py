#!/usr/bin/env python3
"""KSIVI [cheng2024] in PyTorch, as its authors train it: no critic, two batches, every term differentiated.

    taskset -c 1 python ksivi_torch.py --task banana --iters 500 [--pairs products]

The loss is the mean over pairs of k(x, x') (s(x) + e/sigma) . (s(x') + e'/sigma), k the Gaussian kernel of
squared width median(r^2) / (2 log(n + 1)), through which the gradient goes. `--pairs broadcast`, the
authors' way, makes tensors [n, n, d] of all pairs; `products` makes matrices [n, n] only, as one would who
cares for time. Prints one JSON object with cpu_ms_per_iter_median.
"""
import argparse
import json
import math
import os
import time

import numpy as np
import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
TASKS = {
    "banana": dict(d=2, batch=500, latent=3, hidden=50, log_variance=-1.386, betas=(0.9, 0.99)),
    "waveform": dict(d=22, batch=100, latent=10, hidden=100, log_variance=-5.0, betas=(0.9, 0.999)),
}
BLOCK = 50


def banana(x):
    u, v = x[:, 0], x[:, 0] ** 2 + x[:, 1] + 1
    pu, pv = (u - 0.9 * v) / 0.19, (v - 0.9 * u) / 0.19
    return -torch.stack((pu + 2 * u * pv, pv), 1)


def waveform(folder):
    rows = np.loadtxt(os.path.join(folder, "waveform_train.csv"), delimiter=",", skiprows=1)
    rows = torch.tensor(rows, dtype=torch.float32)
    X, y = rows[:, 1:].contiguous(), rows[:, 0]
    return lambda w: (y - torch.sigmoid(w @ X.t())) @ X - 0.01 * w


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--task", required=True, choices=list(TASKS))
    options.add_argument("--iters", type=int, default=500)
    options.add_argument("--pairs", default="broadcast", choices=["broadcast", "products"])
    options.add_argument("--data", default=os.path.join(HERE, "../../../shared/reference/semi_implicit"))
    options = options.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    task = TASKS[options.task]
    d, n, h = task["d"], task["batch"], task["hidden"]
    score = banana if options.task == "banana" else waveform(options.data)

    layers = [nn.Linear(task["latent"], h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, d)]
    mean = nn.Sequential(*layers)
    rho = nn.Parameter(torch.full((d,), task["log_variance"]))
    adam = torch.optim.Adam([*mean.parameters(), rho], lr=1e-3, betas=task["betas"])

    def batch():
        sd = torch.exp(0.5 * rho.clamp(min=-20.0))
        noise = torch.randn(n, d)
        x = mean(torch.randn(n, task["latent"])) + sd * noise
        return x, score(x) + noise / sd

    def loss():
        (x, a), (y, b) = batch(), batch()
        if options.pairs == "broadcast":
            squared = ((x[:, None] - y[None]) ** 2).sum(-1)
            inner = (a[:, None] * b[None]).sum(-1)
        else:
            squared = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.t()
            inner = a @ b.t()
        width = 0.5 * squared.median() / math.log(n + 1)
        return (torch.exp(-squared / (2 * width)) * inner).mean()

    blocks = []
    for _ in range(max(options.iters // BLOCK, 2)):
        began = time.process_time()
        for _ in range(BLOCK):
            adam.zero_grad()
            loss().backward()
            adam.step()
        blocks.append((time.process_time() - began) * 1e3 / BLOCK)
    print(json.dumps({"task": options.task, "pairs": options.pairs,
                      "cpu_ms_per_iter_median": float(np.median(blocks[1:]))}))


main()
