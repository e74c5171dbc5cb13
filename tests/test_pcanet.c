/* pcanet: sketched solutions against the normal equations of sketched rows, filters against what makes an eigenvector, images that differ in texture
 * alone, bits, resumed runs, and what is refused.
 */
#include "closed_support.h"
#include "float64_images.h"

#include "learn/closed_pca.h"

/* ---- the sketch ---- */

static const zo_closed *closed_of(const zo_trainer *t) { return t->state; }

/* Every input has one place and one sign; places have as many inputs as any other, or one less; both signs are common. */
static void check_places(const zo_closed *c, size_t width, size_t p)
{
    size_t most = 0, least = width, minus = 0;
    assert_int_equal(c->width, width);
    assert_int_equal(c->p, p);
    for (size_t k = 0; k < p; k++) {
        size_t n = 0;
        for (size_t i = 0; i < width; i++)
            n += c->sketch[i] == (int32_t)k || c->sketch[i] == ~(int32_t)k;
        most = n > most ? n : most, least = n < least ? n : least;
    }
    for (size_t i = 0; i < width; i++) minus += c->sketch[i] < 0;
    assert_true(most - least <= 1 && most * p >= width);
    assert_true(minus > width / 4 && minus < width * 3 / 4);
}

/* relu(x W + b) of example i of the training part, in sums: s [p]. */
static void sketched_row(const zo_net *net, const zo_task *t, const zo_closed *c, size_t i, real *s)
{
    const zo_stage *st = net->stage;
    const float *x = t->part[ZO_TRAIN].x + i * (size_t)t->stride;
    for (size_t k = 0; k < c->p; k++) s[k] = 0;
    for (size_t j = 0; j < c->width; j++) {
        real z = (real)net->params[st->bias + j];
        for (size_t l = 0; l < st->rows; l++)
            z += (real)x[l] * (real)net->params[st->weight + zo_stage_at(st, l, j)];
        int32_t at = c->sketch[j];
        if (z > 0) s[at < 0 ? ~at : at] += at < 0 ? -z : z;
    }
}

/* How far w, b are from  sum (s - mean) (s . w + b - y) + lambda w = 0  and  sum (s . w + b - y) = 0, in units of sum |s| |y|; w [p][q]: read off the
 * layer at one input of each place, every other must say the same. lambda is relative to the mean of the diagonal. */
static double gradient_of(const zo_net *net, const zo_task *t, const zo_closed *c, real lambda)
{
    size_t n = (size_t)t->part[ZO_TRAIN].n, p = c->p, q = c->q;
    const zo_stage *last = net->stage + net->stages - 1;
    real *s = reals(n * p), *mean = reals(p), *w = reals(p * q), *g = reals((p + 1) * q), trace = 0,
         worst = 0;
    for (size_t i = 0; i < n; i++) {
        sketched_row(net, t, c, i, s + i * p);
        for (size_t k = 0; k < p; k++) mean[k] += s[i * p + k] / (real)n;
    }
    for (size_t i = 0; i < n * p; i++) trace += (s[i] - mean[i % p]) * (s[i] - mean[i % p]);
    for (size_t i = 0; i < c->width; i++) {
        int32_t at = c->sketch[i];
        for (size_t j = 0; j < q; j++) {
            real x = (real)net->params[last->weight + zo_stage_at(last, i, j)];
            real *to = w + (size_t)(at < 0 ? ~at : at) * q + j;
            x = at < 0 ? -x : x;
            assert_true(*to == 0 || *to == x); /* inputs of one place share their weight */
            *to = x;
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < q; j++) {
            real off = (real)net->params[last->bias + j] -
                       (t->part[ZO_TRAIN].label[i] == (int32_t)j ? 1 : -1);
            for (size_t k = 0; k < p; k++) off += s[i * p + k] * w[k * q + j];
            for (size_t k = 0; k < p; k++) g[k * q + j] += (s[i * p + k] - mean[k]) * off;
            g[p * q + j] += off;
        }
    }
    for (size_t k = 0; k < p; k++)
        for (size_t j = 0; j < q; j++) g[k * q + j] += lambda * trace / (real)p * w[k * q + j];
    for (size_t i = 0; i < (p + 1) * q; i++) worst = fabsl(g[i]) > worst ? fabsl(g[i]) : worst;
    free(s), free(mean), free(w), free(g);
    return (double)(worst / (real)n);
}

