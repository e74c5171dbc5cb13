/* Products, packing and column updates of every kernel set, bit for bit against loops written here from the rules in kernels.h: one chain of
 * fused multiply-adds per element, in the order of k, then the epilogue.
 */
#include "support.h"

typedef struct shape {
    size_t m, n, k;
    size_t a_row, a_k; /* 0: the natural ones */
} shape;

/* Everything a product reads, and its epilogue. Outputs have two guard rows, and guard columns where the row distance leaves room. */
typedef struct operands {
    shape s;
    float *a, *b, *packed, *bias, *noise, *start, *c, *pre;
    uint16_t *signs;
    size_t ldb, ldc;
    zo_epilogue e;
} operands;

enum { BIAS = 1, SIGNS = 2, NOISE = 4, PRE = 8, ACTIVATE = 16, ACCUMULATE = 32, ALIAS = 64 };

static uint64_t seed = 1;

static size_t below(size_t n) { return (size_t)(draw_bits(&seed) >> 33) % n; }

static operands make_operands(shape s, unsigned parts)
{
    operands o = {.s = s, .ldb = s.n + below(9), .ldc = zo_round16(s.n) + 16 * below(3)};
    size_t padded = zo_round16(s.n), outputs = (s.m + 2) * o.ldc;
    if (!s.a_k) o.s.a_k = 1;
    if (!s.a_row) o.s.a_row = s.k + below(7);
    size_t na = (s.m - 1) * o.s.a_row + (s.k ? (s.k - 1) * o.s.a_k : 0) + 1;
    o.a = floats(na), o.b = floats(s.k * o.ldb + 1), o.packed = floats(zo_packed_size(s.k, s.n));
    o.bias = floats(padded), o.noise = floats(s.m * o.ldc), o.start = floats(outputs);
    o.c = floats(outputs), o.pre = floats(outputs);
    o.signs = calloc(s.m * (o.ldc / 16), sizeof *o.signs);
    assert_non_null(o.signs);
    draw_many(&seed, o.a, na, -1, 1);
    draw_many(&seed, o.b, s.k * o.ldb + 1, -1, 1);
    draw_many(&seed, o.bias, padded, -1, 1);
    draw_many(&seed, o.noise, s.m * o.ldc, -2, 2);
    draw_many(&seed, o.start, outputs, -1, 1);
    for (size_t i = 0; i < s.m * (o.ldc / 16); i++) o.signs[i] = (uint16_t)draw_bits(&seed);
    o.e = (zo_epilogue){.ld_signs = o.ldc / 16, .ld_noise = o.ldc, .sigma = 0.3f, .ld_pre = o.ldc};
    if (parts & BIAS) o.e.bias = o.bias;
    if (parts & SIGNS) o.e.signs = o.signs;
    if (parts & NOISE) o.e.noise = o.noise;
    if (parts & PRE) o.e.pre = parts & ALIAS ? o.c : o.pre;
    o.e.accumulate = (parts & ACCUMULATE) && !(parts & PRE);
    return o;
}

