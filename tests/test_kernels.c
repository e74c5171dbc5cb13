/* Products of every kernel set, bit for bit against loops written here from the rules in kernels.h: one chain of fused multiply-adds per
 * element, in the order of k, then the epilogue. And packing.
 */
#include "support.h"

/* What is asked for: rows, lines and images of the left side, its runs, columns of the right side; distances, or 0 for the natural ones. */
typedef struct shape {
    size_t rows, lines, images, runs, run, n;
    size_t row, step;
} shape;

/* Everything a product reads, and its epilogue. Outputs have guards: between rows, between images, behind the last. */
typedef struct scene {
    shape s;
    zo_operand a;
    size_t k, m, ldb, ldc, c_image, outputs;
    float *memory, *b, *packed, *bias, *noise, *lift, *factor, *start, *c, *pre;
    uint16_t *signs, *factor_signs;
    size_t *begin;
    zo_epilogue e;
} scene;

enum {
    BIAS = 1,
    SIGNS = 2,
    NOISE = 4,
    LIFT = 8,
    NUMBERS = 16, /* the factor's: not signs */
    PRE = 32,
    ALIAS = 64,
    ACTIVATE = 128,
    ACCUMULATE = 256,
    PARTS = 512
};

static uint64_t seed = 1;

static size_t below(size_t n) { return (size_t)(draw_bits(&seed) >> 33) % n; }

static float *drawn(size_t n, double low, double high)
{
    float *p = floats(n);
    draw_many(&seed, p, n, low, high);
    return p;
}

