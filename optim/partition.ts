/** Different optimizers for parts of a model, and groups of parameters with options of their own. */
import { patternsOf, patternText, select, type Match, type Pattern } from '../engine/match.ts';
import type { Optimizer, OptimizerConfig, Specs, Tree } from '../engine/nn/optimizer.ts';
import {
  checkNumber,
  checkOptimizer,
  checkOptions,
  checkText,
  isPromise,
  isRecord,
  show,
} from '../engine/options.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { HostTensor } from '../engine/types.ts';
import type { Json, Schedule } from '../schedulers/index.ts';

/** Parameters with options of their own, for the option `groups` of the optimizers. `O` has the options that can be replaced. */
export type Group<O> = Partial<Omit<O, 'groups' | 'others' | 'match'>> & {
  /** The parameters of the group. */
  readonly match: Match;
  /** The name of the group in hyperparameters ('head/lr') and messages. Default: the text of the first pattern. */
  readonly name?: string;
  /** Factor on the learning rate, besides those of the parameters. Default 1. */
  readonly lrMult?: number;
  /** Factor on the weight decay, besides those of the parameters. Default 1. */
  readonly decayMult?: number;
};

/** Some of the parameters, and their optimizer. */
interface Part {
  /** Names the part in messages: group 'head'. */
  readonly label: string;
  /** Precedes the names of the part's arrays. Empty for the part that takes the remaining parameters in an optimizer with groups. */
  readonly prefix: string;
  /** Null: the parameters that no other part matches. */
  readonly patterns: readonly Pattern[] | null;
  readonly optimizer: Optimizer;
  readonly lrMult: number;
  readonly decayMult: number;
  /** The name of a hyperparameter outside of the part. */
  readonly outer: (hyper: string) => string;
}

/**
 * An optimizer with `groups`. `make` makes the optimizer from its options. `where` names the optimizer and the group in messages.
 * Groups are made with the options of the optimizer, except for those that they replace.
 */
export function withGroups<O extends { readonly groups?: readonly Group<O>[] }>(
  kind: string,
  options: O,
  make: (where: string, options: O) => Optimizer,
): Optimizer {
  const base = make(kind, options);
  const { groups } = options;
  if (groups === undefined) return base;
  if (!Array.isArray(groups)) {
    throw new TypeError(
      `${kind}: groups must be an array, got ${show(groups)} (write groups: [{ match: /bias$/, weightDecay: 0 }])`,
    );
  }
  if (groups.length === 0) return base;
  const parts: Part[] = [{ ...wholePart(base), label: 'the rest' }];
  const configs: Json[] = [];
  let hyper = base.config.hyper;
  groups.forEach((group: Group<O>, i) => {
    const at = `${kind}: groups[${i}]`;
    if (!isRecord(group) || isPromise(group))
      throw new TypeError(`${at} must be an object, got ${show(group)}`);
    const { match, name: given, lrMult = 1, decayMult = 1, ...changes } = group as Group<object>;
    const patterns = patternsOf(`${at}: match`, match);
    if (given !== undefined) checkText(at, 'name', given, 'a text that is not empty');
    const name = given ?? nameOf(patterns[0]);
    for (const [factor, value] of Object.entries({ lrMult, decayMult })) {
      checkNumber(at, factor, value, 'a number >= 0', (x) => x >= 0);
    }
    if ('groups' in changes)
      throw new TypeError(`${at}: a group has no groups (list all groups of the optimizer)`);
    const own = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
    const optimizer = make(`${kind}: group '${name}'`, { ...options, groups: undefined, ...own });
    const outer = (hyperName: string): string =>
      hyperName in own || !(hyperName in base.schedules) ? `${name}/${hyperName}` : hyperName;
    const { kind: _, ...fixed } = withoutHyper(optimizer.config);
    hyper = { ...hyper, ...renamed(optimizer.config.hyper, outer) };
    configs.push({ name, match: patterns.map(patternText), lrMult, decayMult, ...fixed });
    const label = `group '${name}'`;
    parts.push({ label, prefix: `${name}/`, patterns, optimizer, lrMult, decayMult, outer });
  });
  return joinParts(
    kind,
    { ...base.config, hyper: { ...hyper, ...base.config.hyper }, groups: configs },
    parts,
  );
}

const nameOf = (pattern: Pattern): string =>
  pattern instanceof RegExp ? pattern.source : patternText(pattern);

/** The part that takes all remaining parameters and keeps the names of its optimizer. */
const wholePart = (optimizer: Optimizer): Omit<Part, 'label'> => ({
  prefix: '',
  patterns: null,
  optimizer,
  lrMult: 1,
  decayMult: 1,
  outer: (name) => name,
});

