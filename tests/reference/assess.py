"""Writes assess.json: k-hat, ESS, R-hat and MCSE by Python ArviZ 0.23.4 on sequences any language can rebuild.

    pip install arviz==0.23.4 && python assess.py > assess.json

Input is a 64-bit linear congruential generator (Knuth's MMIX constants, top 53 bits), so that only the
answers need to be stored.
"""
import json, math, warnings
warnings.filterwarnings('ignore')
import numpy as np, arviz as az
from arviz.stats.diagnostics import _mcse_mean, _mcse_sd, _ess_bulk, _ess_tail, _ess_mean, _rhat_rank

def uniforms(seed, n):
    x, out = seed, []
    for _ in range(n):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(((x >> 11) + 0.5) / 2**53)
    return np.array(out)

def chains(seed, m, n, ar, shift):
    """AR(1) with uniform innovations; chain i is moved by i * shift."""
    u = uniforms(seed, m * n).reshape(m, n) - 0.5
    x = np.zeros((m, n))
    for i in range(m):
        last = 0.0
        for t in range(n):
            last = ar * last + u[i, t]; x[i, t] = last + i * shift
    return x

out = dict(source='ArviZ 0.23.4, tests/reference/assess.py', khat=[], chains=[])
for seed, n, shape in [(1, 1000, .2), (2, 1000, .6), (3, 4000, .9), (4, 100, .5), (5, 4000, -.5)]:
    u = uniforms(seed, n)
    lw = -shape * np.log(1 - u) if shape > 0 else np.log(u) * -shape
    w, k = az.psislw(lw.copy())
    out['khat'].append(dict(seed=seed, n=n, shape=shape, khat=float(k), max_log_weight=float(np.max(w)), ess=float(1 / np.sum(np.exp(w) ** 2))))
for seed, m, n, ar, shift in [(11, 4, 1000, 0., 0.), (12, 4, 500, .9, 0.), (13, 4, 500, -.6, 0.), (14, 4, 251, .5, .3), (15, 2, 100, .99, 0.), (16, 4, 1000, .3, .02)]:
    x = chains(seed, m, n, ar, shift)
    out['chains'].append(dict(seed=seed, chains=m, draws=n, ar=ar, shift=shift, ess_bulk=float(_ess_bulk(x)), ess_tail=float(_ess_tail(x)),
        ess_mean=float(_ess_mean(x)), rhat=float(_rhat_rank(x)), mcse_mean=float(_mcse_mean(x)), mcse_sd=float(_mcse_sd(x)), bfmi=float(az.bfmi(x)[0])))
print(json.dumps(out, indent=1))
