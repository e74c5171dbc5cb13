/* Left sides of products that are not matrices, in every kernel set, bit for bit against loops written from the rules in kernels.h: runs
 * that lie apart or over each other, convolutions, their transposes, results of several images row by row; and low-rank noise against
 * float64. Operands lie between pages that nobody may touch, with NaN where no term lies.
 */
#include "support.h"

#include <sys/mman.h>

static uint64_t seed = 1;

static size_t below(size_t n) { return (size_t)(draw_bits(&seed) >> 33) % n; }

static uint16_t *draw_signs(size_t n)
{
    uint16_t *signs = malloc(n * sizeof *signs + 1);
    assert_non_null(signs);
    for (size_t i = 0; i < n; i++) signs[i] = (uint16_t)(draw_bits(&seed) >> 20);
    return signs;
}

static float *draw_floats(size_t n, double low, double high)
{
    float *x = floats(n);
    draw_many(&seed, x, n, low, high);
    return x;
}

/* +1 or -1 by bit j of a row of signs. */
static float sign_at(const uint16_t *signs, size_t j)
{
    return signs[j / 16] >> j % 16 & 1 ? -1.0f : 1.0f;
}

/* ---- memory between fences ---- */

/* Floats that begin behind a page, or end before one, that nobody may touch: a kernel that reads too far dies there. */
typedef struct fenced {
    float *at;
    char *map;
    size_t bytes;
} fenced;

static fenced fence(size_t n, bool at_end)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = n * sizeof(float),
           inner = (size + page - 1) / page * page;
    fenced f = {.bytes = inner + 2 * page};
    f.map = mmap(NULL, f.bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f.map != MAP_FAILED);
    assert_true(inner == 0 || mprotect(f.map + page, inner, PROT_READ | PROT_WRITE) == 0);
    f.at = (float *)(void *)(f.map + page + (at_end ? inner - size : 0));
    for (size_t i = 0; i < n; i++) f.at[i] = NAN; /* what is not given a value must not matter */
    return f;
}

static void unfence(fenced *f) { munmap(f->map, f->bytes); }

/* ---- operands ---- */

static size_t rows_of(const zo_operand *a) { return a->rows * a->lines * a->images; }

/* How far from `a` term l of row i lies, where i counts through lines and images. */
static size_t place(const zo_operand *a, size_t i, size_t l)
{
    size_t r = i % a->rows, y = i / a->rows % a->lines, g = i / a->rows / a->lines;
    size_t s = l / a->run, t = l % a->run;
    return g * a->image + y * a->line + r * a->row + (a->start ? a->start[s] : 0) + t * a->step;
}

/* The floats of an operand as given, in just as much memory as they span, NaN where no term lies. */
static fenced fill_operand(zo_operand *a)
{
    size_t m = rows_of(a), k = a->runs * a->run, size = 0;
    for (size_t i = 0; i < m; i++) {
        for (size_t l = 0; l < k; l++) size = place(a, i, l) >= size ? place(a, i, l) + 1 : size;
    }
    fenced f = fence(size, below(2));
    a->a = f.at;
    for (size_t i = 0; i < m; i++) {
        for (size_t l = 0; l < k; l++) f.at[place(a, i, l)] = draw(&seed, -1, 1);
    }
    return f;
}

/* ---- products ---- */

enum {
    BIAS = 1,
    SIGNS = 2,
    NOISE = 4,
    FACTOR_SIGNS = 8,
    FACTOR = 16, /* in place of FACTOR_SIGNS */
    PRE = 32,
    ALIAS = 64, /* pre is c */
    ACTIVATE = 128,
    ACCUMULATE = 256, /* where there is no PRE */
    EVERY_PART = 512
};

/* Where the result lies: `gap` floats between rows, `image_gap` between images; or images row by row, each row of all images together. */
typedef struct layout {
    size_t gap, image_gap;
    bool interleaved;
} layout;

/* All that a product reads and writes. The outputs have room before and behind, which must stay as it is. */
typedef struct problem {
    zo_operand a;
    size_t m, n, k, ldb, ldc, c_image, outputs;
    fenced left;
    float *b, *packed, *bias, *noise, *lift, *factor, *start, *c, *pre;
    uint16_t *signs, *factor_signs;
    zo_epilogue e;
    zo_activation activation; /* ZO_ACTIVATIONS: none */
} problem;