/** The optimizer `base` with another one for some of the parameters: for those that do not match, or without `match`, for `others`. */
export function withOthers(
  kind: string,
  base: Optimizer,
  match: readonly Pattern[],
  others: Optimizer,
): Optimizer {
  const config: OptimizerConfig = {
    ...base.config,
    hyper: { ...base.config.hyper, ...renamed(others.config.hyper, (name) => `others/${name}`) },
    match: match.map(patternText),
    others: withoutHyper(others.config),
  };
  return joinParts(kind, config, [
    { ...wholePart(base), patterns: match, label: 'match' },
    { ...wholePart(others), label: 'others', prefix: 'others/', outer: (name) => `others/${name}` },
  ]);
}

/** A part of a model for `partition`. */
export interface PartOptions {
  /** The parameters of the part. Without it, the part takes the parameters that no other part matches. */
  readonly match?: Match;
  /** The update rule of the part, with its own schedules. */
  readonly optimizer: Optimizer;
}

/**
 * Different optimizers, with schedules of their own, for parts of a model. The keys name the parts. A part without `match` takes the
 * remaining parameters.
 *
 * The hyperparameters of a part have its name in front, in events and in checkpoints: 'head/lr'. Wrap the partition to clip, average
 * or accumulate over all parts. A wrapper inside a part affects only its parameters.
 *
 * Throws TypeError for anything but parts with optimizers. Throws RangeError for more than one part without `match`, and for parts that
 * accumulate gradients or average statistics. When the state is initialized, throws RangeError for a pattern without parameters, and
 * for parameters in several parts or in none.
 *
 * @example
 * const optimizer = partition({
 *   head: { match: 'dense', optimizer: adamw({ lr: 0.001 }) },
 *   body: { optimizer: sgd({ lr: 0.01, momentum: 0.9 }) },
 * });
 * optimizer.at(0) // { 'head/lr': 0.001, 'head/beta1': 0.9, 'head/beta2': 0.999, 'head/weightDecay': 0.01, 'body/lr': 0.01, 'body/momentum': 0.9 }
 */
export function partition(parts: Readonly<Record<string, PartOptions>>): Optimizer {
  const where = 'partition';
  if (!isRecord(parts) || isPromise(parts) || Object.keys(parts).length === 0) {
    throw new TypeError(
      `${where}: expects an object of parts by name, got ${show(parts)} (write partition({ head: { match: 'head', optimizer: … }, … }))`,
    );
  }
  const made = Object.entries(parts).map(([name, part]): Part => {
    const at = `${where}: ${name}`;
    checkOptions(at, part, ['match', 'optimizer']);
    const { match, optimizer } = part;
    checkOptimizer(at, optimizer);
    const prefix = `${name}/`;
    return {
      label: `'${name}'`,
      prefix,
      patterns: match === undefined ? null : patternsOf(`${at}: match`, match),
      optimizer,
      lrMult: 1,
      decayMult: 1,
      outer: (hyper) => prefix + hyper,
    };
  });
  const rest = made.filter(({ patterns }) => patterns === null);
  if (rest.length > 1) {
    throw new RangeError(
      `${where}: ${rest.map(({ label }) => label).join(' and ')} have no match (only one part can take the remaining parameters)`,
    );
  }
  const config: OptimizerConfig = {
    kind: where,
    hyper: Object.assign(
      {},
      ...made.map(({ optimizer, outer }) => renamed(optimizer.config.hyper, outer)),
    ) as Record<string, Json>,
    parts: Object.fromEntries(
      Object.keys(parts).map((name, i) => {
        const { patterns, optimizer } = made[i];
        return [
          name,
          { match: patterns?.map(patternText) ?? null, optimizer: withoutHyper(optimizer.config) },
        ];
      }),
    ),
  };
  return joinParts(where, config, made);
}

function withoutHyper(config: OptimizerConfig): Readonly<Record<string, Json>> {
  return Object.fromEntries(Object.entries(config).filter(([name]) => name !== 'hyper'));
}

const renamed = <T>(
  values: Readonly<Record<string, T>>,
  rename: (name: string) => string,
): Readonly<Record<string, T>> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [rename(name), value]));