static uint16_t *drawn_bits(size_t n)
{
    uint16_t *p = calloc(n ? n : 1, sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = (uint16_t)draw_bits(&seed);
    return p;
}

/* A left side that begins anywhere in a cache line and ends with the last number that may be read. */
static void make_operand(scene *o)
{
    const shape *s = &o->s;
    size_t step = s->step ? s->step : 1, row = s->row ? s->row : s->run * step + below(7),
           gaps = below(2), line = s->rows * row + gaps * below(5),
           image = s->lines * line + gaps * below(9), shift = below(16), last = 0;
    o->begin = calloc(s->runs, sizeof *o->begin);
    assert_non_null(o->begin);
    for (size_t i = 0; i < s->runs; i++) {
        o->begin[i] = s->runs > 1 ? below(40) : 0;
        last = last > o->begin[i] ? last : o->begin[i];
    }
    size_t floats_used = (s->images - 1) * image + (s->lines - 1) * line + (s->rows - 1) * row +
                         last + (s->run ? (s->run - 1) * step : 0) + 1;
    o->memory = drawn(shift + floats_used, -1, 1);
    o->a = (zo_operand){.a = o->memory + shift,
                        .rows = s->rows,
                        .lines = s->lines,
                        .images = s->images,
                        .row = row,
                        .line = line,
                        .image = image,
                        .runs = s->runs,
                        .run = s->run,
                        .step = step,
                        .start = s->runs > 1 || below(2) ? o->begin : NULL};
}

static void make_epilogue(scene *o, unsigned parts)
{
    size_t padded = zo_round16(o->s.n), ld = padded + 16 * below(3), rank = 1 + below(3);
    o->bias = drawn(padded, -1, 1);
    o->noise = drawn(o->m * ld, -2, 2);
    o->lift = drawn(o->m * rank, -1, 1);
    o->factor = drawn(o->s.images * rank * ld, -2, 2);
    o->signs = drawn_bits(o->m * ld / 16);
    o->factor_signs = drawn_bits(o->s.images * rank * ld / 16);
    o->e = (zo_epilogue){.ld_signs = ld / 16, .ld_noise = ld, .sigma = 0.3f};
    if (parts & BIAS) o->e.bias = o->bias;
    if (parts & SIGNS) o->e.signs = o->signs;
    if (parts & NOISE) o->e.noise = o->noise;
    if (parts & LIFT) o->e.lift = o->lift, o->e.rank = rank, o->e.ld_factor = ld;
    if (parts & LIFT && parts & NUMBERS) o->e.factor = o->factor;
    if (parts & LIFT && !(parts & NUMBERS)) o->e.factor_signs = o->factor_signs;
    if (parts & PRE) o->e.pre = parts & ALIAS ? o->c : o->pre;
    o->e.accumulate = (parts & ACCUMULATE) && !(parts & PRE);
}

static void naive_pack(float *packed, const float *b, size_t ldb, size_t k, size_t n);

static scene make_scene(shape s, unsigned parts)
{
    scene o = {.s = s, .k = s.runs * s.run, .m = s.rows * s.lines * s.images};
    o.ldb = s.n + below(9);
    o.ldc = zo_round16(s.n) + below(20);
    o.c_image = s.rows * s.lines * o.ldc + below(2) * below(30);
    o.outputs = s.images * o.c_image + 40;
    make_operand(&o);
    o.b = drawn(o.k * o.ldb + 1, -1, 1);
    o.packed = floats(zo_packed_size(o.k, s.n));
    o.start = drawn(o.outputs, -1, 1);
    o.c = floats(o.outputs), o.pre = floats(o.outputs);
    make_epilogue(&o, parts);
    naive_pack(o.packed, o.b, o.ldb, o.k, s.n);
    return o;
}

static void free_scene(scene *o)
{
    free(o->memory), free(o->b), free(o->packed), free(o->bias), free(o->noise), free(o->lift);
    free(o->factor), free(o->start), free(o->c), free(o->pre), free(o->signs);
    free(o->factor_signs), free(o->begin);
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

static float signed_by(float x, const uint16_t *signs, size_t j)
{
    return signs[j / 16] >> j % 16 & 1 ? -x : x;
}

/* Where row i of all rows lies in the result. */
static size_t row_at(const scene *o, size_t i)
{
    size_t per_image = o->s.rows * o->s.lines;
    return i / per_image * o->c_image + i % per_image * o->ldc;
}

/* One element before the activation. */
static float naive_element(const scene *o, size_t i, size_t j)
{
    const zo_epilogue *e = &o->e;
    const shape *s = &o->s;
    size_t g = i / (s->rows * s->lines), y = i / s->rows % s->lines, r = i % s->rows;
    const float *row = o->a.a + g * o->a.image + y * o->a.line + r * o->a.row;
    float x = 0;
    for (size_t l = 0; l < o->k; l++)
        x = fmaf(row[o->begin[l / s->run] + l % s->run * o->a.step], o->b[l * o->ldb + j], x);
    if (e->bias) x += e->bias[j];
    if (e->signs) x += signed_by(e->sigma, e->signs + i * e->ld_signs, j);
    if (e->noise) x = fmaf(e->sigma, e->noise[i * e->ld_noise + j], x);
    for (size_t q = 0; q < e->rank; q++) {
        float lift = e->lift[i * e->rank + q];
        size_t at = (g * e->rank + q) * e->ld_factor;
        if (e->factor)
            x = fmaf(lift, e->factor[at + j], x);
        else
            x += signed_by(lift, e->factor_signs + at / 16, j);
    }
    if (e->accumulate) x = o->start[row_at(o, i) + j] + x;
    return x;
}

/* All that is stored: z before the activation, h after it. */
static void naive_product(const scene *o, float *z, float *h, int activation, int number)
{
    memcpy(z, o->start, o->outputs * sizeof *z);
    memcpy(h, o->start, o->outputs * sizeof *h);
    for (size_t i = 0; i < o->m; i++) {
        float *to = z + row_at(o, i), *then = h + row_at(o, i);
        for (size_t j = 0; j < o->s.n; j++) to[j] = naive_element(o, i, j);
        memcpy(then, to, o->s.n * sizeof *z);
        if (activation == ZO_RELU) { /* any other as the reference set computes it: tests of its own */
            for (size_t j = 0; j < o->s.n; j++) then[j] = to[j] > 0 || isnan(to[j]) ? to[j] : 0;
        } else if (activation >= 0) {
            float *one = floats(zo_round16(o->s.n));
            memcpy(one, to, o->s.n * sizeof *one);
            zo_kernels_ref.activation[activation].activate(one, 0, one, 0, 1, o->s.n, number);
            memcpy(then, one, o->s.n * sizeof *one);
            free(one);
        }
    }
}

/* Columns up to n of the rows are `wanted`; all but the pad of the rows is untouched. */
static void check_output(const scene *o, const float *got, const float *wanted, const char *what)
{
    const shape *s = &o->s;
    char text[200];
    snprintf(text, sizeof text, "%s of (%zu x %zu x %zu) x %zu x (%zu x %zu), row %zu step %zu",
             what, s->images, s->lines, s->rows, s->n, s->runs, s->run, o->a.row, o->a.step);
    size_t padded = zo_round16(s->n), done = 0;
    for (size_t i = 0; i < o->m; i++) {
        size_t at = row_at(o, i);
        assert_same_floats(got + done, o->start + done, at - done, "guards");
        assert_same_floats(got + at, wanted + at, s->n, text);
        done = at + padded;
    }
    assert_same_floats(got + done, o->start + done, o->outputs - done, "guards at the end");
}

static void run_product(scene *o, const zo_kernels *k, int activation, int number, const float *z,
                        const float *h)
{
    zo_epilogue e = o->e;
    e.activate = activation < 0 ? NULL : k->activation[activation].activate;
    e.number = number;
    memcpy(o->c, o->start, o->outputs * sizeof *o->c);
    memcpy(o->pre, o->start, o->outputs * sizeof *o->c);
    k->product(o->c, o->ldc, o->c_image, &o->a, o->packed, o->s.n, &e);
    check_output(o, o->c, h, k->info.name);
    if (e.pre == o->pre) check_output(o, o->pre, z, "pre");
}

static void check_scene(scene *o, unsigned parts)
{
    float *z = floats(o->outputs), *h = floats(o->outputs);
    int activation = parts & ACTIVATE ? (int)below(ZO_WTA) : -1, number = 1 + (int)below(8);
    naive_product(o, z, h, activation, number);
    for (int i = 0; kernel_set(i); i++) run_product(o, kernel_set(i), activation, number, z, h);
    free(z), free(h);
}

/* One product in every set. */
static void check_product(shape s, unsigned parts)
{
    scene o = make_scene(s, parts);
    check_scene(&o, parts);
    free_scene(&o);
}

static void check_matrix(size_t m, size_t n, size_t k, unsigned parts)
{
    check_product((shape){m, 1, 1, 1, k, n, 0, 0}, parts);
}

static const size_t sizes[] = {1,  2,  3,  4,  5,  13, 14, 15,  16,  17, 18,
                               31, 32, 33, 34, 47, 64, 65, 100, 257, 300};
enum { SIZES = sizeof sizes / sizeof *sizes };

static unsigned any_parts(void) { return (unsigned)below(PARTS); }

static void products_of_all_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES - 2; i++) {
        for (size_t j = 0; j < SIZES; j++) {
            size_t m = sizes[i], n = sizes[j], k = sizes[below(SIZES)];
            check_matrix(m, n, k, any_parts());
            k = sizes[below(SIZES - 6)]; /* transposed */
            check_product((shape){m, 1, 1, 1, k, n, 1, m + below(5)}, any_parts());
        }
    }
}

