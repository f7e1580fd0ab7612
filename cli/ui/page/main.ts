/** The page: a header with the status and the buttons of a run, and views. */
import {
  VIEW_NAMES,
  type CallName,
  type Calls,
  type Message,
  type RunListing,
  type Status,
  type ViewName,
  type Views,
} from '../protocol.ts';
import { Curves } from './curves.ts';
import { h, setText } from './dom.ts';
import { FiltersView } from './filters-view.ts';
import { duration, percent, short, thousands } from './format.ts';
import { Log } from './log.ts';
import { PredictionsView } from './predictions-view.ts';
import { ProfileView } from './profile-view.ts';
import { RangeView } from './range-view.ts';
import { RateForm } from './rate-form.ts';
import { Run } from './run.ts';
import { call, eventsOf, Stream, viewOf, type Connection } from './stream.ts';
import { tabs } from './tabs.ts';
import { themeButton } from './theme.ts';

const CONNECTIONS: Readonly<Record<Connection, string>> = {
  connecting: 'Connecting…',
  open: '',
  lost: 'The connection is lost. Trying again…',
  closed: 'The server has ended. The page keeps what it shows.',
};

class App {
  readonly #runs = new Map<string, Run>();
  #listing: readonly RunListing[] = [];
  /** The runs that the charts show, the first of which is the one of the header. */
  #selected: readonly string[] = [];
  #live: string | null = null;
  #calls: readonly CallName[] = [];
  #status: Status | null = null;
  #drawing = false;
  #isClosed = false;

