/* The blocked product of the sets that have vectors.
 *
 * Rows are cut into blocks that fit the registers, blocks are gathered into groups that fit the second cache, and each panel of b meets all
 * blocks of a group. Long sums are cut into parts, and a chain goes on from part to part through the output. Where rows lie so that they
 * push each other out of the nearest cache, the group's part of them is copied first. None of this changes a chain, so none of it changes a
 * bit.
 */
#ifndef ZO_KERNELS_PRODUCT_H
#define ZO_KERNELS_PRODUCT_H

/* Found by bench/kernels on cores with 32 KB and 1 MB of cache. */
enum {
    MOST_BLOCKS = 64,       /* of a group */
    GROUP_FLOATS = 1 << 16, /* of the left side, about */
    DEPTH = 1024,           /* terms of a part */
    COPY_DEPTH = 512,       /* the same where rows are copied */
    LEAST_ROWS = 4 * ZO_TILE_ROWS,
    LOOK = 16, /* terms between two looks ahead */
};

/* Up to ZO_TILE_ROWS rows that are equally far apart, and where they lie in the result. */
typedef struct block {
    const float *a;
    size_t rows, at, i, image;
} block;

/* Memory to fetch before it is needed, a few cache lines at a time. */
typedef struct ahead {
    const char *at, *end;
    size_t lines;
} ahead;

/* What all blocks of a group have in common when they meet one panel. */
typedef struct sweep {
    size_t row, step; /* of the left side */
    bool copied; /* a block's rows lie side by side in a copy, terms as far apart as there are rows */
    const size_t *start;
    size_t run, terms;
    const float *panel;
    size_t width;
    float *out, *sums; /* the result; NULL, or a block whose sums still have to be finished */
    size_t ld;
    bool go_on;          /* from the sums in `out` that the part before left */
    const float *addend; /* what is added to the sums; NULL: what is stored in `out` */
    float floor;         /* takes the place of any sum below it */
    ahead rows, panels;
} sweep;

LANES void look(ahead *a)
{
    for (size_t i = a->lines; i > 0 && a->at < a->end; i--, a->at += 64)
        __builtin_prefetch(a->at, 0, 2);
}

/* The lines of a tile, once for each row. `rows` and `wide` are constants where tile() is called, so what lies past them vanishes, and sums
 * that have names stay in registers, whatever the compiler. */
#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)
#define AT(p, r, ld) ((p) + (size_t)(r) * (ld))
#define BEGIN(r)                                                                                   \
    v16 low##r = s->go_on && r < rows ? v_load(AT(out, r, s->ld)) : v_set(0);                      \
    v16 high##r = s->go_on && r < rows && wide ? v_load(AT(out, r, s->ld) + 16) : v_set(0);
#define FETCH(r)                                                                                   \
    if (r < rows) __builtin_prefetch(AT(next, r, s->ld), 1, 3);                                    \
    if (r < rows && wide) __builtin_prefetch(AT(next, r, s->ld) + 16, 1, 3);
#define TERM(r)                                                                                    \
    if (r < rows) {                                                                                \
        v16 x = v_set(*AT(a, r, row));                                                             \
        low##r = v_fma(x, y, low##r);                                                              \
        if (wide) high##r = v_fma(x, z, high##r);                                                  \
    }
