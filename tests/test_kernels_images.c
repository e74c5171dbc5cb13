/* Pooling and depthwise convolution of every kernel set, bit for bit against loops written here from the rules in kernels.h: terms in the
 * order of the window, those outside the image left out.
 */
#include "support.h"

static uint64_t seed = 5;

static size_t below(size_t n) { return (size_t)(draw_bits(&seed) >> 33) % n; }

/* An image that may be read no further than its last channel, begins anywhere in a cache line if its pixels are not padded, and holds NaNs
 * between its channels and the next pixel. */
typedef struct scene {
    zo_window w;
    size_t ld, outputs;
    float *memory, *in, *weight, *bias, *wanted, *got;
} scene;

static zo_window any_window(void)
{
    static const size_t channels[] = {1, 3, 8, 15, 16, 17, 32, 33, 40, 64};
    zo_window w = {.in_height = 1 + below(14),
                   .in_width = 1 + below(20),
                   .channels = channels[below(sizeof channels / sizeof *channels)],
                   .out_height = 1 + below(12),
                   .out_width = 1 + below(20),
                   .height = 1 + below(5),
                   .width = 1 + below(5),
                   .stride = 1 + below(3),
                   .dilation = 1 + below(3)};
    w.top = below(w.height * w.dilation + 2);
    w.left = below(w.width * w.dilation + 2);
    return w;
}

static scene make_scene(zo_window w, bool padded)
{
    size_t pixels = w.in_height * w.in_width, terms = w.height * w.width,
           shift = padded ? 0 : below(16);
    size_t gap = zo_round16(w.channels) - w.channels;
    w.pitch = padded ? zo_round16(w.channels) + 16 * below(2)
                     : w.channels + (gap && below(3) == 0 ? below(gap) : 0);
    size_t used = padded ? pixels * w.pitch : (pixels - 1) * w.pitch + w.channels;
    scene o = {.w = w, .ld = zo_round16(w.channels)};
    o.outputs = w.out_height * w.out_width * o.ld;
    o.memory = floats(used + shift), o.in = o.memory + shift;
    o.weight = floats(terms * o.ld), o.bias = floats(o.ld);
    o.wanted = floats(o.outputs), o.got = floats(o.outputs + 16);
    draw_many(&seed, o.weight, terms * o.ld, -1, 1);
    draw_many(&seed, o.bias, o.ld, -1, 1);
    for (size_t i = 0; i < used; i++) o.in[i] = i % w.pitch < w.channels ? draw(&seed, -1, 1) : NAN;
    return o;
}

static void free_scene(scene *o)
{
    free(o->memory), free(o->weight), free(o->bias), free(o->wanted), free(o->got);
}

/* Channel c of term (r, q) of the window at (y, x), or NULL outside the image. */
static const float *term(const scene *o, size_t y, size_t x, size_t r, size_t q, size_t c)
{
    const zo_window *w = &o->w;
    long row = (long)(y * w->stride + r * w->dilation) - (long)w->top,
         column = (long)(x * w->stride + q * w->dilation) - (long)w->left;
    bool in = row >= 0 && row < (long)w->in_height && column >= 0 && column < (long)w->in_width;
    return in ? o->in + ((size_t)row * w->in_width + (size_t)column) * w->pitch + c : NULL;
}

typedef enum kind { LARGEST, MEAN, DEPTHWISE, BIASED, KINDS } kind;

static float naive(const scene *o, kind what, size_t y, size_t x, size_t c)
{
    const zo_window *w = &o->w;
    float result = 0;
    int count = 0;
    for (size_t r = 0; r < w->height; r++) {
        for (size_t q = 0; q < w->width; q++) {
            const float *at = term(o, y, x, r, q, c);
            if (!at) continue;
            if (what == LARGEST)
                result = !count || *at > result || isnan(*at) ? *at : result;
            else if (what == MEAN)
                result += *at;
            else
                result = fmaf(*at, o->weight[(r * w->width + q) * o->ld + c], result);
            count++;
        }
    }
    if (what == MEAN && count) result /= (float)count;
    return what == BIASED ? result + o->bias[c] : result;
}

static void run(const zo_kernels *k, const scene *o, kind what)
{
    if (what == LARGEST || what == MEAN)
        k->pool(o->got, o->in, &o->w, what == LARGEST);
    else
        k->depthwise(o->got, o->in, o->weight, what == BIASED ? o->bias : NULL, &o->w);
}

static void check_scene(const scene *o, kind what)
{
    const zo_window *w = &o->w;
    char text[200];
    for (int s = 0; kernel_set(s); s++) {
        snprintf(text, sizeof text, "%s kind %d: %zu x %zu x %zu, window %zu x %zu",
                 kernel_set(s)->info.name, (int)what, w->in_height, w->in_width, w->channels,
                 w->height, w->width);
        for (size_t i = 0; i < o->outputs + 16; i++) o->got[i] = 7;
        run(kernel_set(s), o, what);
        for (size_t i = 0; i < w->out_height * w->out_width; i++) {
            for (size_t c = 0; c < w->channels; c++) {
                float want = naive(o, what, i / w->out_width, i % w->out_width, c);
                assert_same_floats(o->got + i * o->ld + c, &want, 1, text);
            }
        }
        for (size_t i = o->outputs; i < o->outputs + 16; i++) assert_true(o->got[i] == 7);
    }
}

static void check_all(zo_window w, bool padded)
{
    scene o = make_scene(w, padded);
    for (kind what = 0; what < KINDS; what++) check_scene(&o, what);
    free_scene(&o);
}