/* Few columns and no terms at all, a row at a time: no product that is too small. */
static void small_products(void **state)
{
    (void)state;
    for (size_t m = 1; m <= 30; m++) {
        for (size_t k = 0; k < 3; k++) {
            check_matrix(m, 1 + below(70), k, any_parts());
            check_matrix(m, 8, k, BIAS | ACTIVATE);
            check_product((shape){m, 1 + below(3), 1 + below(3), 2, k, 20, 0, 0}, any_parts());
        }
    }
}

static void products_with_every_epilogue(void **state)
{
    (void)state;
    for (unsigned parts = 0; parts < PARTS; parts++) {
        check_matrix(9, 39, 21, parts);
        check_product((shape){6, 1, 1, 1, 7, 16, 3, 19}, parts); /* both strides free */
        check_product((shape){5, 3, 2, 3, 4, 37, 0, 0}, parts);
        if (parts % 7 == 0) check_matrix(17, 50, 1030, parts);
    }
}

/* Patches of images: rows in lines in images, terms in runs, each somewhere. */
static void products_of_patches(void **state)
{
    (void)state;
    for (int times = 0; times < 300; times++) {
        shape s = {.rows = 1 + below(times % 3 ? 16 : 40),
                   .lines = 1 + below(6),
                   .images = 1 + below(4),
                   .runs = 1 + below(5),
                   .run = 1 + below(times % 4 ? 9 : 50),
                   .n = 1 + below(70),
                   .row = times % 5 ? 1 + below(20) : 0,
                   .step = times % 6 ? 1 : 1 + below(3)};
        check_product(s, any_parts());
    }
}