enum { MARGIN = 32 }; /* floats before and behind the outputs */

/* Element j of row i in the outputs. */
static size_t result_at(const problem *p, size_t i, size_t j)
{
    size_t rows = p->a.rows * p->a.lines;
    return MARGIN + i / rows * p->c_image + i % rows * p->ldc + j;
}

static void lay_out(problem *p, layout l)
{
    size_t padded = zo_round16(p->n), rows = p->a.rows * p->a.lines, images = p->a.images;
    p->ldc = padded + l.gap;
    p->c_image = rows * p->ldc + l.image_gap;
    if (l.interleaved) p->c_image = p->ldc, p->ldc = images * p->ldc + l.image_gap;
    p->outputs = 2 * MARGIN;
    if (p->m > 0) p->outputs += result_at(p, p->m - 1, padded) - MARGIN;
    p->start = draw_floats(p->outputs, -1, 1);
    p->c = floats(p->outputs), p->pre = floats(p->outputs);
}

static zo_activation draw_elementwise(int *number)
{
    zo_activation a = (zo_activation)below(ZO_ACTIVATIONS - 1);
    if (a == ZO_WTA) a = ZO_QUANT;
    *number = a == ZO_QUANT ? 1 + (int)below(8) : 0;
    return a;
}

static void draw_epilogue(problem *p, unsigned parts)
{
    size_t padded = zo_round16(p->n), ld = padded + 16 * below(3), rank = 1 + below(4),
           ld_noise = padded + below(20), patterns = p->a.images * rank;
    zo_epilogue *e = &p->e;
    p->bias = draw_floats(padded, -1, 1);
    p->noise = draw_floats(p->m * ld_noise, -2, 2);
    p->lift = draw_floats(p->m * rank, -1, 1);
    p->factor = draw_floats(patterns * ld, -1, 1);
    p->signs = draw_signs(p->m * (ld / 16));
    p->factor_signs = draw_signs(patterns * (ld / 16));
    *e = (zo_epilogue){.ld_signs = ld / 16, .ld_noise = ld_noise, .sigma = 0.3f};
    if (parts & BIAS) e->bias = p->bias;
    if (parts & SIGNS) e->signs = p->signs;
    if (parts & NOISE) e->noise = p->noise;
    if (parts & (FACTOR | FACTOR_SIGNS)) e->lift = p->lift, e->rank = rank, e->ld_factor = ld;
    if (parts & FACTOR)
        e->factor = p->factor;
    else if (parts & FACTOR_SIGNS)
        e->factor_signs = p->factor_signs;
    if (parts & PRE) e->pre = (parts & ALIAS ? p->c : p->pre) + MARGIN;
    e->accumulate = (parts & ACCUMULATE) && !(parts & PRE);
    p->activation = parts & ACTIVATE ? draw_elementwise(&e->number) : ZO_ACTIVATIONS;
}

/* The packed image of b: panels of 32 columns, the last one of 16 where that is enough, zeros in the pad. */
static void naive_pack(float *packed, const float *b, size_t ldb, size_t k, size_t n)
{
    size_t at = 0;
    for (size_t c = 0; c < n; c += 32) {
        size_t width = n - c > 16 ? 32 : 16;
        for (size_t l = 0; l < k; l++) {
            for (size_t j = c; j < c + width; j++) packed[at++] = j < n ? b[l * ldb + j] : 0;
        }
    }
    assert_int_equal(at, zo_packed_size(k, n));
}

static problem make_problem(zo_operand a, size_t n, unsigned parts, layout l)
{
    problem p = {.a = a, .m = rows_of(&a), .n = n, .k = a.runs * a.run, .ldb = n + below(9)};
    p.left = fill_operand(&p.a);
    p.b = draw_floats(p.k * p.ldb + 1, -1, 1);
    p.packed = floats(zo_packed_size(p.k, n));
    lay_out(&p, l);
    draw_epilogue(&p, parts);
    return p;
}

static void free_problem(problem *p)
{
    unfence(&p->left);
    free(p->b), free(p->packed), free(p->bias), free(p->noise), free(p->lift), free(p->factor);
    free(p->start), free(p->c), free(p->pre), free(p->signs), free(p->factor_signs);
}

