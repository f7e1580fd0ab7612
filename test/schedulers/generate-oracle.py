"""Writes oracle.json: what PyTorch's schedulers give, for the tests to compare with.

Run (made with torch 1.13; no part of the test run):
  /usr/bin/python3 test/schedulers/generate-oracle.py && npx prettier --write test/schedulers/oracle.json
"""

import json
import pathlib
import warnings

import torch
from torch.optim import lr_scheduler

warnings.filterwarnings("ignore")


def optimizer(lr):
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)


def record(opt, scheduler, steps):
    rates, momenta = [], []
    for i in range(steps):
        rates.append(opt.param_groups[0]["lr"])
        momenta.append(opt.param_groups[0]["momentum"])
        if i < steps - 1:
            opt.step()
            scheduler.step()
    return rates, momenta


cases = []


def cyclic(steps, options, **torch_options):
    opt = optimizer(0.1)
    scheduler = lr_scheduler.CyclicLR(opt, base_momentum=0.85, max_momentum=0.95, **torch_options)
    rates, momenta = record(opt, scheduler, steps)
    cases.append({"kind": "cyclicLR", "options": options, "rates": rates})
    cases.append({"kind": "cyclicMomentum", "options": {**options, "base": 0.85, "max": 0.95}, "rates": momenta})


for mode in ("triangular", "triangular2", "exp_range"):
    for up, down in ((5, 5), (3, 8), (7, 2)):
        gamma = {"gamma": 0.97} if mode == "exp_range" else {}
        cyclic(
            40,
            {"base": 0.001, "max": 0.006, "stepSize": up, "stepSizeDown": down, "mode": mode, **gamma},
            base_lr=0.001, max_lr=0.006, step_size_up=up, step_size_down=down, mode=mode, **gamma,
        )

for form, three in (("pytorch", False), ("pytorch-three-phase", True)):
    for anneal in ("cos", "linear"):
        for steps, rise in ((30, 0.3), (33, 0.25), (17, 0.45), (50, 0.1)):
            opt = optimizer(0.1)
            scheduler = lr_scheduler.OneCycleLR(
                opt, max_lr=0.4, total_steps=steps, pct_start=rise, anneal_strategy=anneal, three_phase=three
            )
            rates, momenta = record(opt, scheduler, steps)
            shape = {"steps": steps, "form": form, "rise": rise, "anneal": anneal}
            cases.append({"kind": "oneCycle", "options": {"max": 0.4, **shape}, "rates": rates})
            cases.append({"kind": "oneCycleMomentum", "options": shape, "rates": momenta})

for t0, mult in ((7, 1), (5, 2), (3, 3)):
    opt = optimizer(0.1)
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(opt, t0, T_mult=mult, eta_min=0.001)
    rates, _ = record(opt, scheduler, 45)
    cases.append(
        {"kind": "cosineWarmRestarts", "options": {"max": 0.1, "min": 0.001, "T0": t0, "tMult": mult}, "rates": rates}
    )

metrics = [3, 2, 2.1, 2, 1.99999, 2, 1.5, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.2, 1.3, 1.3, 1.3, 1.3]
plateaus = []
for options in (
    {"mode": "min", "patience": 2},
    {"mode": "max", "patience": 2, "cooldown": 2},
    {"mode": "min", "patience": 0, "factor": 0.5, "threshold": 0.2, "thresholdMode": "absolute", "min": 0.02},
):
    opt = optimizer(0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        opt, mode=options["mode"], patience=options["patience"], cooldown=options.get("cooldown", 0),
        factor=options.get("factor", 0.1), threshold=options.get("threshold", 1e-4),
        threshold_mode="abs" if "thresholdMode" in options else "rel", min_lr=options.get("min", 0), eps=0,
    )
    values = []
    for metric in metrics:
        scheduler.step(metric)
        values.append(opt.param_groups[0]["lr"])
    plateaus.append({"options": {"start": 0.1, **options}, "metrics": metrics, "values": values})

def rounded(value):
    """Twelve digits: more than the comparison asks for, and a third less to store."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, dict):
        return {name: rounded(entry) for name, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list) else value


lines = ["{", f'  "torch": "{torch.__version__}",', '  "schedules": [']
lines.append(",\n".join("    " + json.dumps(rounded(case)) for case in cases))
lines.append('  ],\n  "plateaus": [')
lines.append(",\n".join("    " + json.dumps(rounded(case)) for case in plateaus))
lines.append("  ]\n}\n")
pathlib.Path(__file__).with_name("oracle.json").write_text("\n".join(lines))
