/** The page: a header with the status and the buttons of a run, and views. */
import type { CallName, Calls, Message, RunListing, Status } from '../protocol.ts';
import { Curves } from './curves.ts';
import { h, setText } from './dom.ts';
import { duration, percent, short, thousands } from './format.ts';
import { Log } from './log.ts';
import { RateForm } from './rate-form.ts';
import { Run } from './run.ts';
import { call, eventsOf, Stream, type Connection } from './stream.ts';
import { tabs } from './tabs.ts';
import { themeButton } from './theme.ts';

const CONNECTIONS: Readonly<Record<Connection, string>> = {
  connecting: 'connecting',
  open: '',
  lost: 'connection lost, trying again',
  closed: 'the server has ended; the page keeps what it shows',
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

  readonly #title = h('h1', {}, 'cyclegrad');
  readonly #state = h('span', { class: 'state' });
  readonly #connection = h('p', { class: 'connection', role: 'status' });
  readonly #message = h('p', { class: 'message', role: 'status' });
  readonly #progress = h('progress', { max: 1, value: 0, 'aria-label': 'Progress of the run' });
  readonly #facts = h('dl', { class: 'facts' });
  readonly #pause = this.#button('Pause', 'Pause or continue', 'p', () => this.#togglePause());
  readonly #save = this.#button('Save', 'Save a checkpoint now', 's', () => this.#saveNow());
  readonly #stop = this.#button('Stop', 'Stop the run', 'x', () => this.#askToStop());
  readonly #list = h('fieldset', { class: 'runs' });
  readonly #curves = new Curves();
  readonly #log = new Log();
  readonly #rate = new RateForm((text) => this.#say(text));
  readonly #tabs = tabs([
    { id: 'curves', name: 'Curves', element: h('div', {}, this.#list, this.#curves.element) },
    { id: 'rate', name: 'Learning rate', element: this.#rate.element },
    { id: 'log', name: 'Log', element: this.#log.element },
  ]);
  readonly #keys = h('dialog', { 'aria-label': 'Keyboard shortcuts' });
  readonly #confirm = h('dialog', { 'aria-label': 'Stop the run' });
  readonly #theme = themeButton(() => this.#curves.redraw());

  constructor() {
    document.body.append(
      h(
        'header',
        {},
        h('div', { class: 'name' }, this.#title, this.#state),
        h('div', { class: 'buttons' }, this.#pause, this.#save, this.#stop),
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
        this.#message,
      ),
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
        if (connection === 'closed') this.#calls = [];
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
        break;
      case 'status':
        this.#status = message.status;
        break;
      case 'bye':
        break;
    }
    this.#draw();
  }

  /** Takes the list of runs, and loads those that are shown and have changed. */
  async #takeListing(listing: readonly RunListing[]): Promise<void> {
    const before = new Map(this.#listing.map(({ id, version }) => [id, version]));
    this.#listing = listing;
    if (this.#selected.length === 0) this.#selected = listing.slice(0, 1).map(({ id }) => id);
    const stale = listing.filter(({ id, version }) => before.get(id) !== version).map(({ id }) => id);
    for (const id of stale) if (id !== this.#live) this.#runs.delete(id);
    this.#drawList();
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
    this.#draw();
  }

  #drawList(): void {
    this.#list.hidden = this.#listing.length < 2;
    this.#list.replaceChildren(
      h('legend', {}, 'Runs'),
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
    const canChange =
      run !== null && run.id === this.#live && run.end === null && this.#calls.includes('schedule');
    this.#rate.show(run, canChange);
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
    this.#state.dataset['state'] = state;
    const can = (name: CallName): boolean =>
      isLive && run.start !== null && run.end === null && this.#calls.includes(name);
    this.#pause.hidden = !can('pause');
    this.#save.hidden = !can('save');
    this.#stop.hidden = !can('stop');
    setText(this.#pause, status?.paused === true ? 'Continue' : 'Pause');
    const steps = run?.start?.steps ?? 0;
    const step = status?.step ?? run?.end?.step ?? (run?.steps.at(-1)?.step ?? -1) + 1;
    this.#progress.value = steps === 0 ? 0 : step / steps;
    this.#drawFacts(run, status, step, steps);
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