/* What happens to the sum of row i and column j before the activation. */
static float naive_epilogue(const problem *p, float x, size_t i, size_t j)
{
    const zo_epilogue *e = &p->e;
    size_t g = i / (p->a.rows * p->a.lines);
    if (e->bias) x += e->bias[j];
    if (e->signs) x += e->sigma * sign_at(e->signs + i * e->ld_signs, j);
    if (e->noise) x = fmaf(e->sigma, e->noise[i * e->ld_noise + j], x);
    for (size_t q = 0; q < e->rank; q++) {
        float lift = e->lift[i * e->rank + q];
        size_t pattern = g * e->rank + q;
        if (e->factor)
            x = fmaf(lift, e->factor[pattern * e->ld_factor + j], x);
        else
            x += lift * sign_at(e->factor_signs + pattern * (e->ld_factor / 16), j);
    }
    return e->accumulate ? p->start[result_at(p, i, j)] + x : x;
}

/* What is stored as `pre`: laid out as the outputs. */
static void naive_sums(const problem *p, float *z)
{
    for (size_t i = 0; i < p->m; i++) {
        for (size_t j = 0; j < p->n; j++) {
            float x = 0;
            for (size_t l = 0; l < p->k; l++)
                x = fmaf(p->a.a[place(&p->a, i, l)], p->b[l * p->ldb + j], x);
            z[result_at(p, i, j)] = naive_epilogue(p, x, i, j);
        }
    }
}

/* Of every output: 2 where a result lies, 1 where rows are padded, which has no meaning, 0 where nothing may be written. */
static unsigned char *uses_of(const problem *p)
{
    unsigned char *use = calloc(p->outputs, 1);
    assert_non_null(use);
    for (size_t i = 0; i < p->m; i++) {
        for (size_t j = 0; j < zo_round16(p->n); j++) use[result_at(p, i, j)] = j < p->n ? 2 : 1;
    }
    return use;
}

static void describe(const problem *p, const char *set, char *text, size_t size)
{
    const zo_operand *a = &p->a;
    const zo_epilogue *e = &p->e;
    snprintf(
        text, size,
        "%s: %zu x %zu, rows %zu x %zu x %zu by %zu, %zu, %zu, terms %zu x %zu by %zu, c by %zu, "
        "%zu,%s%s%s%s%s%s%s activation %d (%d)",
        set, p->m, p->n, a->rows, a->lines, a->images, a->row, a->line, a->image, a->runs, a->run,
        a->step, p->ldc, p->c_image, e->bias ? " bias" : "", e->signs ? " signs" : "",
        e->noise ? " noise" : "", e->factor ? " factor" : "", e->factor_signs ? " factor signs" : "",
        e->pre ? " pre" : "", e->accumulate ? " accumulate" : "", (int)p->activation, e->number);
}

static void check_output(const problem *p, const float *got, const float *wanted,
                         const unsigned char *use, const char *set)
{
    for (size_t i = 0; i < p->outputs; i++) {
        const float *right = use[i] == 2 ? wanted : p->start;
        if (use[i] == 1 || same_float(got[i], right[i])) continue;
        char text[400];
        describe(p, set, text, sizeof text);
        fail_msg("%s: output %zu (%s) is %.9g, not %.9g", text, i - MARGIN,
                 use[i] == 2 ? "a result" : "not to be written", (double)got[i], (double)right[i]);
    }
}

static void run_product(problem *p, const zo_kernels *k, const float *z, const float *h,
                        const unsigned char *use)
{
    zo_epilogue e = p->e;
    if (p->activation != ZO_ACTIVATIONS) e.activate = k->activation[p->activation].activate;
    memcpy(p->c, p->start, p->outputs * sizeof(float));
    memcpy(p->pre, p->start, p->outputs * sizeof(float));
    k->product(p->c + MARGIN, p->ldc, p->c_image, &p->a, p->packed, p->n, &e);
    check_output(p, p->c, h, use, k->info.name);
    if (e.pre == p->pre + MARGIN) check_output(p, p->pre, z, use, k->info.name);
}