static void solutions_are_those_of_the_sketched_rows(void **state)
{
    (void)state;
    enum { WIDTH = 60, SUMS = 17 };
    zo_task *task = make_task(ctx, 400, 5, 3, 3);
    zo_net *net = make_net(ctx, task, "dense60 relu dense3", 1);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        zo_trainer *t = make_trainer(ctx, task, net, "elm", seed,
                                     SETTINGS("lambda=0.01", "sketch=17", "body=keep"));
        solve(t);
        zo_net *now = (zo_net *)zo_trainer_net(t);
        check_places(closed_of(t), WIDTH, SUMS);
        double good = gradient_of(now, task, closed_of(t), 0.01L);
        if (!(good < 2e-4)) fail_msg("seed %d: gradient %g", (int)seed, good);
        assert_true(gradient_of(now, task, closed_of(t), 0.02L) > 5 * good);
        now->params[net->stage[0].bias] += 0.5f; /* of other features it is no solution */
        assert_true(gradient_of(now, task, closed_of(t), 0.01L) > 5 * good);
        zo_trainer_destroy(t);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* As many sums as inputs, or more: none are needed, and nothing changes. */
static void wide_sketches_are_none(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 200, 5, 3, 3);
    zo_net *net = make_net(ctx, task, "dense30 relu dense3", 1);
    zo_trainer *a = make_trainer(ctx, task, net, "elm", 3, NULL),
               *b = make_trainer(ctx, task, net, "elm", 3, SETTINGS("sketch=30")),
               *c = make_trainer(ctx, task, net, "elm", 3, SETTINGS("sketch=29"));
    solve(a), solve(b), solve(c);
    const zo_net *want = zo_trainer_net(a);
    assert_same_floats(zo_trainer_net(b)->params, want->params, want->arena, "a wide sketch");
    assert_true(memcmp(zo_trainer_net(c)->params, want->params, want->arena * sizeof(float)) != 0);
    assert_null(closed_of(b)->sketch);
    assert_non_null(strstr(zo_trainer_plan(c, 0), "29 sums of its inputs"));
    zo_trainer_destroy(a), zo_trainer_destroy(b), zo_trainer_destroy(c);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- filters ---- */

/* c [d][d] = mean p p^T over examples of n inputs each, whose channels lose their means; a patch is a whole image. */
static void second_moments(const float *x, int64_t n, size_t ld, size_t d, size_t channels, real *c)
{
    real *p = reals(d);
    memset(c, 0, d * d * sizeof *c);
    for (int64_t e = 0; e < n; e++) {
        for (size_t t = 0; t < d; t++) p[t] = (real)x[(size_t)e * ld + t];
        for (size_t k = 0; k < channels; k++) {
            real mean = 0;
            for (size_t t = k; t < d; t += channels) mean += p[t] / (real)(d / channels);
            for (size_t t = k; t < d; t += channels) p[t] -= mean;
        }
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j < d; j++) c[i * d + j] += p[i] * p[j] / (real)n;
    }
    free(p);
}

/* The largest eigenvalue of c [d][d] by the power method: its Rayleigh quotient comes from below. */
static real largest_value(const real *c, size_t d)
{
    real *v = reals(d), *u = reals(d), value = 0;
    for (size_t i = 0; i < d; i++) v[i] = 1 + (real)(i * i % 7) / 3;
    for (int turn = 0; turn < 3000; turn++) {
        real length = 0;
        for (size_t i = 0; i < d; i++) {
            u[i] = 0;
            for (size_t j = 0; j < d; j++) u[i] += c[i * d + j] * v[j];
            length += u[i] * u[i];
        }
        value = sqrtl(length);
        for (size_t i = 0; i < d && value > 0; i++) v[i] = u[i] / value;
    }
    free(v), free(u);
    return value;
}