/* Long sums, and rows or terms a power of two apart: other orders of work, the same chains. */
static void products_of_long_sums(void **state)
{
    static const shape deep[] = {
        {1, 1, 1, 1, 1025, 33, 0, 0},     {14, 1, 1, 1, 1100, 64, 0, 0},
        {57, 1, 1, 1, 1100, 100, 0, 0},   {24, 1, 1, 1, 1281, 48, 0, 0},
        {3, 1, 1, 1, 1300, 257, 0, 0},    {113, 1, 1, 1, 1100, 34, 0, 0},
        {29, 1, 1, 1, 2048, 70, 2048, 1}, {100, 1, 1, 1, 512, 34, 512, 1},
        {20, 1, 1, 1, 256, 300, 512, 1},  {31, 1, 1, 1, 1024, 47, 1024, 1},
        {65, 1, 1, 1, 300, 64, 512, 1},   {25, 1, 1, 1, 1100, 40, 1, 25},
        {30, 1, 1, 1, 1536, 33, 1, 32},   {56, 1, 1, 1, 257, 65, 1, 1024},
        {7, 1, 1, 1, 2100, 31, 0, 0},     {19, 1, 1, 1, 1100, 33, 2, 64},
        {100, 1, 1, 1, 128, 40, 1, 256},  {33, 1, 1, 1, 600, 10, 1024, 1},
        {16, 1, 1, 1, 3100, 50, 0, 0},    {10, 4, 2, 1, 700, 40, 512, 1},
        {9, 2, 2, 1, 1100, 33, 0, 0},     {12, 2, 2, 3, 400, 20, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        for (int times = 0; times < 3; times++) check_product(deep[i], any_parts());
        check_product(deep[i], PRE | ALIAS | ACTIVATE | BIAS);
        check_product(deep[i], PRE | ACTIVATE | SIGNS);
        check_product(deep[i], BIAS | LIFT);
        check_product(deep[i], ACCUMULATE);
    }
}

/* More rows than are worked on together, whatever the set. */
static void products_of_many_rows(void **state)
{
    (void)state;
    for (int times = 0; times < 3; times++) {
        check_matrix(2500 + below(50), 1 + below(40), 1 + below(8), any_parts());
        check_matrix(700, 40, 300 + below(100), any_parts());
        check_product((shape){3, 40, 9, 2, 3, 17, 0, 0}, any_parts());
        check_product((shape){1, 1, 1200, 1, 5, 33, 0, 0}, any_parts());
        check_product((shape){1000, 1, 1, 1, 20, 50, 1, 1024}, any_parts());
        check_product((shape){400, 1, 1, 1, 280, 36, 512, 1}, any_parts());
    }
}

/* One number that is all terms, all rows, or both: distances may be zero. */
static void products_of_one_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4 * SIZES; i++) {
        scene o =
            make_scene((shape){1 + below(40), 1, 1, 1, sizes[below(SIZES)], sizes[i % SIZES], 1, 1},
                       any_parts());
        if (i % 3 != 1) o.a.row = 0;
        if (i % 3 != 2) o.a.step = 0;
        check_scene(&o, BIAS);
        free_scene(&o);
    }
}

static void products_of_no_rows(void **state)
{
    (void)state;
    for (int i = 0; kernel_set(i); i++) {
        float c = 7, *packed = floats(16);
        zo_operand a = zo_matrix(packed, 1, 0, 1);
        kernel_set(i)->product(&c, 16, 0, &a, packed, 1, &(zo_epilogue){0});
        assert_true(c == 7);
        free(packed);
    }
}

static void empty_sums_are_their_epilogue(void **state)
{
    (void)state;
    for (unsigned parts = 0; parts < PARTS; parts++)
        check_product((shape){7, 1, 1, 1, 0, 20, 5, 1}, parts);
}