/* One product in every set. The activation of the oracle is relu, or any other as the reference set computes it (test_elementwise.c). */
static void check_problem(problem *p)
{
    size_t n = zo_round16(p->outputs);
    float *z = floats(n), *h = floats(n);
    unsigned char *use = uses_of(p);
    naive_sums(p, z);
    naive_pack(p->packed, p->b, p->ldb, p->k, p->n);
    memcpy(h, z, n * sizeof *h);
    if (p->activation == ZO_RELU) {
        for (size_t i = 0; i < n; i++) h[i] = 0 > z[i] ? 0 : z[i];
    } else if (p->activation != ZO_ACTIVATIONS)
        zo_kernels_ref.activation[p->activation].activate(h, n, z, n, 1, n, p->e.number);
    for (int i = 0; kernel_set(i); i++) run_product(p, kernel_set(i), z, h, use);
    free(z), free(h), free(use);
}

static void check_product(zo_operand a, size_t n, unsigned parts, layout l)
{
    problem p = make_problem(a, n, parts, l);
    check_problem(&p);
    free_problem(&p);
}

/* ---- operands of every kind ---- */

static unsigned any_parts(void) { return (unsigned)below(EVERY_PART); }

static layout any_layout(void)
{
    static const size_t gaps[] = {0, 0, 16, 3, 50};
    return (layout){gaps[below(5)], gaps[below(5)], below(3) == 0};
}

enum { MOST_RUNS = 40 };

/* Runs may lie anywhere: apart, over each other, in any order. */
static void draw_starts(size_t *start, size_t runs, size_t reach)
{
    for (size_t s = 0; s < runs; s++) start[s] = below(reach);
}

static size_t any_distance(void)
{
    static const size_t some[] = {0, 1, 2, 3, 7, 16, 30, 64, 256};
    return some[below(9)];
}

static void products_of_any_operand(void **state)
{
    size_t start[MOST_RUNS];
    (void)state;
    for (int times = 0; times < 1500; times++) {
        size_t runs = below(2) ? 1 : 1 + below(9);
        bool table = runs > 1 || below(2);
        draw_starts(start, runs, 1 + below(300));
        zo_operand a = {.rows = 1 + below(times % 4 ? 8 : 40),
                        .lines = 1 + below(5),
                        .images = 1 + below(4),
                        .row = any_distance(),
                        .line = any_distance(),
                        .image = 3 * any_distance(),
                        .runs = runs,
                        .run = 1 + below(times % 3 ? 12 : 50),
                        .step = below(2) ? 1 : any_distance(),
                        .start = table ? start : NULL};
        check_product(a, 1 + below(times % 5 ? 40 : 100), any_parts(), any_layout());
    }
}

static void matrices_between_fences(void **state)
{
    (void)state;
    for (int times = 0; times < 300; times++) {
        size_t m = 1 + below(40), k = below(60);
        check_product(zo_matrix(NULL, k + below(20), m, k), 1 + below(70), any_parts(),
                      any_layout());
        check_product(zo_transposed(NULL, m + below(20), m, k), 1 + below(70), any_parts(),
                      any_layout());
    }
    for (size_t m = 20; m < 200;
         m += 70) { /* rows that may be copied first, and must not be read past their end */
        check_product(zo_matrix(NULL, 512, m, 500 + below(12)), 70, any_parts(), any_layout());
        check_product(zo_transposed(NULL, 256, m, 500 + below(12)), 70, any_parts(), any_layout());
    }
}

/* Sums of more than a thousand terms, with a table and without, and rows a power of two apart. */
static void long_sums_of_images(void **state)
{
    static const struct {
        size_t rows, lines, images, row, line, runs, run, step, n;
    } deep[] = {
        {9, 5, 2, 128, 1024, 9, 128, 1, 40}, {3, 2, 3, 512, 2048, 3, 500, 1, 70},
        {1, 1, 20, 1, 1, 25, 50, 1, 33},     {30, 2, 1, 1024, 5, 1, 1100, 1, 48},
        {14, 3, 2, 1, 14, 1, 1030, 256, 64}, {28, 1, 2, 1, 14, 40, 28, 32, 20},
        {5, 4, 3, 7, 100, 30, 40, 1, 16},    {70, 1, 2, 512, 0, 1, 300, 1, 96},
    };
    size_t start[MOST_RUNS];
    (void)state;
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        for (int times = 0; times < 6; times++) {
            draw_starts(start, deep[i].runs, 4000);
            zo_operand a = {.rows = deep[i].rows,
                            .lines = deep[i].lines,
                            .images = deep[i].images,
                            .row = deep[i].row,
                            .line = deep[i].line,
                            .image = deep[i].lines * deep[i].line,
                            .runs = deep[i].runs,
                            .run = deep[i].run,
                            .step = deep[i].step,
                            .start = deep[i].runs > 1 ? start : NULL};
            check_product(a, deep[i].n, times ? any_parts() : 0, any_layout());
        }
    }
}