/** One optimizer from those of the parts. */
function joinParts(where: string, config: OptimizerConfig, parts: readonly Part[]): Optimizer {
  checkParts(where, parts);
  const schedules: Record<string, Schedule> = {};
  for (const { optimizer, outer } of parts) {
    for (const [name, schedule] of Object.entries(optimizer.schedules)) schedules[outer(name)] ??= schedule;
  }
  return {
    config,
    schedules,
    at(step) {
      const values: Record<string, number> = {};
      for (const { optimizer, outer } of parts) {
        for (const [name, value] of Object.entries(optimizer.at(step))) values[outer(name)] ??= value;
      }
      return values;
    },
    init(specs) {
      const state: Record<string, HostTensor> = {};
      const assigned = assign(where, parts, specs);
      parts.forEach(({ optimizer, prefix }, i) => {
        for (const [name, value] of Object.entries(optimizer.init(assigned[i]))) {
          if (prefix + name in state) {
            throw new RangeError(`${where}: two arrays are called '${prefix + name}' (rename a group)`);
          }
          state[prefix + name] = value;
        }
      });
      return state;
    },
    update(at) {
      const assigned = assign(where, parts, at.specs);
      const params: Record<string, Tensor> = {};
      const state: Record<string, Tensor> = {};
      parts.forEach(({ optimizer, prefix, outer }, i) => {
        const specs = assigned[i];
        const hyper = Object.keys(optimizer.at(0)).map((name) => [name, at.hyper[outer(name)]]);
        const updated = optimizer.update({
          specs,
          grads: pick(at.grads, specs),
          params: pick(at.params, specs),
          state: below(prefix, at.state),
          hyper: Object.fromEntries(hyper) as Tree,
          ...(at.last !== undefined && { last: at.last }),
        });
        Object.assign(params, updated.params);
        for (const [name, value] of Object.entries(updated.state)) state[prefix + name] = value;
      });
      return { params, state };
    },
  };
}

/** Throws RangeError for parts that cannot be parts. */
function checkParts(where: string, parts: readonly Part[]): void {
  const prefixes = new Set<string>();
  for (const { label, prefix, optimizer } of parts) {
    if (prefixes.has(prefix)) {
      throw new RangeError(`${where}: there is more than one ${label} (give each a name of its own)`);
    }
    prefixes.add(prefix);
    if (optimizer.usesStatistics === true) {
      throw new RangeError(
        `${where}: ${label} uses the statistics of the model, which have no part (put its wrapper around ${where}, or use statistics: false)`,
      );
    }
    const { stepsPerUpdate = 1 } = optimizer;
    if (stepsPerUpdate > 1) {
      throw new RangeError(
        `${where}: ${label} accumulates ${stepsPerUpdate} steps for an update (write accumulateGradients(${where}(…), ${stepsPerUpdate}))`,
      );
    }
  }
}

/** The arrays whose names begin with a prefix, without it. */
const below = (prefix: string, state: Tree): Tree =>
  prefix === ''
    ? state
    : Object.fromEntries(
        Object.entries(state).flatMap(([name, value]) =>
          name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
        ),
      );

const pick = (tree: Tree, specs: Specs): Tree =>
  Object.fromEntries(Object.keys(specs).map((name) => [name, tree[name]]));

/** The parameters of each part. Throws RangeError for a pattern without parameters, and for parameters in several parts or in none. */
function assign(where: string, parts: readonly Part[], specs: Specs): readonly Specs[] {
  const owners = new Map<string, Part>();
  for (const part of parts) {
    if (part.patterns === null) continue;
    const names = select(part.patterns, specs, (pattern) => {
      throw new RangeError(
        `${where}: ${part.label}: no trained parameter matches ${quoted(pattern)} (the model has: ${Object.keys(specs).join(', ')})`,
      );
    });
    const [taken] = names.filter((name) => owners.has(name));
    if (taken !== undefined) {
      const other = owners.get(taken)!;
      const both = names.filter((name) => owners.get(name) === other);
      throw new RangeError(
        `${where}: ${other.label} and ${part.label} both match ${both.join(', ')} (a parameter belongs to one of them: narrow a pattern)`,
      );
    }
    for (const name of names) owners.set(name, part);
  }
  const rest = parts.find(({ patterns }) => patterns === null);
  const left = Object.keys(specs).filter((name) => !owners.has(name));
  if (rest === undefined && left.length > 0) {
    throw new RangeError(
      `${where}: no part has ${left.join(', ')} (a part without match takes the remaining parameters)`,
    );
  }
  return parts.map((part) =>
    Object.fromEntries(
      Object.entries(specs).flatMap(([name, spec]) => {
        if ((owners.get(name) ?? rest) !== part) return [];
        const { lrMult, decayMult } = part;
        return [[name, { ...spec, lrMult: spec.lrMult * lrMult, decayMult: spec.decayMult * decayMult }]];
      }),
    ),
  );
}

const quoted = (pattern: Pattern): string =>
  typeof pattern === 'string' ? `'${pattern}'` : patternText(pattern);