static void free_operands(operands *o)
{
    free(o->a), free(o->b), free(o->packed), free(o->bias), free(o->noise);
    free(o->start), free(o->c), free(o->pre), free(o->signs);
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

/* One element before the activation. */
static float naive_element(const operands *o, size_t i, size_t j)
{
    const zo_epilogue *e = &o->e;
    float x = 0;
    for (size_t l = 0; l < o->s.k; l++)
        x = fmaf(o->a[i * o->s.a_row + l * o->s.a_k], o->b[l * o->ldb + j], x);
    if (e->bias) x += e->bias[j];
    if (e->signs) x += e->signs[i * e->ld_signs + j / 16] >> j % 16 & 1 ? -e->sigma : e->sigma;
    if (e->noise) x = fmaf(e->sigma, e->noise[i * e->ld_noise + j], x);
    if (e->accumulate) x = o->start[i * o->ldc + j] + x;
    return x;
}

static void naive_sums(const operands *o, float *z)
{
    for (size_t i = 0; i < o->s.m; i++) {
        for (size_t j = 0; j < o->s.n; j++) z[i * o->ldc + j] = naive_element(o, i, j);
    }
}

/* Columns up to n of the rows are `wanted`; what lies past the padded columns, and past the last row, is untouched. */
static void check_output(const operands *o, const float *got, const float *wanted, const char *what)
{
    const shape *s = &o->s;
    char text[200];
    snprintf(text, sizeof text, "%s of %zu x %zu x %zu, a by %zu and %zu", what, s->m, s->n, s->k,
             s->a_row, s->a_k);
    size_t padded = zo_round16(s->n);
    for (size_t i = 0; i < s->m; i++) {
        assert_same_floats(got + i * o->ldc, wanted + i * o->ldc, s->n, text);
        assert_same_floats(got + i * o->ldc + padded, o->start + i * o->ldc + padded,
                           o->ldc - padded, "guard columns");
    }
    assert_same_floats(got + s->m * o->ldc, o->start + s->m * o->ldc, 2 * o->ldc, "guard rows");
}

static void run_product(operands *o, const zo_kernels *k, int activation, const float *z,
                        const float *h)
{
    size_t bytes = (o->s.m + 2) * o->ldc * sizeof(float);
    zo_epilogue e = o->e;
    e.activate = activation < 0 ? NULL : k->activation[activation].activate;
    memcpy(o->c, o->start, bytes);
    memcpy(o->pre, o->start, bytes);
    k->product(o->c, o->ldc, o->a, o->s.a_row, o->s.a_k, o->packed, o->s.m, o->s.n, o->s.k, &e);
    check_output(o, o->c, h, k->info.name);
    if (e.pre == o->pre) check_output(o, o->pre, z, "pre");
}

/* One product in every set. The activation of the oracle is relu, or any other as the reference set computes it (tests of its own). */
static void check_product(shape s, unsigned parts)
{
    operands o = make_operands(s, parts);
    size_t n = (s.m + 2) * o.ldc;
    float *z = floats(n), *h = floats(n);
    int activation = parts & ACTIVATE ? (int)below(ZO_ACTIVATIONS) : -1;
    naive_sums(&o, z);
    memcpy(h, z, n * sizeof *h);
    if (activation == ZO_RELU) {
        for (size_t i = 0; i < n; i++) h[i] = z[i] > 0 ? z[i] : 0;
    } else if (activation >= 0) {
        zo_kernels_ref.activation[activation].activate(h, o.ldc, z, o.ldc, s.m, s.n);
    }
    naive_pack(o.packed, o.b, o.ldb, s.k, s.n);
    for (int i = 0; kernel_set(i); i++) run_product(&o, kernel_set(i), activation, z, h);
    free(z), free(h);
    free_operands(&o);
}

static const size_t sizes[] = {1,  2,  3,  4,  5,  13, 14, 15,  16,  17, 18,
                               31, 32, 33, 34, 47, 64, 65, 100, 257, 300};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void products_of_all_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES - 2; i++) {
        for (size_t j = 0; j < SIZES; j++) {
            size_t k = sizes[below(SIZES)];
            check_product((shape){sizes[i], sizes[j], k, 0, 0}, (unsigned)below(128));
            k = sizes[below(SIZES - 6)];
            check_product((shape){sizes[i], sizes[j], k, 1, sizes[i] + below(5)},
                          (unsigned)below(128));
        }
    }
}

static void products_with_every_epilogue(void **state)
{
    (void)state;
    for (unsigned parts = 0; parts < 128; parts++) {
        check_product((shape){9, 39, 21, 0, 0}, parts);
        check_product((shape){6, 16, 7, 3, 19}, parts); /* both strides free */
        check_product((shape){17, 50, 1030, 0, 0}, parts);
    }
}