static void empty_runs_are_empty_sums(void **state)
{
    size_t start[3] = {5, 0, 2};
    (void)state;
    zo_operand a = {.rows = 3, .lines = 2, .images = 2, .row = 1, .line = 3, .image = 6};
    for (unsigned parts = 0; parts < EVERY_PART; parts += 5) {
        a.start = start, a.runs = 3, a.run = 0, a.step = 1;
        check_product(a, 20, parts, any_layout());
        a.runs = 0, a.run = 4;
        check_product(a, 40, parts, any_layout());
    }
}

static void without_rows_nothing_is_written(void **state)
{
    const size_t counts[3][3] = {{0, 2, 3}, {2, 0, 3}, {2, 3, 0}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        zo_operand a = {.rows = counts[i][0],
                        .lines = counts[i][1],
                        .images = counts[i][2],
                        .runs = 1,
                        .run = 4,
                        .step = 1};
        problem p = {.a = a, .n = 20, .k = 4, .ldc = 32, .c_image = 200, .outputs = 2 * MARGIN};
        p.packed = floats(zo_packed_size(4, 20)), p.start = draw_floats(p.outputs, -1, 1);
        p.c = floats(p.outputs);
        for (int s = 0; kernel_set(s); s++) {
            memcpy(p.c, p.start, p.outputs * sizeof *p.c);
            kernel_set(s)->product(p.c + MARGIN, 32, 200, &a, p.packed, 20, &p.e);
            assert_same_floats(p.c, p.start, p.outputs, "no rows");
        }
        free(p.packed), free(p.start), free(p.c);
    }
}

/* Sums that vanish below zero are -0, and stay so where nothing, or -0, is added. */
static void negative_zeros_are_kept(void **state)
{
    const unsigned parts[] = {0, ACCUMULATE, PRE, BIAS, ACTIVATE, ACCUMULATE | ACTIVATE};
    (void)state;
    for (size_t times = 0; times < 60; times++) {
        problem p = make_problem(zo_matrix(NULL, 3, 1 + below(20), 3), 1 + below(50),
                                 parts[times % 6], any_layout());
        for (size_t i = 0; i < 3 * p.m; i++) p.left.at[i] = -1e-30f;
        for (size_t i = 0; i < 3 * p.ldb; i++) p.b[i] = 1e-30f;
        for (size_t i = 0; i < p.outputs; i++) p.start[i] = -0.0f;
        for (size_t j = 0; j < zo_round16(p.n); j++) p.bias[j] = -0.0f;
        check_problem(&p);
        if (!(parts[times % 6] & ACTIVATE)) assert_int_equal(float_bits(p.c[MARGIN]), 0x80000000);
        free_problem(&p);
    }
}

/* ---- what the test can tell ---- */

/* The bits depend on the order of k and on fused multiply-adds: sums in another order, in two halves, or with rounded products, differ in
 * most elements of a product of this size. So a kernel that takes such a way fails above. */
static void other_ways_to_sum_would_be_seen(void **state)
{
    enum { K = 40, N = 64 };
    float *a = draw_floats(K, -1, 1), *b = draw_floats(K * N, -1, 1);
    int backwards = 0, halves = 0, rounded = 0;
    (void)state;
    for (size_t j = 0; j < N; j++) {
        float right = 0, back = 0, half[2] = {0}, plain = 0;
        for (size_t l = 0; l < K; l++) {
            right = fmaf(a[l], b[l * N + j], right);
            back = fmaf(a[K - 1 - l], b[(K - 1 - l) * N + j], back);
            half[l * 2 / K] = fmaf(a[l], b[l * N + j], half[l * 2 / K]);
            plain += a[l] * b[l * N + j];
        }
        backwards += right != back, halves += right != half[0] + half[1], rounded += right != plain;
    }
    assert_true(backwards > N / 2 && halves > N / 2 && rounded > N / 2);
    free(a), free(b);
}

