"""cyclegrad's optimizers by torch.optim, and its schedules by torch.optim.lr_scheduler. What PyTorch lacks is written out."""

import math

import torch

# ---- optimizers -----------------------------------------------------------------------------------------------


def optimize(case, dtype, initial, gradients):
    """The parameters after each step, and at the end their averages."""
    params = [p.to(dtype, copy=True).requires_grad_() for p in initial]
    gradients = [g.to(dtype) for g in gradients]
    count = len(params)
    update = updater(case, params)
    results, held = [], []
    averages, weight = [torch.zeros_like(p) for p in params], 0.0
    for step, rate in enumerate(case['rates']):
        held.append(gradients[step * count:(step + 1) * count])
        if len(held) == case['accumulate']:
            grads = [sum(parts) / len(held) for parts in zip(*held)]
            held = []
            update(clip(grads, case['clip']), rate)
            if case['average'] is not None:
                decay = case['average']
                averages = [decay * a + (1 - decay) * p.detach() for a, p in zip(averages, params)]
                weight = decay * weight + 1 - decay
        results += [p.detach().clone() for p in params]
    return results + ([a / weight for a in averages] if case['average'] is not None else [])


def clip(grads, limits):
    if limits is None:
        return grads
    if 'value' in limits:
        grads = [g.clamp(-limits['value'], limits['value']) for g in grads]
    if 'norm' in limits:
        # Without PyTorch's 1e-6.
        norm = torch.sqrt(sum(g.square().sum() for g in grads))
        grads = [g * min(1.0, limits['norm'] / float(norm)) if norm > 0 else g for g in grads]
    return grads


def updater(case, params):
    name, o = case['optimizer'], case['options']
    multipliers = case['multipliers']
    if o.get('form') == 'caffe':
        return {'sgd': caffe_sgd, 'adam': caffe_adam, 'adamw': caffe_adam}[name](case, params)
    if name == 'nadam':
        return nadam(case, params)
    groups = [
        {'params': [p], 'lr': 0.1, 'weight_decay': o['weightDecay'] * m['decayMult']} for p, m in zip(params, multipliers)
    ]
    kinds = {
        'sgd': lambda: torch.optim.SGD(groups, lr=0.1, momentum=o['momentum'], nesterov=o['nesterov']),
        'adam': lambda: torch.optim.Adam(groups, betas=(o['beta1'], o['beta2']), eps=o['epsilon'], amsgrad=o['amsgrad']),
        'adamw': lambda: torch.optim.AdamW(
            groups, betas=(o['beta1'], o['beta2']), eps=o['epsilon'], amsgrad=o['amsgrad']),
        'radam': lambda: torch.optim.RAdam(groups, betas=(o['beta1'], o['beta2']), eps=o['epsilon']),
        'rmsprop': lambda: torch.optim.RMSprop(
            groups, alpha=o['rho'], eps=o['epsilon'], momentum=o['momentum'], centered=o['centered']),
        'adagrad': lambda: torch.optim.Adagrad(
            groups, eps=o['epsilon'], initial_accumulator_value=o['initialAccumulator']),
        'adadelta': lambda: torch.optim.Adadelta(groups, rho=o['rho'], eps=o['epsilon']),
    }
    optimizer = kinds[name]()

    def update(grads, rate):
        for group, m in zip(optimizer.param_groups, multipliers):
            group['lr'] = rate * m['lrMult']
        for p, g in zip(params, grads):
            p.grad = g.clone()
        optimizer.step()

    return update


def rates_of(case, rate):
    o = case['options']
    return [(rate * m['lrMult'], o['weightDecay'] * m['decayMult']) for m in case['multipliers']]


def caffe_sgd(case, params):
    o = case['options']
    velocities = [torch.zeros_like(p) for p in params]

    def update(grads, rate):
        with torch.no_grad():
            for i, (p, g, (lr, decay)) in enumerate(zip(params, grads, rates_of(case, rate))):
                mu, old = o['momentum'], velocities[i]
                velocities[i] = mu * old + lr * (g + decay * p)
                p -= (1 + mu) * velocities[i] - mu * old if o['nesterov'] else velocities[i]

    return update


def caffe_adam(case, params):
    """Epsilon is added before the bias correction."""
    o, name = case['options'], case['optimizer']
    b1, b2 = o['beta1'], o['beta2']
    moments = [[torch.zeros_like(p), torch.zeros_like(p)] for p in params]
    steps = [0]

    def update(grads, rate):
        steps[0] += 1
        correction = math.sqrt(1 - b2**steps[0]) / (1 - b1**steps[0])
        with torch.no_grad():
            for (m, v), p, g, (lr, decay) in zip(moments, params, grads, rates_of(case, rate)):
                if name == 'adamw':
                    p -= lr * decay * p
                else:
                    g = g + decay * p
                m.mul_(b1).add_((1 - b1) * g)
                v.mul_(b2).add_((1 - b2) * g * g)
                p -= lr * correction * m / (v.sqrt() + o['epsilon'])

    return update