/* The stage's k filters are eigenvectors of c, of its k largest eigenvalues in order: each is what the power method finds once those before it are
 * taken out. c is spoilt. Returns how far c f is from a multiple of f at most. */
static real check_leading(const zo_net *net, const zo_stage *s, real *c)
{
    size_t d = s->rows;
    real worst = 0, all = largest_value(c, d);
    for (size_t k = 0; k < s->columns; k++) {
        real f[64], cf[64], value = 0, length = 0;
        size_t largest = 0;
        for (size_t t = 0; t < d; t++) {
            f[t] = (real)net->params[s->weight + zo_stage_at(s, t, k)];
            length += f[t] * f[t];
            if (fabsl(f[t]) > fabsl(f[largest])) largest = t;
        }
        assert_near((double)length, 1, 1e-5, 0, "the length of a filter");
        assert_true(f[largest] > 0);
        real want = largest_value(c, d);
        for (size_t i = 0; i < d; i++) {
            cf[i] = 0;
            for (size_t j = 0; j < d; j++) cf[i] += c[i * d + j] * f[j];
            value += cf[i] * f[i];
        }
        assert_near((double)value, (double)want, 1e-4 * (double)all, 1e-3, "an eigenvalue");
        for (size_t i = 0; i < d; i++) worst = fmaxl(worst, fabsl(cf[i] - value * f[i]) / all);
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j < d; j++) c[i * d + j] -= value * f[i] * f[j];
    }
    return worst;
}