/* Long sums, and rows a power of two apart: other orders of work, the same chains. */
static void products_of_long_sums(void **state)
{
    static const shape deep[] = {
        {1, 33, 1025, 0, 0},     {14, 64, 1100, 0, 0},   {57, 100, 1100, 0, 0},
        {24, 48, 1281, 0, 0},    {3, 257, 1300, 0, 0},   {113, 34, 1100, 0, 0},
        {29, 70, 2048, 2048, 1}, {100, 34, 512, 512, 1}, {20, 300, 256, 256, 1},
        {31, 47, 1024, 1024, 1}, {65, 64, 300, 512, 1},  {25, 40, 1100, 1, 25},
        {30, 33, 1536, 1, 32},   {56, 65, 257, 1024, 1}, {7, 31, 1100, 0, 0},
        {19, 33, 1100, 2, 64},
    };
    (void)state;
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        for (int times = 0; times < 3; times++) check_product(deep[i], (unsigned)below(128));
        check_product(deep[i], PRE | ALIAS | ACTIVATE | BIAS);
        check_product(deep[i], PRE | ACTIVATE | SIGNS);
    }
}

static void empty_sums_are_their_epilogue(void **state)
{
    (void)state;
    for (unsigned parts = 0; parts < 32; parts++) check_product((shape){7, 20, 0, 5, 1}, parts);
}

/* Values where sums overflow, vanish or are no numbers: still the same chains. */
static void products_of_extreme_numbers(void **state)
{
    static const float extreme[] = {0.0f,   -0.0f,  1e-45f,   -1e-40f,   1e38f,
                                    -3e38f, 1e-38f, INFINITY, -INFINITY, NAN};
    (void)state;
    for (int times = 0; times < 60; times++) {
        operands o = make_operands((shape){1 + below(20), 1 + below(40), 1 + below(30), 0, 0},
                                   (unsigned)below(128) & ~(unsigned)ACTIVATE);
        size_t few = times % 2 ? 7 : 10, n = (o.s.m + 2) * o.ldc;
        float *z = floats(n);
        for (size_t i = 0; i < 4; i++) {
            o.a[below((o.s.m - 1) * o.s.a_row + o.s.k)] = extreme[below(few)];
            o.b[below(o.s.k * o.ldb)] = extreme[below(few)];
        }
        naive_sums(&o, z);
        naive_pack(o.packed, o.b, o.ldb, o.s.k, o.s.n);
        for (int i = 0; kernel_set(i); i++) run_product(&o, kernel_set(i), -1, z, z);
        free(z);
        free_operands(&o);
    }
}

/* ---- packing ---- */

/* What pack() does to b first: b + sigma * signs, then + sigma * noise. */
static void disturb(float *b, size_t ldb, size_t k, size_t n, float sigma, const uint16_t *signs,
                    size_t ld_signs, const float *noise, size_t ld_noise)
{
    for (size_t l = 0; l < k; l++) {
        for (size_t j = 0; j < n; j++) {
            float *x = b + l * ldb + j;
            if (signs) *x += signs[l * ld_signs + j / 16] >> j % 16 & 1 ? -sigma : sigma;
            if (noise) *x = fmaf(sigma, noise[l * ld_noise + j], *x);
        }
    }
}

/* The columns of a packed image; with `pads` also what pads them. */
static void check_packed(const float *got, const float *wanted, size_t k, size_t n, bool pads)
{
    for (size_t c = 0; c < n; c += 32) {
        size_t width = n - c > 16 ? 32 : 16;
        for (size_t l = 0; l < k; l++) {
            size_t at = c * k + l * width, used = pads || n - c > width ? width : n - c;
            assert_same_floats(got + at, wanted + at, used, "packed");
        }
    }
}

static void check_pack(size_t k, size_t n, int what)
{
    size_t ldb = n + below(5), size = zo_packed_size(k, n), ld_signs = zo_round16(n) / 16;
    float *b = floats(k * ldb + 4), *noise = floats(k * ldb + 4), *wanted = floats(size),
          *got = floats(size + 16);
    float *at = b + below(4); /* rows need not be aligned */
    uint16_t *signs = calloc(k * ld_signs, sizeof *signs);
    assert_non_null(signs);
    draw_many(&seed, at, k * ldb, -1, 1);
    draw_many(&seed, noise, k * ldb, -1, 1);
    for (size_t i = 0; i < k * ld_signs; i++) signs[i] = (uint16_t)draw_bits(&seed);
    float *changed = floats(k * ldb);
    memcpy(changed, at, k * ldb * sizeof *b);
    const uint16_t *s = what & 1 ? signs : NULL;
    const float *x = what & 2 ? noise : NULL;
    disturb(changed, ldb, k, n, 0.7f, s, ld_signs, x, ldb);
    naive_pack(wanted, changed, ldb, k, n);
    for (int i = 0; kernel_set(i); i++) {
        memset(got, 0x7f, (size + 16) * sizeof *got);
        kernel_set(i)->pack(got, at, ldb, k, n, 0.7f, s, ld_signs, x, ldb);
        check_packed(got, wanted, k, n, !s);
        for (size_t j = size; j < size + 16; j++) assert_int_equal(float_bits(got[j]), 0x7f7f7f7f);
    }
    free(b), free(noise), free(wanted), free(got), free(signs), free(changed);
}