/* ---- convolutions ---- */

typedef struct convolution {
    size_t images, height, width, pitch, channels, size, stride, dilation, n;
    size_t out_height, out_width;
} convolution;

static convolution draw_convolution(void)
{
    convolution v = {.images = 1 + below(3),
                     .channels = 1 + below(below(3) ? 6 : 40),
                     .size = 1 + below(4),
                     .stride = 1 + below(3),
                     .dilation = 1 + below(2),
                     .n = 1 + below(50)};
    v.out_height = 1 + below(7), v.out_width = 1 + below(20);
    v.height = (v.out_height - 1) * v.stride + (v.size - 1) * v.dilation + 1 + below(v.stride);
    v.width = (v.out_width - 1) * v.stride + (v.size - 1) * v.dilation + 1 + below(v.stride);
    v.pitch = v.channels + (below(2) ? 0 : below(20));
    return v;
}

/* The patches of images: a run for each row of the window where its pixels lie side by side, else for each pixel. */
static zo_operand patches(const convolution *v, size_t *start)
{
    bool whole = v->pitch == v->channels && v->dilation == 1;
    size_t columns = whole ? 1 : v->size;
    for (size_t s = 0; s < v->size * columns; s++)
        start[s] = v->dilation * v->pitch * (s / columns * v->width + s % columns);
    return (zo_operand){.rows = v->out_width,
                        .lines = v->out_height,
                        .images = v->images,
                        .row = v->stride * v->pitch,
                        .line = v->stride * v->width * v->pitch,
                        .image = v->height * v->width * v->pitch,
                        .runs = v->size * columns,
                        .run = v->channels * (whole ? v->size : 1),
                        .step = 1,
                        .start = start};
}

/* Output column j at pixel i of all images: one chain over the window's rows, its columns, the channels. */
static float naive_convolution(const convolution *v, const problem *p, size_t i, size_t j)
{
    size_t x = i % v->out_width, y = i / v->out_width % v->out_height,
           g = i / v->out_width / v->out_height;
    const float *b = p->b + j;
    float sum = 0;
    for (size_t r = 0; r < v->size; r++) {
        for (size_t c = 0; c < v->size; c++) {
            size_t top = y * v->stride + r * v->dilation, left = x * v->stride + c * v->dilation;
            const float *pixel = p->left.at + ((g * v->height + top) * v->width + left) * v->pitch;
            for (size_t q = 0; q < v->channels; q++, b += p->ldb) sum = fmaf(pixel[q], *b, sum);
        }
    }
    return sum;
}

static void convolutions_are_nested_loops(void **state)
{
    size_t start[MOST_RUNS];
    (void)state;
    for (int times = 0; times < 300; times++) {
        convolution v = draw_convolution();
        problem p = make_problem(patches(&v, start), v.n, times % 2 ? BIAS : 0, any_layout());
        check_problem(&p);
        for (size_t i = 0; i < p.m; i++) {
            for (size_t j = 0; j < v.n; j++) {
                float right = naive_convolution(&v, &p, i, j) + (times % 2 ? p.bias[j] : 0);
                assert_same_floats(p.c + result_at(&p, i, j), &right, 1, "convolution");
            }
        }
        free_problem(&p);
    }
}

/* The same patches from the other side, as a direction for the weights sums over the pixels of an output: a row for each weight, a term for
 * each pixel. */
static void patches_may_be_transposed(void **state)
{
    size_t start[MOST_RUNS];
    (void)state;
    for (int times = 0; times < 300; times++) {
        convolution v = draw_convolution();
        for (size_t y = 0; y < v.out_height; y++) start[y] = y * v.stride * v.width * v.pitch;
        zo_operand a = {.rows = v.channels,
                        .lines = v.size,
                        .images = v.size,
                        .row = 1,
                        .line = v.dilation * v.pitch,
                        .image = v.dilation * v.width * v.pitch,
                        .runs = v.out_height,
                        .run = v.out_width,
                        .step = v.stride * v.pitch,
                        .start = start};
        check_product(a, v.n, times % 2 ? ACCUMULATE : any_parts(), any_layout());
    }
}