/* Images as large as the window have one patch, so that the filters are those of all patches: of two channels, and then of the only map. */
static void filters_are_leading_eigenvectors(void **state)
{
    (void)state;
    enum { SIDE = 4, CHANNELS = 2, D = SIDE * SIDE * CHANNELS, MOST = 300 };
    zo_task *task = make_images(ctx, MOST, SIDE, SIDE, CHANNELS, 3, 3);
    zo_examples *part = &task->part[ZO_TRAIN];
    for (int64_t e = 0; e < part->n; e++) /* some directions move more than others */
        for (int i = 0; i < D; i++)
            part->x[e * task->stride + i] +=
                0.1f * (float)(i % 5) * part->x[e * task->stride + (i + 3) % D];
    zo_net *net = make_net(ctx, task, "conv4x1,same,nobias eachconv4x6,same hashhist4x6 dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "pcanet", 4, SETTINGS("sketch=20"));
    zo_step_info info;
    assert_int_equal(zo_trainer_step(t, 0, &info), ZO_OK);
    const zo_net *now = zo_trainer_net(t);
    real c[D * D];
    second_moments(part->x, part->n, (size_t)task->stride, D, CHANNELS, c);
    real worst = check_leading(now, now->stage, c);
    assert_true(worst < 1e-4L);
    float *map = floats((size_t)part->n * SIDE * SIDE);
    images64 *oracle = images64_of(now);
    for (int64_t e = 0; e < part->n; e++) {
        run64(oracle, part->x + e * task->stride, still);
        for (int i = 0; i < SIDE * SIDE; i++)
            map[e * SIDE * SIDE + i] = (float)oracle->tensor[1][i];
    }
    second_moments(map, part->n, SIDE * SIDE, SIDE * SIDE, 1, c);
    worst = check_leading(now, now->stage + 1, c);
    assert_true(worst < 1e-4L);
    free64(oracle);
    free(map);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Each name of filters= is its own: as drawn, or other numbers for each of the others. */
static void filters_are_those_that_are_named(void **state)
{
    (void)state;
    static const char *const named[] = {"filters=random", "filters=pca", "filters=patches",
                                        "filters=kmeans"};
    enum { NAMED = sizeof named / sizeof *named };
    zo_task *task = make_images(ctx, 300, 8, 8, 1, 3, 3);
    zo_net *net = make_net(ctx, task, "conv3x4,same,nobias relu flatten dense3", 1);
    const zo_stage *s = net->stage;
    zo_trainer *t[NAMED];
    for (int i = 0; i < NAMED; i++) {
        t[i] = make_trainer(ctx, task, net, "pcanet", 4, SETTINGS(named[i]));
        assert_int_equal(zo_trainer_step(t[i], 0, NULL), ZO_OK);
        const float *now = zo_trainer_net(t[i])->params + s->weight;
        if (i == 0) assert_same_floats(now, net->params + s->weight, s->weight_floats, "as drawn");
        for (int k = 0; k < i; k++) {
            const float *other = zo_trainer_net(t[k])->params + s->weight;
            assert_true(memcmp(now, other, s->weight_floats * sizeof *now) != 0);
        }
    }
    for (int i = 0; i < NAMED; i++) zo_trainer_destroy(t[i]);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Of groups of channels the eigenvectors are those of the covariance: here of rows of a table, one group each. */
static void sums_are_principal_components(void **state)
{
    (void)state;
    enum { D = 12 };
    zo_task *task = make_task(ctx, 300, D, 3, 3);
    zo_examples *part = &task->part[ZO_TRAIN];
    real c[D * D] = {0}, mean[D] = {0}, n = (real)part->n;
    for (int64_t e = 0; e < part->n; e++) {
        float *x = part->x + e * task->stride;
        for (int i = 0; i < D; i++) x[i] = 2 + (1 + 0.1f * (float)i) * x[i] + 0.5f * x[(i + 1) % D];
        for (int i = 0; i < D; i++) mean[i] += (real)x[i] / n;
    }
    for (int64_t e = 0; e < part->n; e++) {
        const float *x = part->x + e * task->stride;
        for (int i = 0; i < D; i++)
            for (int j = 0; j < D; j++)
                c[i * D + j] += ((real)x[i] - mean[i]) * ((real)x[j] - mean[j]) / n;
    }
    zo_net *net = make_net(ctx, task, "eachdense12x4 dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "pcanet", 4, SETTINGS("sketch=2"));
    assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
    assert_true(check_leading(zo_trainer_net(t), zo_trainer_net(t)->stage, c) < 1e-4L);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Filters see no constant: adding one to all pixels changes nothing but the outputs whose windows lie outside. */
static void filters_remove_means(void **state)
{
    (void)state;
    zo_task *task = make_images(ctx, 500, 9, 8, 3, 3, 3);
    zo_net *net = make_net(ctx, task, "conv3x5,nobias eachconv3x8,same hashhist3x8 dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "pcanet", 4, SETTINGS("sketch=20"));
    assert_int_equal(zo_trainer_step(t, 0, NULL), ZO_OK);
    const zo_net *now = zo_trainer_net(t);
    for (int i = 0; i < 2; i++) {
        const zo_stage *s = now->stage + i;
        size_t channels = s->rows / 9;
        for (size_t j = 0; j < s->columns; j++) {
            for (size_t k = 0; k < channels; k++) {
                double sum = 0;
                for (size_t at = k; at < s->rows; at += channels)
                    sum += (double)now->params[s->weight + zo_stage_at(s, at, j)];
                assert_near(sum, 0, 1e-5, 0, "a filter's answer to a constant");
            }
        }
    }
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- what it learns ---- */

/* Stripes down, stripes across, or squares, anywhere, light on dark or the other way round: pixels alone say nothing. */
static zo_task *textures(int64_t n, uint64_t seed)
{
    enum { SIDE = 8 };
    float *x = floats((size_t)n * SIDE * SIDE);
    int32_t *label = calloc((size_t)n, sizeof *label);
    assert_non_null(label);
    for (int64_t i = 0; i < n; i++) {
        int kind = (int)(i % 3), y0 = (int)(draw_bits(&seed) >> 60),
            x0 = (int)(draw_bits(&seed) >> 60);
        label[i] = kind;
        for (int at = 0; at < SIDE * SIDE; at++) {
            int row = (at / SIDE + y0) / 2 % 2, column = (at % SIDE + x0) / 2 % 2,
                light = kind == 0   ? column
                        : kind == 1 ? row
                                    : row ^ column;
            x[i * SIDE * SIDE + at] = (float)light + draw(&seed, -0.7, 0.7);
        }
    }
    zo_data_def def = zo_data_default_def();
    def.inputs = SIDE * SIDE, def.height = def.width = SIDE, def.channels = 1;
    def.classes = 3, def.n = n, def.x = x, def.label = label;
    zo_task *task = NULL;
    assert_int_equal(zo_task_from_data(ctx, &def, &task), ZO_OK);
    free(x), free(label);
    return task;
}

static double accuracy_with(const zo_task *task, const char *method, const char *spec,
                            uint64_t seed, const char *const *settings)
{
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer *t = make_trainer(ctx, task, net, method, seed, settings);
    solve(t);
    double accuracy = accuracy_of((zo_net *)zo_trainer_net(t), task, ZO_VALIDATION);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    return accuracy;
}

/* With a sketch of all counts; one seed also with principal components, and with units beside them. */
static void textures_are_told_apart(void **state)
{
    (void)state;
    static const char *const ways[][4] = {{"maps=4", "components=0", "units=0", "sketch=250"},
                                          {"maps=3", "components=6", "units=0", NULL},
                                          {"maps=3", "components=4", "units=100", NULL}};
    char spec[200];
    double linear = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        zo_task *task = textures(700, seed);
        for (int i = 0; i < (seed > 1 ? 1 : 3); i++) {
            const char *const *settings =
                SETTINGS(ways[i][0], ways[i][1], ways[i][2], ways[i][3], NULL);
            if (zo_method_net(ctx, "pcanet", task, settings, spec, sizeof spec))
                fail_msg("%s", zo_last_error(ctx));
            double accuracy = accuracy_with(task, "pcanet", spec, seed, settings);
            if (!(accuracy > 0.95)) fail_msg("%s, seed %d: %.3f", spec, (int)seed, accuracy);
        }
        linear += accuracy_with(task, "elm", "dense3", seed, NULL) / 10;
        zo_task_destroy(task);
    }
    assert_true(linear < 0.5);
}

#define BEHIND(units) "eachdense256x20 flatten scale { " units " }cat dense3"

static void default_nets_fit_the_images(void **state)
{
    (void)state;
    static const struct {
        int height, width, channels;
        const char *spec;
    } sizes[] = {
        {28, 28, 1,
         "conv7x8,same,nobias eachconv7x8,same hashhist7x8,stride4 sqrt " BEHIND(
             "image6 conv5x2500 relu flatten")},
        {32, 32, 3,
         "conv7x8,same,nobias eachconv7x8,same hashhist8x8,stride4 sqrt " BEHIND(
             "image7 conv6x2500 relu flatten")},
        {12, 19, 1,
         "conv5x8,same,nobias eachconv5x8,same hashhist4x8,stride2 sqrt " BEHIND(
             "image5x8 conv4x1000 relu flatten")},
        {8, 8, 1,
         "conv3x8,same,nobias eachconv3x8,same hashhist4x8,stride2 sqrt " BEHIND(
             "image3 conv2x2500 relu flatten")},
        {4, 4, 1,
         "conv3x8,same,nobias eachconv3x8,same hashhist4x8,stride2 sqrt " BEHIND(
             "dense10000 relu")},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char spec[200];
        zo_task *task =
            make_images(ctx, 40, sizes[i].height, sizes[i].width, sizes[i].channels, 3, 3);
        assert_int_equal(zo_method_net(ctx, "pcanet", task, NULL, spec, sizeof spec), ZO_OK);
        assert_string_equal(spec, sizes[i].spec);
        zo_net_destroy(make_net(ctx, task, spec, 1));
        zo_task_destroy(task);
    }
}

/* ---- bits ---- */

#define NET "conv3x3,same,nobias eachconv3x4,same hashhist3x4,stride2 sqrt dense3"

static void bits_depend_on_nothing_else(void **state)
{
    (void)state;
    closed_case c = {"pcanet", NET, SETTINGS("sketch=70", "lambdas=4"), 5000, 6, 7};
    assert_true(check_bits(&c, 1) >= 5); /* filters, statistics, tiles, the solve */
}

/* ---- refusals ---- */

static void refused_net(const zo_task *task, const char *says)
{
    char spec[200];
    assert_int_equal(zo_method_net(ctx, "pcanet", task, NULL, spec, sizeof spec), ZO_USAGE);
    error_says(ctx, says, NULL);
}

static void refused_with(const zo_task *task, const char *spec, const char *const *settings,
                         const char *says)
{
    zo_net *net = make_net(ctx, task, spec, 1);
    zo_trainer_def def = zo_trainer_default_def();
    zo_trainer *t;
    def.settings = settings;
    def.method = "pcanet";
    def.task = task;
    def.net = net;
    assert_int_equal(zo_trainer_create(ctx, &def, &t), ZO_USAGE);
    error_says(ctx, says, NULL);
    zo_net_destroy(net);
}

static void refused_trainer(const zo_task *task, const char *spec, const char *says)
{
    refused_with(task, spec, NULL, says);
}

static void refused_set(const zo_task *task, const char *const *settings, const char *says)
{
    refused_with(task, "conv3x4,same,nobias relu dense3", settings, says);
}

static void what_cannot_be_is_refused_in_one_line(void **state)
{
    (void)state;
    zo_task *table = make_task(ctx, 100, 9, 3, 3), *small = make_images(ctx, 100, 3, 9, 1, 3, 3),
            *images = make_images(ctx, 100, 26, 26, 1, 3, 3);
    refused_net(table, "is for images");
    refused_net(small, "4 x 4 pixels or more");
    refused_trainer(images, "conv3x9 relu dense3", "8 leading vectors");
    refused_trainer(images, "eachconv2x4 relu dense3", "3 leading vectors");
    refused_trainer(images, "conv25x3 relu dense3", "up to 512 numbers");
    refused_set(images, SETTINGS("loss=logistic", "sketch=20"), "loss=logistic is for");
    zo_task_destroy(table), zo_task_destroy(small), zo_task_destroy(images);
}

/* The sums are counted, not the inputs; what does not fit is refused before anything is allocated. */
static void sketches_are_what_is_counted(void **state)
{
    (void)state;
    zo_context *before = ctx;
    zo_context_def def = zo_context_default_def();
    def.memory = 48 << 20;
    assert_int_equal(zo_context_create(&def, &ctx), ZO_OK);
    zo_task *task = make_images(ctx, 100, 8, 8, 1, 3, 3);
    zo_net *net =
        make_net(ctx, task, "conv3x8,same,nobias eachconv3x8,same hashhist4x8,stride2 dense3", 1);
    zo_trainer_def of = zo_trainer_default_def();
    zo_trainer *t;
    of.method = "pcanet";
    of.task = task;
    of.net = net;
    assert_int_equal(zo_trainer_create(ctx, &of, &t), ZO_NO_MEMORY);
    error_says(ctx, "18432 features", NULL);
    of.settings = SETTINGS("sketch=8192");
    assert_int_equal(zo_trainer_create(ctx, &of, &t), ZO_NO_MEMORY);
    error_says(ctx, "8192 sums", "set sketch=", NULL);
    t = make_trainer(ctx, task, net, "pcanet", 1, SETTINGS("sketch=300"));
    solve(t);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
    zo_context_destroy(ctx);
    ctx = before;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solutions_are_those_of_the_sketched_rows),
        cmocka_unit_test(wide_sketches_are_none),
        cmocka_unit_test(filters_are_leading_eigenvectors),
        cmocka_unit_test(filters_are_those_that_are_named),
        cmocka_unit_test(sums_are_principal_components),
        cmocka_unit_test(filters_remove_means),
        cmocka_unit_test(textures_are_told_apart),
        cmocka_unit_test(default_nets_fit_the_images),
        cmocka_unit_test(bits_depend_on_nothing_else),
        cmocka_unit_test(what_cannot_be_is_refused_in_one_line),
        cmocka_unit_test(sketches_are_what_is_counted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