  readonly #title = h('h1', {}, 'cyclegrad');
  readonly #state = h('span', { class: 'state' });
  readonly #connection = h('p', { class: 'connection', role: 'status' });
  readonly #message = h('p', { class: 'message', role: 'status' });
  readonly #doing = h('p', { class: 'message', role: 'status' });
  readonly #progress = h('progress', { max: 1, value: 0, 'aria-label': 'Progress of the run' });
  readonly #facts = h('dl', { class: 'facts' });
  readonly #pause = this.#button('Pause', 'Pause or continue', 'p', () => this.#togglePause());
  readonly #save = this.#button('Save', 'Save a checkpoint now', 's', () => this.#saveNow());
  readonly #stop = this.#button('Stop', 'Stop the run', 'x', () => this.#askToStop());
  readonly #report = h(
    'a',
    { class: 'button', hidden: true, title: 'Save the run as one HTML file' },
    'Report',
  );
  readonly #list = h('details', { class: 'runs' });
  readonly #curves = new Curves();
  readonly #log = new Log();
  readonly #rate = new RateForm((text) => this.#say(text));
  readonly #views = {
    range: new RangeView((text) => this.#say(text)),
    predictions: new PredictionsView(),
    filters: new FiltersView(),
    profile: new ProfileView((text) => this.#say(text)),
  };
  /** The views of the first run that is shown, with their versions. */
  readonly #loaded = new Map<ViewName, { readonly key: string; readonly view: Views[ViewName] | null }>();
  readonly #tabs = tabs([
    { id: 'curves', name: 'Curves', element: this.#curves.element },
    { id: 'range', name: 'Range test', element: this.#views.range.element },
    { id: 'predictions', name: 'Predictions', element: this.#views.predictions.element },
    { id: 'filters', name: 'Filters', element: this.#views.filters.element },
    { id: 'profile', name: 'Profile', element: this.#views.profile.element },
    { id: 'rate', name: 'Learning rate', element: this.#rate.element },
    { id: 'log', name: 'Log', element: this.#log.element },
  ]);
  readonly #keys = h('dialog', { 'aria-label': 'Keyboard shortcuts' });
  readonly #confirm = h('dialog', { 'aria-label': 'Stop the run' });
  readonly #theme = themeButton(() => {
    this.#curves.redraw();
    this.#views.range.redraw();
  });

  constructor() {
    document.body.append(
      h(
        'header',
        {},
        h('div', { class: 'name' }, this.#title, this.#state),
        h('div', { class: 'buttons' }, this.#pause, this.#save, this.#stop, this.#report),
        h(
          'div',
          { class: 'settings' },
          this.#theme,
          h(
            'button',
            { type: 'button', class: 'quiet', title: 'Keyboard shortcuts (?)', onclick: () => this.#help() },
            'Keys',
          ),
        ),
        this.#progress,
        this.#facts,
        this.#connection,
        this.#doing,
        this.#message,
      ),
      this.#list,
      this.#tabs.list,
      h('main', {}, ...this.#tabs.panels),
      this.#keys,
      this.#confirm,
    );
    this.#fillDialogs();
    addEventListener('keydown', (event) => this.#key(event));
    new Stream(
      (message) => this.#take(message),
      (connection) => {
        setText(this.#connection, CONNECTIONS[connection]);
        if (connection === 'closed') {
          this.#calls = [];
          this.#isClosed = true;
        }
        this.#draw();
      },
    );
  }

  #button(text: string, title: string, key: string, onclick: () => void): HTMLButtonElement {
    return h('button', { type: 'button', title: `${title} (${key})`, hidden: true, onclick }, text);
  }

  #take(message: Message): void {
    switch (message.type) {
      case 'hello':
        setText(this.#title, message.title);
        document.title = `${message.title} · cyclegrad`;
        this.#calls = message.calls;
        break;
      case 'runs':
        void this.#takeListing(message.runs);
        break;
      case 'live':
        this.#live = message.id;
        this.#runs.set(message.id, new Run(message.id, this.#title.textContent ?? 'run', message.events));
        break;
      case 'events':
        if (this.#live !== null) this.#runs.get(this.#live)?.take(message.events);
        // What the page said about a running run is over.
        if (message.events.some(({ type }) => type === 'end')) this.#say('');
        break;
      case 'status':
        this.#status = message.status;
        if (this.#live !== null) this.#runs.get(this.#live)!.now = message.status.step;
        break;
      case 'bye':
        break;
    }
    this.#draw();
  }

  /** Takes the list of runs, and loads those that are shown and have changed. */
  async #takeListing(listing: readonly RunListing[]): Promise<void> {
    const old = this.#listing;
    const before = new Map(this.#listing.map(({ id, version }) => [id, version]));
    this.#listing = listing;
    if (this.#selected.length === 0) this.#selected = listing.slice(0, 1).map(({ id }) => id);
    const names = (runs: readonly RunListing[]): string =>
      JSON.stringify(runs.map(({ id, name }) => [id, name]));
    const isSame = names(listing) === names(old);
    const stale = listing.filter(({ id, version }) => before.get(id) !== version).map(({ id }) => id);
    for (const id of stale) if (id !== this.#live) this.#runs.delete(id);
    // A list that is made again would lose the focus.
    if (!isSame || this.#list.childElementCount === 0) this.#drawList();
    await this.#load();
  }

  async #load(): Promise<void> {
    for (const id of this.#selected) {
      if (this.#runs.has(id) || id === this.#live) continue;
      try {
        const name = this.#listing.find((one) => one.id === id)?.name ?? id;
        this.#runs.set(id, new Run(id, name, await eventsOf(id)));
      } catch (error) {
        this.#say(`The run cannot be shown: ${(error as Error).message}`);
      }
    }
    await this.#loadViews();
    this.#draw();
  }

  /** Loads the views of the first run that is shown, if there are newer ones. */
  async #loadViews(): Promise<void> {
    const listing = this.#listing.find(({ id }) => id === this.#selected[0]);
    for (const name of VIEW_NAMES) {
      const version = listing?.views[name];
      const key = `${listing?.id} ${version}`;
      if (listing === undefined || version === undefined) this.#loaded.delete(name);
      else if (this.#loaded.get(name)?.key !== key) {
        // The one before stays until the new one is here, unless it is of another run.
        const before = this.#loaded.get(name);
        const isSameRun = before?.key.startsWith(`${listing.id} `) === true;
        this.#loaded.set(name, { key, view: isSameRun ? before.view : null });
        try {
          this.#loaded.set(name, { key, view: await viewOf(listing.id, name) });
        } catch (error) {
          this.#loaded.delete(name);
          this.#say(`The ${name} cannot be shown: ${(error as Error).message}`);
        }
      }
    }
  }

  #drawList(): void {
    this.#list.hidden = this.#listing.length < 2;
    const others = this.#listing.filter(({ id }) => id !== this.#live).length;
    const boxes = h('div', { class: 'boxes' });
    this.#list.replaceChildren(
      h('summary', {}, this.#live === null ? `Runs (${others})` : `Compare with other runs (${others})`),
      boxes,
    );
    if (this.#live === null) this.#list.open = true;
    boxes.append(
      ...this.#listing.map(({ id, name }) => {
        const box = h('input', { type: 'checkbox', checked: this.#selected.includes(id) });
        box.addEventListener('change', () => {
          const chosen = new Set(this.#selected);
          if (box.checked) chosen.add(id);
          else chosen.delete(id);
          this.#selected = this.#listing.map((one) => one.id).filter((one) => chosen.has(one));
          void this.#load();
        });
        return h('label', {}, box, ` ${name}`);
      }),
    );
  }

  /** Draws in the next frame, however many messages come before it. */
  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#drawNow();
    });
  }

  #drawNow(): void {
    const runs = this.#selected.flatMap((id) => this.#runs.get(id) ?? []);
    const run = runs[0] ?? null;
    this.#drawHeader(run);
    this.#curves.show(runs);
    this.#log.show(run);
    const can = (name: CallName): boolean =>
      run !== null &&
      run.id === this.#live &&
      run.start !== null &&
      run.end === null &&
      this.#calls.includes(name);
    this.#rate.show(run, can('schedule'));
    const view = <N extends ViewName>(name: N) => ({
      run,
      view: (this.#loaded.get(name)?.view ?? null) as Views[N] | null,
      can,
    });
    const command = this.#listing.find(({ id }) => id === run?.id)?.command ?? 'script';
    this.#views.range.show(view('range'), command);
    this.#views.predictions.show(view('predictions'));
    this.#views.filters.show(view('filters'));
    this.#views.profile.show(view('profile'));
    this.#drawReport(run);
  }

  #drawHeader(run: Run | null): void {
    const isLive = run !== null && run.id === this.#live;
    const status = isLive ? this.#status : null;
    const state =
      run === null || run.start === null
        ? 'waiting'
        : run.end !== null
          ? { done: 'done', stop: 'stopped', abort: 'stopped', break: 'stopped', error: 'failed' }[
              run.end.reason
            ]
          : isLive
            ? status?.paused === true
              ? 'paused'
              : 'running'
            : 'not finished';
    setText(this.#state, state);
    setText(this.#doing, isLive || run === null ? (this.#status?.doing ?? '') : '');
    this.#state.dataset['state'] = state;
    const can = (name: CallName): boolean =>
      isLive && run.start !== null && run.end === null && this.#calls.includes(name);
    this.#pause.hidden = !can('pause');
    this.#save.hidden = !can('save');
    this.#stop.hidden = !can('stop');
    setText(this.#pause, status?.paused === true ? 'Continue' : 'Pause');
    const steps = run?.start?.steps ?? 0;
    const step = run?.step ?? 0;
    this.#progress.value = steps === 0 ? 0 : step / steps;
    this.#drawFacts(run, status, step, steps);
  }

  #drawReport(run: Run | null): void {
    this.#report.hidden = run === null || run.start === null || this.#isClosed;
    if (run === null) return;
    const address = `report.html?id=${encodeURIComponent(run.id)}&title=${encodeURIComponent(run.name)}`;
    if (this.#report.getAttribute('href') === address) return;
    this.#report.setAttribute('href', address);
    this.#report.setAttribute('download', `${run.name}.html`);
  }

  #drawFacts(run: Run | null, status: Status | null, step: number, steps: number): void {
    const last = run?.steps.at(-1);
    const lastEval = run?.evals.at(-1);
    const best = run?.best;
    const quality = (event: typeof best): string =>
      event === undefined || event === null
        ? ''
        : 'accuracy' in event.metrics
          ? percent(Number(event.metrics['accuracy']))
          : `loss ${short(Number(event.loss))}`;
    const epoch = run?.start ? step / run.start.stepsPerEpoch : 0;
    const facts: readonly (readonly [string, string])[] = [
      ['Step', steps === 0 ? '' : `${thousands(step)} of ${thousands(steps)}`],
      ['Epoch', epoch > 0 ? epoch.toFixed(1) : ''],
      ['Training loss', last === undefined ? '' : short(Number(last.loss))],
      ['Evaluation', quality(lastEval)],
      ['Best', best ? `${quality(best)} at step ${thousands(best.step)}` : ''],
      ['Examples/s', status && status.examplesPerSecond > 0 ? thousands(status.examplesPerSecond) : ''],
      ['ms per step', status && status.msPerStep > 0 ? short(status.msPerStep) : last ? short(last.ms) : ''],
      [
        'Time',
        status && status.elapsed > 0 && !status.ended
          ? duration(status.elapsed)
          : run?.end
            ? duration(run.end.ms)
            : '',
      ],
      ['Time left', status !== null && status.left !== null && !status.ended ? duration(status.left) : ''],
    ];
    this.#facts.replaceChildren(
      ...facts
        .filter(([, value]) => value !== '')
        .map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
    );
  }

  #say(text: string): void {
    setText(this.#message, text);
  }

  async #execute<N extends CallName>(
    name: N,
    args: Calls[N]['args'],
    done: (result: Calls[N]['result']) => string,
  ): Promise<void> {
    try {
      this.#say(done(await call(name, args)));
    } catch (error) {
      this.#say(`This did not work: ${(error as Error).message}`);
    }
  }

  #togglePause(): void {
    const paused = this.#status?.paused !== true;
    void this.#execute('pause', { paused }, () => (paused ? 'The run is paused.' : ''));
  }

  #saveNow(): void {
    this.#say('Saving…');
    void this.#execute('save', {}, ({ path }) => `Saved ${path}.`);
  }

  #askToStop(): void {
    this.#confirm.showModal();
  }

  #help(): void {
    this.#keys.showModal();
  }

  #fillDialogs(): void {
    const close = (dialog: HTMLDialogElement, text: string): HTMLButtonElement =>
      h('button', { type: 'button', autofocus: true, onclick: () => dialog.close() }, text);
    const rows: readonly (readonly [string, string])[] = [
      ['p', 'pause or continue'],
      ['s', 'save a checkpoint'],
      ['x', 'stop the run'],
      ...this.#tabs.names.map((name, i) => [String(i + 1), name] as const),
      ['t', 'change the theme'],
      ['← →', 'move the cursor of a chart that has the focus; with Shift faster'],
      ['Home End', 'first and last point of the chart'],
      ['Esc', 'show the whole run again'],
      ['← → ↑ ↓', 'move a bound of the range test that has the focus; with Shift, Page Up, Page Down faster'],
      ['?', 'this list'],
    ];
    this.#keys.append(
      h('h2', {}, 'Keyboard shortcuts'),
      h(
        'table',
        {},
        h(
          'tbody',
          {},
          ...rows.map(([key, what]) =>
            h('tr', {}, h('th', { scope: 'row' }, h('kbd', {}, key)), h('td', {}, what)),
          ),
        ),
      ),
      h('p', {}, 'Drag over a chart to zoom, and double-click it to see the whole run again.'),
      h('div', { class: 'buttons' }, close(this.#keys, 'Close')),
    );
    this.#confirm.append(
      h('h2', {}, 'Stop the run?'),
      h('p', { class: 'what' }),
      h(
        'div',
        { class: 'buttons' },
        h(
          'button',
          {
            type: 'button',
            class: 'danger',
            onclick: () => {
              this.#confirm.close();
              void this.#execute('stop', {}, () => 'The run stops after this step.');
            },
          },
          'Stop',
        ),
        close(this.#confirm, 'Keep training'),
      ),
    );
    this.#confirm.addEventListener('toggle', () =>
      setText(
        this.#confirm.querySelector('.what')!,
        this.#calls.includes('save')
          ? 'It saves a checkpoint first and can be resumed.'
          : 'It has no checkpoint folder, so it cannot be resumed.',
      ),
    );
  }

  #key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const isTyping = target.matches('input:not([type=checkbox], [type=range]), textarea, select');
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping || document.querySelector('dialog[open]'))
      return;
    const press = (button: HTMLButtonElement): void => {
      if (!button.hidden) button.click();
    };
    const actions: Readonly<Record<string, () => void>> = {
      p: () => press(this.#pause),
      s: () => press(this.#save),
      x: () => press(this.#stop),
      t: () => this.#theme.click(),
      '?': () => this.#help(),
      ...Object.fromEntries(this.#tabs.names.map((_, i) => [String(i + 1), () => this.#tabs.select(i)])),
    };
    actions[event.key]?.();
  }
}

new App();