static void packing_rearranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        for (int what = 0; what < 4; what++) check_pack(sizes[below(SIZES - 2)], sizes[i], what);
        check_pack(1, sizes[i], 0);
    }
}

static void packing_transposes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        size_t n = sizes[i], k = sizes[below(SIZES)], ldb = k + below(6), ldt = n;
        size_t size = zo_packed_size(k, n);
        float *b = floats(n * ldb), *t = floats(k * ldt), *wanted = floats(size),
              *got = floats(size);
        draw_many(&seed, b, n * ldb, -1, 1);
        for (size_t l = 0; l < k; l++) {
            for (size_t j = 0; j < n; j++) t[l * ldt + j] = b[j * ldb + l];
        }
        naive_pack(wanted, t, ldt, k, n);
        for (int s = 0; kernel_set(s); s++) {
            memset(got, 0x7f, size * sizeof *got);
            kernel_set(s)->pack_transposed(got, b, ldb, k, n);
            assert_same_floats(got, wanted, size, "packed transpose");
        }
        free(b), free(t), free(wanted), free(got);
    }
}

/* ---- one moved unit ---- */

static void check_update(size_t m, size_t n, size_t k, int activation)
{
    enum { EXAMPLES = 5 };
    size_t ld = zo_round16(n) + 16 * below(2);
    float *w = floats(k * n), *packed = floats(zo_packed_size(k, n)), *z = floats(EXAMPLES * ld),
          *wanted = floats(m * ld), *got = floats(m * ld);
    zo_move moves[100];
    draw_many(&seed, w, k * n, -1, 1);
    draw_many(&seed, z, EXAMPLES * ld, -1, 1);
    naive_pack(packed, w, n, k, n);
    for (size_t r = 0; r < m; r++) {
        moves[r] = (zo_move){(int32_t)below(EXAMPLES), (int32_t)below(k), draw(&seed, -1, 1)};
        for (size_t j = 0; j < n; j++)
            wanted[r * ld + j] = fmaf(moves[r].change, w[(size_t)moves[r].unit * n + j],
                                      z[(size_t)moves[r].example * ld + j]);
    }
    if (activation >= 0)
        zo_kernels_ref.activation[activation].activate(wanted, ld, wanted, ld, m, n);
    for (int s = 0; kernel_set(s); s++) {
        const zo_kernels *set = kernel_set(s);
        set->column_update(got, ld, moves, m, z, ld, packed, k, n,
                           activation < 0 ? NULL : set->activation[activation].activate);
        for (size_t r = 0; r < m; r++)
            assert_same_floats(got + r * ld, wanted + r * ld, n, "column update");
    }
    free(w), free(packed), free(z), free(wanted), free(got);
}

static void column_updates_of_all_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        for (int a = -1; a < ZO_ACTIVATIONS; a++)
            check_update(sizes[below(SIZES - 2)], sizes[i], sizes[below(SIZES)], a);
        check_update(1, sizes[i], 1, -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_all_sizes),
        cmocka_unit_test(products_with_every_epilogue),
        cmocka_unit_test(products_of_long_sums),
        cmocka_unit_test(empty_sums_are_their_epilogue),
        cmocka_unit_test(products_of_extreme_numbers),
        cmocka_unit_test(packing_rearranges),
        cmocka_unit_test(packing_transposes),
        cmocka_unit_test(column_updates_of_all_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
