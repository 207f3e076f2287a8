// A list of any length: only the rows in sight are in the page. Walking, selecting and sorting need no server.
const OVERSCAN = 8; // rows drawn beyond the edge, so that scrolling shows no gaps
const NEAR_END = 20; // rows before the end at which more are asked for
const TICK = 28; // pixels of the column of ticks
const EDGE = 8; // pixels that are free at the right edge
const SETTLE = 120; // ms; while an arrow key is held down, only the row it stops at counts

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

// Without case, accents and the letters that carry their mark inside, as dicom.criteria.fold_name writes names.
const INSIDE = { ø: "o", đ: "d", ł: "l", æ: "ae", œ: "oe", þ: "th", ı: "i", ð: "d", ß: "ss" };
const fold = (text) =>
  text.normalize("NFKD").toLowerCase().replace(/[\u0300-\u036f]/g, "").replace(/[øđłæœþıðß]/g, (letter) => INSIDE[letter]).normalize("NFC");

// The least pixels of a column, as ``Column.width`` states them.
const least = (width) => (typeof width === "number" ? width : Number(/^minmax\((\d+)px/.exec(width)?.[1] ?? 0));

export default {
  template: `
    <div class="grid" :class="{ headless }" role="grid" tabindex="0" ref="box"
         :aria-label="label" :aria-rowcount="more ? -1 : order.length + 1" :aria-multiselectable="selectable"
         :aria-activedescendant="currentRow ? rowId(currentRow) : null"
         :data-help-keys="helpKeys"
         @keydown="onKey" @scroll.passive="onScroll" @focus="onFocus">
      <div class="grid-head" role="row" v-show="!headless" :style="{ gridTemplateColumns: template }">
        <span class="cell check" role="columnheader" v-if="selectable">
          <button type="button" class="tick" tabindex="-1" :class="allSelected" aria-label="Select all rows"
                  @click="selectAll(allSelected !== 'all')"></button>
        </span>
        <span v-for="(column, index) in shown" :key="column.name" class="cell" :class="'k-' + column.kind" role="columnheader"
              :aria-sort="sort.by === column.name ? (sort.descending ? 'descending' : 'ascending') : null">
          <button v-if="column.sortable" type="button" tabindex="-1" class="sorter"
                  :aria-label="column.label ? null : 'Sort by ' + column.name" @click="sortBy(column.name)">
            {{ column.label }}<i v-if="sort.by === column.name" aria-hidden="true">{{ sort.descending ? "↓" : "↑" }}</i>
          </button>
          <template v-else>{{ column.label }}</template>
          <b class="grip" aria-hidden="true" @pointerdown.prevent="resize($event, column, index)"></b>
        </span>
      </div>
      <div class="grid-body" role="rowgroup" :style="{ height: order.length * rowHeight + 'px' }">
        <div v-for="row in visible" :key="row.key" class="row" role="row" :id="rowId(row)"
             :class="{ current: row.key === current, selected: selected.has(row.key), dim: row.dim }"
             :style="{ gridTemplateColumns: template, height: rowHeight + 'px', top: row.at * rowHeight + 'px' }"
             :aria-rowindex="row.at + 2" :aria-selected="selected.has(row.key)" :data-key="row.key"
             @mousedown="onPress($event, row)" @auxclick="onMiddle($event, row)" @dblclick="$emit('open', row.key)">
          <span class="cell check" role="gridcell" v-if="selectable">
            <span class="tick" :class="{ all: selected.has(row.key) }" @mousedown.stop="onTick($event, row)"></span>
          </span>
          <span v-for="column in shown" :key="column.name" class="cell" :class="['k-' + column.kind, row.tone]" role="gridcell">
            <template v-if="column.kind === 'mark'">
              <span v-if="row.cells[column.name]" class="mark" :class="row.cells[column.name].state" role="img"
                    :aria-label="row.cells[column.name].word" :title="row.cells[column.name].word"></span>
            </template>
            <template v-else-if="column.kind === 'thumb'">
              <img v-if="row.cells[column.name] && !broken.has(row.key)" :src="row.cells[column.name]" alt="" loading="lazy"
                   decoding="async" draggable="false" @error="broken.add(row.key)" />
              <span v-else class="no-picture" aria-hidden="true"></span>
            </template>
            <template v-else-if="column.kind === 'lines'">
              <span class="lines"><span class="first" :title="row.cells[column.name]?.[0]">{{ row.cells[column.name]?.[0] }}</span>
              <span class="second">{{ row.cells[column.name]?.[1] }}</span></span>
            </template>
            <template v-else-if="column.kind === 'progress'">
              <span v-if="row.cells[column.name]" class="bar" role="progressbar" :aria-label="row.cells[column.name].text"
                    aria-valuemin="0" aria-valuemax="100" :aria-valuenow="row.cells[column.name].percent">
                <span class="bar-done" :class="row.cells[column.name].tone"
                      :style="{ width: (row.cells[column.name].percent ?? 0) + '%' }"></span></span>
              <span v-if="row.cells[column.name]" class="bar-text">{{ row.cells[column.name].text }}</span>
            </template>
            <a v-else-if="column.link && row.href" class="text" :href="row.href" tabindex="-1" draggable="false" :title="row.cells[column.name]"
               @mousedown="onLink" @click="onLinkClick">{{ row.cells[column.name] }}</a>
            <template v-else><span class="text" :title="row.cells[column.name]">{{ row.cells[column.name] }}</span></template>
          </span>
        </div>
      </div>
      <div class="grid-foot" v-if="more" role="row"><span role="gridcell" aria-live="polite">
        <template v-if="loading">Loading more …</template>
        <button v-else type="button" data-testid="load-more" @click="loadMore" @keydown.enter.stop @keydown.space.stop>Load more</button>
      </span></div>
    </div>`,
  props: {
    columns: { type: Array, default: () => [] },
    label: String,
    rowHeight: { type: Number, default: 32 },
    headless: Boolean,
    selectable: { type: Boolean, default: true },
    openable: { type: Boolean, default: true },
    initialSort: { type: Object, default: () => ({ by: "", descending: false }) },
  },
  emits: ["current", "select", "open", "more", "sort", "widths", "narrowed"],
  data() {
    return {
      rows: [], // as they came; replaced as a whole, so that Vue need not watch each cell
      order: [],
      selected: new Set(),
      broken: new Set(),
      current: null,
      anchor: 0,
      sort: { ...this.initialSort },
      more: false,
      loading: false,
      top: 0,
      height: 600,
      width: 10000, // until it is measured
      widths: {},
      words: [],
    };
  },
  computed: {
    helpKeys() {
      const keys = ["↑ ↓=Walk the rows"];
      if (this.selectable) keys.push("Space=Select the row", "Ctrl A=Select all");
      if (this.openable) keys.push("Enter=Open");
      return keys.join(";");
    },
    shown() {
      let kept = this.columns;
      const room = this.width - EDGE - (this.selectable ? TICK : 0);
      const needed = () => kept.reduce((sum, column) => sum + least(column.width), 0);
      while (needed() > room) {
        const first = Math.max(...kept.map((column) => column.yields));
        if (!(first > 0)) break;
        kept = kept.filter((column) => column.yields !== first);
      }
      return kept;
    },
    template() {
      const tracks = this.shown.map((column) => {
        const wanted = this.widths[column.name]; // as far as there is room for it
        if (wanted !== undefined) return `minmax(${Math.min(wanted, least(column.width))}px, ${wanted}px)`;
        return typeof column.width === "number" ? `${column.width}px` : column.width;
      });
      return (this.selectable ? `${TICK}px ` : "") + tracks.join(" ");
    },
    visible() {
      const first = Math.max(0, Math.floor(this.top / this.rowHeight) - OVERSCAN);
      const last = Math.ceil((this.top + this.height) / this.rowHeight) + OVERSCAN;
      return this.order.slice(first, last).map((row, index) => ({ ...row, at: first + index }));
    },
    currentRow() {
      const at = this.order.findIndex((row) => row.key === this.current);
      return at < 0 ? null : { ...this.order[at], at };
    },
    allSelected() {
      if (!this.selected.size) return "";
      return this.selected.size >= this.rows.length ? "all" : "some";
    },
  },
  mounted() {
    this.watcher = new ResizeObserver(() => this.measure());
    this.watcher.observe(this.$refs.box);
    this.measure();
  },
  beforeUnmount() {
    this.watcher.disconnect();
    clearTimeout(this.settling);
  },
  methods: {
    // ---- called from Python
    setRows(rows) {
      this.rows = Object.freeze(rows);
      const keys = new Set(rows.map((row) => row.key));
      this.selected = new Set([...this.selected].filter((key) => keys.has(key)));
      if (!keys.has(this.current)) this.current = null;
      this.broken = new Set();
      this.arrange();
      this.$refs.box.scrollTop = 0;
      this.tellSelection();
    },
    patchRows(rows) {
      const known = new Map(this.rows.map((row) => [row.key, row]));
      for (const row of rows) known.set(row.key, row);
      this.rows = Object.freeze([...known.values()]);
      this.arrange();
    },
    removeRows(keys) {
      const gone = new Set(keys);
      this.rows = Object.freeze(this.rows.filter((row) => !gone.has(row.key)));
      for (const key of keys) this.selected.delete(key);
      if (gone.has(this.current)) this.current = null;
      this.arrange();
      this.tellSelection();
    },
    setMore(more, loading) {
      this.more = more;
      this.loading = loading;
      this.$nextTick(() => this.askForMore());
    },
    setCurrent(key, focus) {
      const at = this.order.findIndex((row) => row.key === key);
      if (at < 0) return;
      this.walk(at);
      if (focus) this.$refs.box.focus();
    },
    takeFocus() {
      this.$refs.box.focus();
    },
    setWidths(widths) {
      this.widths = { ...widths };
    },
    narrow(words) {
      this.words = fold(words).split(/[\s,^]+/).filter(Boolean);
      this.arrange();
      this.$refs.box.scrollTop = 0;
    },
    select(keys) {
      this.selected = new Set(keys);
      this.tellSelection();
    },
    // ---- inside
    rowId(row) {
      return `${this.$el?.id ?? "grid"}-${row.at}`;
    },
    arrange() {
      const { by, descending } = this.sort;
      const text = (row) => fold(Object.values(row.cells).flat().join(" "));
      const order = this.rows.filter((row) => this.words.every((word) => text(row).includes(word)));
      if (by) {
        const value = (row) => row.sort?.[by] ?? row.cells[by] ?? "";
        const compare = (a, b) => {
          const [x, y] = [value(a), value(b)];
          if (x === "" || y === "") return (x === "") - (y === ""); // rows without a value stand last either way
          const difference = typeof x === "number" && typeof y === "number" ? x - y : collator.compare(x, y);
          return descending ? -difference : difference;
        };
        order.sort(compare);
      }
      this.order = Object.freeze(order);
      const narrowed = this.words.length ? order.length : null;
      if (narrowed !== this.narrowed) this.$emit("narrowed", (this.narrowed = narrowed));
      // Who came here before the rows did stands on the first one, as if they had been there.
      if (this.current === null && document.activeElement === this.$refs.box) this.onFocus();
    },
    sortBy(name) {
      const same = this.sort.by === name;
      this.sort = { by: name, descending: same ? !this.sort.descending : false };
      this.arrange();
      this.$emit("sort", this.sort);
    },
    measure() {
      this.height = this.$refs.box?.clientHeight || 600;
      this.width = this.$refs.box?.clientWidth || 10000;
      this.askForMore();
    },
    onScroll() {
      this.top = this.$refs.box.scrollTop;
      this.askForMore();
    },
    askForMore() {
      const end = (this.top + this.height) / this.rowHeight + NEAR_END;
      // Of narrowed rows none may be among those that follow, however many: these are loaded as the user asks for them.
      if (!this.more || this.loading || this.words.length || end < this.order.length) return;
      this.loadMore();
    },
    loadMore() {
      this.loading = true;
      this.$emit("more");
    },
    onFocus() {
      if (this.current === null && this.order.length) this.walk(0);
    },
    onPress(event, row) {
      if (event.button === 1 && row.href) event.preventDefault(); // or the browser begins to scroll by the mouse
      if (event.button !== 0) return;
      if (event.shiftKey) {
        event.preventDefault(); // or the browser selects the text in between
        this.selectRange(this.anchor, row.at);
      } else if (event.ctrlKey || event.metaKey) this.toggle(row);
      else this.anchor = row.at;
      this.walk(row.at);
    },
    // A row's address is a link: the middle button, Ctrl and the context menu open it as everywhere.
    onLink(event) {
      if (event.button === 1 || event.ctrlKey || event.metaKey) event.stopPropagation();
    },
    onLinkClick(event) {
      if (!event.ctrlKey && !event.metaKey) event.preventDefault();
    },
    onMiddle(event, row) {
      if (event.button === 1 && row.href && !event.target.closest("a")) window.open(row.href, "_blank", "noopener");
    },
    onTick(event, row) {
      if (event.shiftKey) this.selectRange(this.anchor, row.at);
      else this.toggle(row);
      this.$refs.box.focus();
    },
    onKey(event) {
      const at = this.currentRow?.at ?? -1;
      const page = Math.max(1, Math.floor(this.height / this.rowHeight) - 2);
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
      if (event.key in steps && !event.ctrlKey && !event.altKey) {
        const to = Math.min(this.order.length - 1, Math.max(0, at + steps[event.key]));
        if (event.shiftKey) this.selectRange(this.anchor, to);
        else this.anchor = to;
        this.walk(to);
      } else if (event.key === " " && at >= 0) this.toggle(this.order[at]);
      else if (event.key === "Enter" && at >= 0) this.$emit("open", this.order[at].key);
      else if (event.key === "Escape" && this.selected.size) this.selectAll(false);
      else if (event.key === "a" && (event.ctrlKey || event.metaKey)) this.selectAll(true);
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
    walk(at) {
      const row = this.order[at];
      if (!row) return;
      const box = this.$refs.box;
      const head = this.headless ? 0 : this.rowHeight;
      const [above, below] = [at * this.rowHeight, (at + 1) * this.rowHeight + head];
      if (above < box.scrollTop) box.scrollTop = above;
      else if (below > box.scrollTop + this.height) box.scrollTop = below - this.height;
      if (row.key === this.current) return;
      this.current = row.key;
      clearTimeout(this.settling);
      this.settling = setTimeout(() => this.$emit("current", this.current), SETTLE);
    },
    toggle(row) {
      if (!this.selectable) return;
      if (!this.selected.delete(row.key)) this.selected.add(row.key);
      this.anchor = this.order.findIndex((other) => other.key === row.key);
      this.tellSelection();
    },
    selectRange(from, to) {
      if (!this.selectable) return;
      const [first, last] = from < to ? [from, to] : [to, from];
      this.selected = new Set(this.order.slice(first, last + 1).map((row) => row.key));
      this.tellSelection();
    },
    selectAll(all) {
      if (!this.selectable) return;
      this.selected = new Set(all ? this.rows.map((row) => row.key) : []);
      this.tellSelection();
    },
    tellSelection() {
      this.$emit("select", [...this.selected]);
    },
    resize(event, column, index) {
      const head = event.target.parentElement;
      const [start, width] = [event.clientX, head.getBoundingClientRect().width];
      const move = (to) => (this.widths = { ...this.widths, [column.name]: Math.max(36, Math.round(width + to.clientX - start)) });
      const end = () => {
        removeEventListener("pointermove", move);
        removeEventListener("pointerup", end);
        this.$emit("widths", this.widths);
      };
      addEventListener("pointermove", move);
      addEventListener("pointerup", end);
    },
  },
};