/* Values where sums overflow, vanish or are no numbers: still the same chains. */
static void products_of_extreme_numbers(void **state)
{
    static const float extreme[] = {0.0f,   -0.0f,  1e-45f,   -1e-40f,   1e38f,
                                    -3e38f, 1e-38f, INFINITY, -INFINITY, NAN};
    (void)state;
    for (int times = 0; times < 90; times++) {
        unsigned parts = times % 3 ? any_parts() & ~(unsigned)ACTIVATE : BIAS;
        scene o =
            make_scene((shape){1 + below(20), 1, 1, 1, 1 + below(30), 1 + below(40), 0, 0}, parts);
        size_t few = times % 2 ? 7 : 10;
        float *z = floats(o.outputs), *h = floats(o.outputs);
        for (size_t i = 0; i < 4; i++) {
            size_t row = below(o.s.rows), l = below(o.k);
            ((float *)o.a.a)[row * o.a.row + l] = extreme[below(few)];
            o.b[below(o.k * o.ldb)] = extreme[below(few)];
            o.bias[below(o.s.n)] = extreme[below(few)];
        }
        naive_pack(o.packed, o.b, o.ldb, o.k, o.s.n);
        int activation = times % 3 ? -1 : ZO_RELU;
        naive_product(&o, z, h, activation, 0);
        for (int i = 0; kernel_set(i); i++) run_product(&o, kernel_set(i), activation, 0, z, h);
        free(z), free(h);
        free_scene(&o);
    }
}

/* ---- packing ---- */

static void packing_rearranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4 * SIZES; i++) {
        size_t n = sizes[i % SIZES], k = i < SIZES ? 1 : sizes[below(SIZES - 2)],
               ldb = n + below(5), size = zo_packed_size(k, n), shift = below(4);
        float *b = drawn((k - 1) * ldb + n + shift, -1, 1), *wanted = floats(size),
              *got = floats(size + 16);
        naive_pack(wanted, b + shift, ldb, k, n);
        for (int s = 0; kernel_set(s); s++) {
            memset(got, 0x7f, (size + 16) * sizeof *got);
            kernel_set(s)->pack(got, b + shift, ldb, k, n);
            assert_same_floats(got, wanted, size, "packed");
            for (size_t j = size; j < size + 16; j++)
                assert_int_equal(float_bits(got[j]), 0x7f7f7f7f);
        }
        free(b), free(wanted), free(got);
    }
}

/* From a packed matrix: the packed transpose, with zeros in its pad. */
static void packing_transposes(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3 * SIZES; i++) {
        size_t n = sizes[i % SIZES], k = sizes[below(SIZES)], ldb = k + below(6), ldt = n;
        size_t size = zo_packed_size(k, n), size_b = zo_packed_size(n, k);
        float *b = drawn(n * ldb, -1, 1), *t = floats(k * ldt), *wanted = floats(size),
              *got = floats(size), *packed_b = floats(size_b);
        for (size_t l = 0; l < k; l++) {
            for (size_t j = 0; j < n; j++) t[l * ldt + j] = b[j * ldb + l];
        }
        naive_pack(wanted, t, ldt, k, n);
        naive_pack(packed_b, b, ldb, n, k);
        for (size_t l = 0; l < n && k % 16; l++) /* what is in the pad has no meaning */
            packed_b[k / 32 * 32 * n + (l + 1) * (k % 32 > 16 || k % 32 == 0 ? 32 : 16) - 1] = NAN;
        for (int s = 0; kernel_set(s); s++) {
            memset(got, 0x7f, size * sizeof *got);
            kernel_set(s)->repack(got, packed_b, n, k);
            assert_same_floats(got, wanted, size, "transpose of what was packed");
        }
        free(b), free(t), free(wanted), free(got), free(packed_b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_all_sizes),
        cmocka_unit_test(small_products),
        cmocka_unit_test(products_with_every_epilogue),
        cmocka_unit_test(products_of_patches),
        cmocka_unit_test(products_of_long_sums),
        cmocka_unit_test(products_of_many_rows),
        cmocka_unit_test(products_of_one_number),
        cmocka_unit_test(products_of_no_rows),
        cmocka_unit_test(empty_sums_are_their_epilogue),
        cmocka_unit_test(products_of_extreme_numbers),
        cmocka_unit_test(packing_rearranges),
        cmocka_unit_test(packing_transposes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
