/* Windows that move over one image, channels last: pooling and depthwise convolution. */
#ifndef ZO_KERNELS_IMAGES_H
#define ZO_KERNELS_IMAGES_H

/* Along one side of the image, terms first .. last - 1 of a window lie inside. */
typedef struct span {
    size_t first, last;
} span;

/* The window's first term lies at `at` - `outside` in an image of `length`. */
LANES span inside(size_t at, size_t outside, size_t size, size_t dilation, size_t length)
{
    span s = {at < outside ? (outside - at + dilation - 1) / dilation : 0, size};
    size_t end = length + outside;
    if (at + (size - 1) * dilation >= end) s.last = at < end ? (end - at - 1) / dilation + 1 : 0;
    if (s.first > s.last) s.first = s.last;
    return s;
}

/* The part of a window that lies in the image. */
typedef struct view {
    const float *in;      /* its first term */
    size_t term;          /* which one of the window's that is */
    size_t rows, columns; /* terms */
    size_t row, column;   /* floats from one to the next */
} view;

LANES view view_at(const float *in, const zo_window *w, span rows, span columns, size_t y, size_t x)
{
    view v = {.rows = rows.last - rows.first,
              .columns = columns.last - columns.first,
              .row = w->dilation * w->in_width * w->pitch,
              .column = w->dilation * w->pitch,
              .term = rows.first * w->width + columns.first};
    size_t top = y * w->stride + rows.first * w->dilation - w->top,
           left = x * w->stride + columns.first * w->dilation - w->left;
    v.in = v.rows > 0 && v.columns > 0 ? in + (top * w->in_width + left) * w->pitch : in;
    return v;
}

LANES span rows_at(const zo_window *w, size_t y)
{
    return inside(y * w->stride, w->top, w->height, w->dilation, w->in_height);
}

LANES span columns_at(const zo_window *w, size_t x)
{
    return inside(x * w->stride, w->left, w->width, w->dilation, w->in_width);
}

/* Channels that may be read from channel j on: all lanes where pixels are padded, else those that there are. */
LANES size_t readable(const zo_window *w, size_t j)
{
    return w->pitch >= zo_round16(w->channels) ? 16 : lanes_at(j, w->channels);
}

/* Up to four outputs whose windows lie the same way hide each other's latency. The lines of one, for each; `pixels` is a constant where
 * they are used, so what lies past it vanishes. */
#define EACH_PIXEL(X) X(0) X(1) X(2) X(3)
enum { MOST_PIXELS = 4 };

typedef void views_fn(float *out, const view *v, const zo_window *w, const void *with,
                      const size_t pixels);

/* Calls `at` for all outputs in order, with the view of the first of `pixels`. */
LANES void each_views(float *out, const float *in, const zo_window *w, views_fn *at,
                      const void *with)
{
    size_t ld = zo_round16(w->channels);
    for (size_t y = 0; y < w->out_height; y++) {
        span rows = rows_at(w, y);
        for (size_t x = 0; x < w->out_width;) {
            view v = view_at(in, w, rows, columns_at(w, x), y, x);
            size_t last = x + MOST_PIXELS - 1;
            bool whole = v.columns == w->width && last < w->out_width &&
                         columns_at(w, last).last == w->width;
            if (whole)
                at(out, &v, w, with, MOST_PIXELS);
            else
                at(out, &v, w, with, 1);
            x += whole ? MOST_PIXELS : 1;
            out += (whole ? MOST_PIXELS : 1) * ld;
        }
    }
}

/* The first of the largest; but a NaN wins, so that divergence is not hidden. (v_max gives its second if either is a NaN.) */
LANES v16 larger(v16 best, v16 x) { return v_select(v_nan(x), x, v_max(x, best)); }