#define END(r)                                                                                     \
    if (r < rows) {                                                                                \
        v_store(out, v_max(floor, v_add(low##r, v_load(addend))));                                 \
        if (wide) v_store(out + 16, v_max(floor, v_add(high##r, v_load(addend + 16))));            \
        out += ld;                                                                                 \
        addend += ld_addend;                                                                       \
    }

/* A block against the columns of a panel from j on: 16, or 32 if `wide`. next: where the next block will be stored. */
LANES void tile(sweep *s, const block *b, const float *next, size_t j, const int rows,
                const bool wide)
{
    float *out = s->out + b->at + j;
    EACH_ROW(BEGIN)
    if (next) {
        next += j;
        EACH_ROW(FETCH)
    }
    const size_t row = s->row, step = s->copied ? (size_t)rows : s->step, width = s->width,
                 *start = s->start;
    const float *a = b->a, *panel = s->panel + j;
    for (size_t left = s->terms, terms; left > 0; left -= terms) {
        if (start) a = b->a + *start++;
        terms = left < s->run ? left : s->run;
        look(&s->rows);
        look(&s->panels);
        for (size_t t = terms; t > 0; t--) {
            v16 y = v_hold(v_load(panel)), z = wide ? v_hold(v_load(panel + 16)) : y;
            EACH_ROW(TERM)
            panel += width;
            a += step;
        }
    }
    const float *addend = s->addend ? s->addend + j : out;
    const v16 floor = v_set(s->floor);
    const size_t ld = s->sums ? ZO_PANEL : s->ld, ld_addend = s->addend ? 0 : s->ld;
    if (s->sums) out = s->sums + j;
    EACH_ROW(END)
}
#undef BEGIN
#undef FETCH
#undef TERM
#undef END

#define CASE(r)                                                                                    \
    case r: tile(s, b, next, j, r, wide); break;

static __attribute__((noinline)) void narrow_tile(sweep *s, const block *b, const float *next,
                                                  size_t j)
{
    const bool wide = false;
    switch (b->rows) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
#if ZO_TILE_ROWS > 6
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
        CASE(13)
        CASE(14)
#endif
    }
}

static __attribute__((noinline)) void wide_tile(sweep *s, const block *b, const float *next)
{
    const bool wide = true;
    const size_t j = 0;
    switch (b->rows) {
        CASE(1)
        CASE(2)
#if ZO_WIDE_ROWS > 2
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
        CASE(13)
        CASE(14)
#endif
    }
}
#undef CASE

/* ---- blocks ---- */

/* The way through the rows of an operand, block by block. */
typedef struct walk {
    const zo_operand *a;
    size_t ldc, c_image, blocks; /* of the result; of a line */
    size_t image, line, block;   /* where it is */
} walk;

/* Blocks of a line are of nearly equal height. */
static block block_at(const walk *w)
{
    const zo_operand *a = w->a;
    size_t first = w->block * a->rows / w->blocks, end = (w->block + 1) * a->rows / w->blocks,
           i = w->line * a->rows + first;
    return (block){.a = a->a + w->image * a->image + w->line * a->line + first * a->row,
                   .rows = end - first,
                   .at = w->image * w->c_image + i * w->ldc,
                   .i = w->image * a->lines * a->rows + i,
                   .image = w->image};
}

static bool walk_on(walk *w)
{
    if (++w->block < w->blocks) return true;
    w->block = 0;
    if (++w->line < w->a->lines) return true;
    w->line = 0;
    return ++w->image < w->a->images;
}

/* The next blocks, with up to `most` rows together; *more says whether others are left. */
static size_t gather(walk *w, block *list, size_t most, bool *more)
{
    size_t n = 0, rows = 0;
    do {
        list[n] = block_at(w);
        rows += list[n++].rows;
        *more = walk_on(w);
    } while (*more && n < MOST_BLOCKS && rows + ZO_TILE_ROWS <= most);
    return n;
}

/* Terms first .. first + terms - 1 of a block's rows, side by side: term l of row r at copy[l * rows + r]. Whole vectors are stored, each
 * over the rest of the one before, so 16 floats past the end are written too. */
static void copy_block(float *copy, const block *b, const zo_operand *a, size_t first, size_t terms)
{
    const float *from = b->a + first * a->step;
    size_t rows = b->rows, l = 0;
    for (; a->step == 1 && l + 16 <= terms; l += 16) {
        v16 x[16];
        for (size_t r = 0; r < 16; r++) x[r] = v_load(from + (r < rows ? r : 0) * a->row + l);
        v_transpose(x);
        for (size_t r = 0; r < 16; r++) v_store(copy + (l + r) * rows, x[r]);
    }
    for (; l < terms; l++) {
        for (size_t r = 0; r < rows; r++) copy[l * rows + r] = from[r * a->row + l * a->step];
    }
}

/* ---- groups ---- */

/* A product under way. */
typedef struct job {
    const zo_operand *a;
    const float *packed;
    const zo_epilogue *e;
    float *c;
    size_t n, k;
    bool quick;          /* the tiles do all that the epilogue asks for */
    size_t parts, depth; /* k in parts of up to depth terms */
    size_t group;        /* rows of a group */
    float *copy;         /* of a group's part, or NULL */
} job;

/* Sums of a block become results. */
static void finish_block(const job *p, const sweep *s, const block *b, size_t column)
{
    const zo_epilogue *e = p->e;
    float *h = p->c + column + b->at, *z = s->out + b->at;
    for (size_t r = 0; r < b->rows; r++) {
        for (size_t j = 0; j < s->width; j += 16) {
            float *to = z + r * s->ld + j;
            v_store(to, finish(v_load(s->sums + r * ZO_PANEL + j), e, to, b->i + r, b->image,
                               column + j));
        }
    }
    if (e->activate)
        e->activate(h, s->ld, z, s->ld, b->rows, s->width, e->number);
    else if (h != z) {
        for (size_t r = 0; r < b->rows; r++)
            memcpy(h + r * s->ld, z + r * s->ld, s->width * sizeof *h);
    }
}

/* All blocks against one panel, whose part of this sweep begins at term `first`. */
static void meet_panel(const job *p, sweep *s, const block *list, size_t blocks, size_t column,
                       size_t first)
{
    s->width = panel_width(column, p->n);
    s->panel = p->packed + column * p->k + first * s->width;
    s->panels.at = (const char *)(s->panel + p->k * s->width);
    s->panels.end = s->panels.at + (column + ZO_PANEL < p->n ? s->terms * s->width * 4 : 0);
    for (size_t i = 0; i < blocks; i++) {
        const block *b = list + i;
        const float *next = i + 1 < blocks ? s->out + b[1].at : NULL;
        if (s->width == ZO_PANEL && b->rows <= ZO_WIDE_ROWS)
            wide_tile(s, b, next);
        else {
            for (size_t j = 0; j < s->width; j += 16) narrow_tile(s, b, next, j);
        }
        if (s->sums) finish_block(p, s, b, column);
    }
}

/* Part `part` of the sums of a group. */
static void meet_part(const job *p, sweep *s, block *list, size_t blocks, size_t part)
{
    float nothing[ZO_PANEL], sums[ZO_TILE_ROWS * ZO_PANEL], *out = s->out;
    size_t first = part * p->k / p->parts;
    bool last = part + 1 == p->parts, quick = last && p->quick;
    s->terms = (part + 1) * p->k / p->parts - first;
    s->go_on = part > 0;
    s->sums = last && !quick ? sums : NULL;
    s->floor = quick && p->e->activate ? 0 : -INFINITY;
    v_store(nothing, v_set(-0.0f)); /* x + -0 is x, for every x */
    v_store(nothing + 16, v_set(-0.0f));
    for (size_t column = 0; column < p->n; column += ZO_PANEL) {
        s->addend = nothing;
        if (quick && p->e->bias) s->addend = p->e->bias + column;
        if (quick && p->e->accumulate) s->addend = NULL;
        s->out = out + column;
        meet_panel(p, s, list, blocks, column, first);
    }
    s->out = out;
}

/* A group looks ahead: each tile fetches its share of the next panel, unless all of b stays in the cache, and of the next group's rows. */
static void plan_ahead(const job *p, sweep *s, const block *list, size_t blocks, const float *next)
{
    size_t panels = (p->n + ZO_PANEL - 1) / ZO_PANEL,
           looks = blocks * (p->depth / (s->run ? s->run : 1) + 1);
    s->rows = s->panels = (ahead){0};
    if (next > list->a && next < list->a + 2 * GROUP_FLOATS) {
        s->rows.at = (const char *)next;
        s->rows.end = s->rows.at + (next - list->a) * 4;
        s->rows.lines = (size_t)(next - list->a) / 16 / (looks * panels * p->parts) + 1;
    }
    if (p->n * p->depth > GROUP_FLOATS) s->panels.lines = p->depth * 2 / looks + 1;
}

static void run_job(const job *p, walk w)
{
    const zo_operand *a = p->a;
    block list[MOST_BLOCKS], part[MOST_BLOCKS];
    sweep s = {.row = p->copy ? 1 : a->row,
               .step = a->step,
               .copied = p->copy != NULL,
               .start = a->start,
               .run = a->start ? a->run : LOOK,
               .out = p->e->pre ? p->e->pre : p->c,
               .ld = w.ldc};
    for (bool more = true; more;) {
        size_t blocks = gather(&w, list, p->group, &more);
        plan_ahead(p, &s, list, blocks, more ? block_at(&w).a : NULL);
        for (size_t q = 0; q < p->parts; q++) {
            size_t first = q * p->k / p->parts, terms = (q + 1) * p->k / p->parts - first;
            float *copy = p->copy;
            for (size_t b = 0; b < blocks; b++) {
                part[b] = list[b];
                part[b].a += first * a->step;
                if (!copy) continue;
                copy_block(copy, list + b, a, first, terms);
                part[b].a = copy;
                copy += terms * list[b].rows;
            }
            meet_part(p, &s, part, blocks, q);
        }
    }
}

static __attribute__((noinline)) void run_with_copy(job *p, walk w)
{
    _Alignas(64) float copy[GROUP_FLOATS + 16];
    p->copy = copy;
    run_job(p, w);
}

/* Whether a block's rows, or the terms of transposed rows, fall into so few sets of the nearest cache (8 lines each, 1024 floats apart)
 * that they do not stay there. Where sums are long a panel passes through the cache too, and half of a set is all that is left. */
static bool crowded(const zo_operand *a, size_t k, size_t rows)
{
    if (a->start) return false;
    if (a->row == 1) return a->step > 0 && a->step % 256 == 0;
    if (a->step != 1 || a->row % 512 != 0) return false;
    return (k >= 256 && rows > 8) || (k > DEPTH && rows > 4 && a->row % 1024 == 0);
}

/* Lines that follow each other as rows do are one line; so are images, where none has noise of its own. Images of one row are rows, as far
 * apart as images are, and so is what they give: *ldc_out. */
static zo_operand joined(zo_operand a, size_t *ldc_out, size_t c_image, const zo_epilogue *e)
{
    if (a.line == a.rows * a.row) a.rows *= a.lines, a.lines = 1;
    if (a.rows == 1 && a.lines == 1 && a.images > 1) a.row = a.image, *ldc_out = c_image;
    size_t ldc = *ldc_out;
    bool alike = a.lines == 1 && a.image == a.rows * a.row && c_image == a.rows * ldc;
    if (alike && e->rank == 0) a.rows *= a.images, a.images = 1;
    return a;
}

static void product(float *c, size_t ldc, size_t c_image, const zo_operand *left,
                    const float *packed, size_t n, const zo_epilogue *e)
{
    if (!(left->rows && left->lines && left->images)) return;
    zo_operand joint = joined(*left, &ldc, c_image, e), *a = &joint;
    size_t k = a->runs * a->run, blocks = (a->rows + ZO_TILE_ROWS - 1) / ZO_TILE_ROWS;
    bool copy = crowded(a, k, a->rows / blocks);
    if (copy && n <= ZO_PANEL) { /* a copy would not pay: one row for each line of a set instead */
        copy = false;
        if (ZO_TILE_ROWS > 8 && a->row != 1) blocks = (a->rows + 7) / 8;
    }
    walk w = {.a = a, .ldc = ldc, .c_image = c_image, .blocks = blocks};
    job p = {.a = a, .packed = packed, .e = e, .c = c, .n = n, .k = k};
    p.quick = !(e->signs || e->noise || e->rank || e->pre || (e->accumulate && e->bias) ||
                (e->activate && e->activate != relu_activate));
    /* A sum that is added to what is stored cannot be kept there. */
    bool whole = a->start || e->accumulate;
    if (whole && k > COPY_DEPTH) copy = false;
    size_t depth = copy ? COPY_DEPTH : DEPTH;
    p.parts = whole || k <= depth ? 1 : (k + depth - 1) / depth;
    p.depth = (k + p.parts - 1) / p.parts;
    p.group = GROUP_FLOATS / (p.depth + 1);
    if (p.group < LEAST_ROWS) p.group = LEAST_ROWS;
    if (copy)
        run_with_copy(&p, w);
    else
        run_job(&p, w);
}
#endif