/* ---- low-rank noise ---- */

/* x (W + sum of scale u v^T) of each image, whose pattern u v^T is its own, in float64. */
static double perturbed(const problem *p, const float *u, size_t ldu, double scale, size_t i,
                        size_t j)
{
    const zo_epilogue *e = &p->e;
    size_t g = i / (p->a.rows * p->a.lines);
    double sum = 0;
    for (size_t l = 0; l < p->k; l++) {
        double weight = (double)p->b[l * p->ldb + j];
        for (size_t q = 0; q < e->rank; q++) {
            size_t pattern = g * e->rank + q;
            const uint16_t *signs = e->factor_signs + pattern * (e->ld_factor / 16);
            double v = e->factor ? (double)e->factor[pattern * e->ld_factor + j]
                                 : (double)sign_at(signs, j);
            weight += scale * (double)u[pattern * ldu + l] * v;
        }
        sum += (double)p->a.a[place(&p->a, i, l)] * weight;
    }
    return sum;
}

/* lift = x u of each image, for every pattern: as project() gives it, from padded rows. */
static void lift_rows(problem *p, const float *u, size_t ldu, float scale, const zo_kernels *k)
{
    size_t rank = p->e.rank, rows = p->a.rows * p->a.lines;
    float *x = floats(p->m * ldu);
    for (size_t i = 0; i < p->m * p->k; i++)
        x[i / p->k * ldu + i % p->k] = p->a.a[place(&p->a, i / p->k, i % p->k)];
    for (size_t pattern = 0; pattern < p->a.images * rank; pattern++) {
        size_t first = pattern / rank * rows;
        k->project(p->lift + first * rank + pattern % rank, rank, x + first * ldu, ldu, rows, p->k,
                   NULL, u + pattern * ldu, scale);
    }
    free(x);
}

/* project() and the epilogue together are a product with weights that no one has formed. */
static void check_low_rank(zo_operand shape, size_t n, unsigned parts, const zo_kernels *k)
{
    problem p = make_problem(shape, n, parts, any_layout());
    size_t ldu = zo_round16(p.k), patterns = p.a.images * p.e.rank;
    float *u = floats(patterns * ldu);
    for (size_t q = 0; q < patterns; q++) draw_many(&seed, u + q * ldu, p.k, -1, 1);
    naive_pack(p.packed, p.b, p.ldb, p.k, n);
    lift_rows(&p, u, ldu, 0.25f, k);
    k->product(p.c + MARGIN, p.ldc, p.c_image, &p.a, p.packed, n, &p.e);
    for (size_t i = 0; i < p.m; i++) {
        for (size_t j = 0; j < n; j++)
            assert_near((double)p.c[result_at(&p, i, j)], perturbed(&p, u, ldu, 0.25, i, j), 1e-4,
                        0, k->info.name);
    }
    free(u);
    free_problem(&p);
}

static void low_rank_noise_is_noise_of_the_weights(void **state)
{
    (void)state;
    for (int times = 0; times < 60; times++) {
        size_t k = 1 + below(60), rows = 1 + below(12);
        zo_operand a = zo_matrix(NULL, k, rows, k);
        a.images = 1 + below(4), a.image = rows * k;
        for (int s = 0; kernel_set(s); s++)
            check_low_rank(a, 1 + below(70), times % 2 ? FACTOR : FACTOR_SIGNS, kernel_set(s));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_any_operand),
        cmocka_unit_test(matrices_between_fences),
        cmocka_unit_test(long_sums_of_images),
        cmocka_unit_test(empty_runs_are_empty_sums),
        cmocka_unit_test(without_rows_nothing_is_written),
        cmocka_unit_test(negative_zeros_are_kept),
        cmocka_unit_test(other_ways_to_sum_would_be_seen),
        cmocka_unit_test(convolutions_are_nested_loops),
        cmocka_unit_test(patches_may_be_transposed),
        cmocka_unit_test(low_rank_noise_is_noise_of_the_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