LANES void pool_channels(float *out, const view *v, size_t next, size_t ld, size_t left,
                         const bool largest, const size_t pixels)
{
    size_t count = v->rows * v->columns;
    bool begun = largest && count > 0;
    v16 parts = v_set(count ? (float)count : 1);
#define BEGIN(p) v16 best##p = begun && p < pixels ? take(v->in + p * next, left) : v_set(0);
#define TERM(p)                                                                                    \
    if (p < pixels) {                                                                              \
        v16 x = take(in + p * next, left);                                                         \
        best##p = largest ? larger(best##p, x) : v_add(best##p, x);                                \
    }
#define END(p)                                                                                     \
    if (p < pixels) v_store(out + p * ld, largest ? best##p : v_div(best##p, parts));
    EACH_PIXEL(BEGIN)
    for (size_t r = 0; r < v->rows; r++) {
        const float *in = v->in + r * v->row + (r == 0 && begun ? v->column : 0);
        for (size_t c = r == 0 && begun; c < v->columns; c++, in += v->column) {
            EACH_PIXEL(TERM)
        }
    }
    EACH_PIXEL(END)
#undef BEGIN
#undef TERM
#undef END
}

/* with: whether the largest is wanted, not the mean. */
LANES void pool_views(float *out, const view *v, const zo_window *w, const void *with,
                      const size_t pixels)
{
    const bool largest = *(const bool *)with;
    size_t ld = zo_round16(w->channels), next = w->stride * w->pitch;
    for (size_t j = 0; j < w->channels; j += 16) {
        view part = *v;
        part.in += j;
        size_t left = readable(w, j);
        if (left == 16)
            pool_channels(out + j, &part, next, ld, 16, largest, pixels);
        else
            pool_channels(out + j, &part, next, ld, left, largest, pixels);
    }
}

static void pool(float *out, const float *in, const zo_window *w, bool largest)
{
    static const bool max = true, mean = false;
    if (largest)
        each_views(out, in, w, pool_views, &max);
    else
        each_views(out, in, w, pool_views, &mean);
}

LANES void depthwise_channels(float *out, const view *v, size_t next, const float *weight,
                              size_t width, size_t ld, v16 bias, size_t left, const size_t pixels)
{
#define BEGIN(p) v16 sum##p = v_set(0);
#define TERM(p)                                                                                    \
    if (p < pixels) sum##p = v_fma(take(in + p * next, left), x, sum##p);
#define END(p)                                                                                     \
    if (p < pixels) v_store(out + p * ld, v_add(sum##p, bias));
    EACH_PIXEL(BEGIN)
    for (size_t r = 0; r < v->rows; r++) {
        const float *in = v->in + r * v->row, *at = weight + (v->term + r * width) * ld;
        for (size_t c = 0; c < v->columns; c++, in += v->column, at += ld) {
            v16 x = v_load(at);
            EACH_PIXEL(TERM)
        }
    }
    EACH_PIXEL(END)
#undef BEGIN
#undef TERM
#undef END
}

typedef struct depthwise_weights {
    const float *weight, *bias;
} depthwise_weights;

LANES void depthwise_views(float *out, const view *v, const zo_window *w, const void *with,
                           const size_t pixels)
{
    const depthwise_weights *d = with;
    size_t ld = zo_round16(w->channels), next = w->stride * w->pitch;
    for (size_t j = 0; j < w->channels; j += 16) {
        view part = *v;
        part.in += j;
        v16 b = d->bias ? v_load(d->bias + j) : v_set(-0.0f); /* x + -0 is x */
        size_t left = readable(w, j);
        if (left == 16)
            depthwise_channels(out + j, &part, next, d->weight + j, w->width, ld, b, 16, pixels);
        else
            depthwise_channels(out + j, &part, next, d->weight + j, w->width, ld, b, left, pixels);
    }
}

static void depthwise(float *out, const float *in, const float *weight, const float *bias,
                      const zo_window *w)
{
    depthwise_weights d = {weight, bias};
    each_views(out, in, w, depthwise_views, &d);
}
#undef EACH_PIXEL

/* Sixteen patches side by side: mean, and 1 / deviation. */
LANES void patch_moments(const float *at, const zo_patches *p, float epsilon, v16 *mean, v16 *by)
{
    v16 sum = v_set(0), square = v_set(0), count = v_set((float)p->terms);
    for (size_t t = 0; t < p->terms; t++) sum = v_add(sum, v_load(at + p->start[t]));
    *mean = v_div(sum, count);
    for (size_t t = 0; t < p->terms; t++) {
        v16 d = v_sub(v_load(at + p->start[t]), *mean);
        square = v_fma(d, d, square);
    }
    *by = v_div(v_set(1), v_sqrt(v_add(v_div(square, count), v_set(epsilon))));
}

static void contrast(float *out, size_t ldo, const zo_patches *p, size_t first, size_t n,
                     float epsilon)
{
    for (size_t y = 0; y < p->lines; y++, out += zo_round16(p->columns)) {
        for (size_t x = 0; x < p->columns; x += 16) {
            const float *at = p->image + y * p->line + x;
            float *to = out + x;
            v16 mean, by;
            patch_moments(at, p, epsilon, &mean, &by);
            for (size_t t = first; t < first + n; t++, to += ldo)
                v_store(to, v_mul(v_sub(v_load(at + p->start[t]), mean), by));
        }
    }
}
#endif