def nadam(case, params):
    """As PyTorch 2 computes it. PyTorch 1.13 has a factor mu too many in the second term."""
    o = case['options']
    b1, b2, psi = o['beta1'], o['beta2'], o['momentumDecay']
    moments = [[torch.zeros_like(p), torch.zeros_like(p)] for p in params]
    progress = {'step': 0, 'product': 1.0}

    def update(grads, rate):
        progress['step'] += 1
        t = progress['step']
        mu, following = (b1 * (1 - 0.5 * 0.96 ** (step * psi)) for step in (t, t + 1))
        progress['product'] *= mu
        product = progress['product']
        with torch.no_grad():
            for (m, v), p, g, (lr, decay) in zip(moments, params, grads, rates_of(case, rate)):
                g = g + decay * p
                m.mul_(b1).add_((1 - b1) * g)
                v.mul_(b2).add_((1 - b2) * g * g)
                denominator = (v / (1 - b2**t)).sqrt() + o['epsilon']
                p -= lr * (1 - mu) / (1 - product) * g / denominator
                p -= lr * following / (1 - product * following) * m / denominator

    return update


# ---- schedules ------------------------------------------------------------------------------------------------

def run(make, base, steps, what='lr', **optimizer):
    """The values of a scheduler before each update."""
    options = {'lr': base, **optimizer}
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], **options)
    scheduler = make(sgd)
    values = []
    for _ in range(steps):
        values.append(float(sgd.param_groups[0][what]))
        sgd.step()
        scheduler.step()
    return values


S = torch.optim.lr_scheduler


def cyclic(o, steps, what='lr'):
    options = {'step_size_up': o['stepSize'], 'step_size_down': o['stepSizeDown'], 'mode': o['mode'], 'gamma': o.get('gamma', 1.0)}
    if what == 'lr':
        return run(lambda s: S.CyclicLR(s, o['base'], o['max'], cycle_momentum=False, **options), o['base'], steps)
    make = lambda s: S.CyclicLR(s, 0.1, 1.0, base_momentum=o['base'], max_momentum=o['max'], **options)
    return run(make, 0.1, steps, what, momentum=0.9)


def one_cycle(o, steps, what='lr'):
    options = {
        'total_steps': o['steps'],
        'pct_start': o['rise'],
        'anneal_strategy': o['anneal'],
        'three_phase': o['form'] == 'pytorch-three-phase',
    }
    if what == 'lr':
        make = lambda s: S.OneCycleLR(
            s, o['max'], div_factor=o['div'], final_div_factor=o['finalDiv'], cycle_momentum=False, **options)
        return run_exactly(make, steps, 'lr')
    make = lambda s: S.OneCycleLR(s, 1.0, base_momentum=o['low'], max_momentum=o['high'], **options)
    return run_exactly(make, steps, 'momentum')


def run_exactly(make, steps, what):
    """As run, but without the last call of the scheduler, which OneCycleLR refuses."""
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler = make(sgd)
    values = [float(sgd.param_groups[0][what])]
    for _ in range(steps - 1):
        sgd.step()
        scheduler.step()
        values.append(float(sgd.param_groups[0][what]))
    return values


def by_factor(factor):
    """PyTorch has no such schedule: the formula, by LambdaLR."""
    return lambda o, steps: run(lambda s: S.LambdaLR(s, lambda t: factor(o, t)), 1.0, steps)


def linear(o, steps):
    start, end = o['from'], o['to']
    # LinearLR takes factors from 0 to 1.
    top = max(start, end)
    make = lambda s: S.LinearLR(s, start_factor=start / top, end_factor=end / top, total_iters=o['steps'])
    return run(make, top, steps)


def decay(o, steps):
    return linear({'from': o['max'], 'to': o['base'], 'steps': o['stepSize']}, steps)


def cosine(o, steps):
    return run(lambda s: S.CosineAnnealingLR(s, o['steps'], eta_min=o['min']), o['max'], steps)


def restarts(o, steps):
    make = lambda s: S.CosineAnnealingWarmRestarts(s, o['T0'], T_mult=o['tMult'], eta_min=o['min'])
    return run(make, o['max'], steps)


def trapezoid(o, t):
    if t < o['up']:
        return o['start'] + (o['max'] - o['start']) * t / o['up']
    if t >= o['steps']:  # LambdaLR asks for one value more
        return o['end']
    begin = o['steps'] - o['down']
    return o['max'] if t < begin else o['max'] + (o['end'] - o['max']) * (t - begin) / o['down']


SCHEDULES = {
    'cyclicLR': cyclic,
    'cyclicMomentum': lambda o, n: cyclic(o, n, 'momentum'),
    'oneCycle': one_cycle,
    'oneCycleMomentum': lambda o, n: one_cycle(o, n, 'momentum'),
    'cosine': cosine,
    'cosineWarmRestarts': restarts,
    'linear': linear,
    'decay': decay,
    'geometric': by_factor(lambda o, t: o['from'] * (o['to'] / o['from']) ** (min(t, o['steps']) / o['steps'])),
    'step': lambda o, n: run(lambda s: S.StepLR(s, o['every'], o['gamma']), o['base'], n),
    'multistep': lambda o, n: run(lambda s: S.MultiStepLR(s, o['at'], o['gamma']), o['base'], n),
    'exponential': lambda o, n: run(lambda s: S.ExponentialLR(s, o['gamma']), o['base'], n),
    'inv': by_factor(lambda o, t: o['base'] * (1 + o['gamma'] * t) ** -o['power']),
    'poly': lambda o, n: run(lambda s: S.PolynomialLR(s, o['steps'], o['power']), o['base'], n)
    if hasattr(S, 'PolynomialLR') else by_factor(lambda q, t: q['base'] * (1 - t / q['steps']) ** q['power'])(o, n),
    'sigmoid': by_factor(lambda o, t: o['base'] / (1 + math.exp(-o['gamma'] * (t - o['center'])))),
    'trapezoid': by_factor(trapezoid),
}


def schedule(case):
    return SCHEDULES[case['schedule']](case['options'], case['steps'])