static void any_windows(void **state)
{
    (void)state;
    for (int times = 0; times < 300; times++) check_all(any_window(), times % 2);
}

/* What networks have: inside the image, or as large as it. */
static void windows_of_networks(void **state)
{
    static const zo_window windows[] = {
        {28, 28, 0, 16, 14, 14, 2, 2, 2, 1, 0, 0}, {28, 28, 0, 1, 24, 24, 5, 5, 1, 1, 0, 0},
        {14, 14, 0, 32, 14, 14, 3, 3, 1, 1, 1, 1}, {9, 31, 0, 20, 9, 31, 3, 3, 1, 1, 1, 1},
        {8, 8, 0, 64, 4, 4, 3, 3, 2, 1, 1, 1},     {7, 7, 0, 24, 1, 1, 7, 7, 7, 1, 0, 0},
        {12, 12, 0, 16, 12, 12, 3, 3, 1, 2, 2, 2}, {5, 5, 0, 3, 5, 5, 5, 5, 1, 1, 2, 2},
        {1, 50, 0, 16, 1, 48, 1, 3, 1, 1, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        check_all(windows[i], true);
        check_all(windows[i], false);
    }
}

/* Of equals the first wins, zeros of either sign are equal, a NaN wins over all; sums go on with what they meet. */
static void windows_over_corners(void **state)
{
    static const float corner[] = {0.0f, -0.0f, 1e-45f, -1e-45f, INFINITY, -INFINITY, NAN, 1};
    (void)state;
    for (int times = 0; times < 200; times++) {
        scene o = make_scene(any_window(), times % 2);
        for (size_t i = 0; i < o.w.in_height * o.w.in_width; i++) {
            for (size_t c = 0; c < o.w.channels; c++)
                o.in[i * o.w.pitch + c] = corner[below(times % 3 ? 6 : 8)];
        }
        for (kind what = 0; what < KINDS; what++) check_scene(&o, what);
        free_scene(&o);
    }
}

/* The last of equals, and a sum by columns, are something else: the tests above would tell. */
static void other_orders_would_be_seen(void **state)
{
    const zo_window w = {12, 12, 0, 16, 8, 8, 3, 5, 1, 1, 0, 0};
    scene o = make_scene(w, true);
    int sums = 0, equals = 0;
    (void)state;
    for (size_t i = 0; i < 64; i++) {
        float sum = 0;
        for (size_t t = 0; t < 15; t++)
            sum = fmaf(*term(&o, i / 8, i % 8, t % 3, t / 3, 0),
                       o.weight[(t % 3 * 5 + t / 3) * o.ld], sum);
        sums += sum != naive(&o, DEPTHWISE, i / 8, i % 8, 0);
    }
    for (size_t i = 0; i < 144; i++) o.in[i * o.w.pitch] = below(2) ? 0.0f : -0.0f;
    for (size_t i = 0; i < 64; i++) {
        float last = *term(&o, i / 8, i % 8, 2, 4, 0);
        equals += !same_float(last, naive(&o, LARGEST, i / 8, i % 8, 0));
    }
    assert_true(sums > 16 && equals > 16);
    free_scene(&o);
}

/* ---- patches of one contrast ---- */

/* Terms first .. first + n - 1 of every patch: sums over all terms, in their order, each patch for itself. */
static void check_contrast(size_t lines, size_t columns, size_t terms, size_t first, size_t n)
{
    size_t across = zo_round16(columns), line = across + below(20), reach = 50,
           ldo = lines * across + below(3) * 8, start[64];
    float *base = floats(lines * line + across + reach + 16), *image = base + below(16),
          *wanted = floats(n * ldo), *got = floats(n * ldo), epsilon = draw(&seed, 0.001, 1);
    draw_many(&seed, base, lines * line + across + reach + 16, -1, 1);
    for (size_t t = 0; t < terms; t++) start[t] = below(reach);
    zo_patches p = {image, lines, columns, line, start, terms};
    for (size_t at = 0; at < lines * columns; at++) {
        size_t y = at / columns, x = at % columns;
        const float *from = image + y * line + x;
        float sum = 0, square = 0;
        for (size_t t = 0; t < terms; t++) sum += from[start[t]];
        float mean = sum / (float)terms;
        for (size_t t = 0; t < terms; t++)
            square = fmaf(from[start[t]] - mean, from[start[t]] - mean, square);
        float by = 1 / sqrtf(square / (float)terms + epsilon);
        for (size_t t = 0; t < n; t++)
            wanted[t * ldo + y * across + x] = (from[start[first + t]] - mean) * by;
    }
    for (int s = 0; kernel_set(s); s++) {
        for (size_t i = 0; i < n * ldo; i++) got[i] = 7;
        kernel_set(s)->contrast(got, ldo, &p, first, n, epsilon);
        for (size_t i = 0; i < n * lines; i++) {
            size_t at = i / lines * ldo + i % lines * across;
            assert_same_floats(got + at, wanted + at, columns, kernel_set(s)->info.name);
        }
        for (size_t t = 0; t < n; t++) {
            for (size_t i = lines * across; i < ldo; i++) assert_true(got[t * ldo + i] == 7);
        }
    }
    free(base), free(wanted), free(got);
}

static void patches_get_one_contrast(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        size_t terms = 1 + below(60), first = below(terms), n = 1 + below(terms - first);
        check_contrast(1 + below(6), 1 + below(40), terms, first, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_windows),
        cmocka_unit_test(windows_of_networks),
        cmocka_unit_test(windows_over_corners),
        cmocka_unit_test(other_orders_would_be_seen),
        cmocka_unit_test(patches_get_one_contrast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
