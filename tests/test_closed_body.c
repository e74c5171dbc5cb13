/* What closed forms leave fixed: whitened filters against their formula, units of classes, fields, and what scale layers are set to.
 * labels: threads
 */
#include "closed_support.h"

#include "linear/eigen.h"

/* ---- eigenvectors, filters ---- */

static void eigenvectors_make_the_matrix_again(void **state)
{
    (void)state;
    enum { N = 23 };
    double a[N * N], copy[N * N], v[N * N], value[N];
    uint64_t seed = 3;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j <= i; j++) a[i * N + j] = a[j * N + i] = (double)draw(&seed, -1, 1);
    memcpy(copy, a, sizeof a);
    zo_eigen_symmetric(a, N, v, value);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N; j++) {
            double sum = 0, dot = 0;
            for (size_t k = 0; k < N; k++) {
                sum += v[k * N + i] * value[k] * v[k * N + j];
                dot += v[i * N + k] * v[j * N + k];
            }
            assert_near(sum, copy[i * N + j], 1e-12, 0, "the matrix");
            assert_near(dot, i == j, 1e-12, 0, "a product of vectors");
        }
    }
}

/* All patches of 3 x 3 of the training images as "patch" sees them, and their moments. */
enum { D = 9, SIDE = 8, FILTERS = 9 };

typedef struct patches {
    size_t n;
    real *p; /* [n][D] */
    real c[D * D], mean[D];
} patches;

static patches patches_of(const zo_task *task)
{
    const zo_examples *part = &task->part[ZO_TRAIN];
    patches a = {.p = reals((size_t)part->n * SIDE * SIDE * D)};
    for (int64_t e = 0; e < part->n; e++) {
        for (int at = 0; at < SIDE * SIDE; at++) {
            real *p = a.p + a.n * D, m = 0, v = 0;
            int y = at / SIDE, x = at % SIDE;
            if (y + 3 > SIDE || x + 3 > SIDE) continue;
            for (int i = 0; i < D; i++) {
                p[i] = (real)part->x[e * task->stride + (y + i / 3) * SIDE + x + i % 3];
                m += p[i] / D;
            }
            for (int i = 0; i < D; i++) v += (p[i] - m) * (p[i] - m) / D;
            for (int i = 0; i < D; i++) p[i] = (p[i] - m) / sqrtl(v + 0.01L);
            a.n++;
        }
    }
    for (size_t k = 0; k < a.n * D; k++) a.mean[k % D] += a.p[k] / (real)a.n;
    for (size_t k = 0; k < a.n; k++)
        for (int i = 0; i < D * D; i++)
            a.c[i] += (a.p[k * D + (size_t)(i / D)] - a.mean[i / D]) *
                      (a.p[k * D + (size_t)(i % D)] - a.mean[i % D]) / (real)a.n;
    return a;
}

/* The filters that a setting gives; [D][FILTERS] and their biases [FILTERS]. */
static void filters_of(const zo_task *task, const char *setting, real *w, real *bias)
{
    zo_net *net = make_net(ctx, task, "patch3x9 twosided0.25 cells2 sqrt flatten scale dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "conv-elm", 4, SETTINGS(setting));
    zo_step_info info;
    assert_int_equal(zo_trainer_step(t, 0, &info), ZO_OK);
    const zo_net *now = zo_trainer_net(t);
    for (size_t k = 0; k < FILTERS; k++) {
        for (size_t i = 0; i < D; i++)
            w[i * FILTERS + k] =
                (real)now->params[now->stage->weight + zo_stage_at(now->stage, i, k)];
        bias[k] = (real)now->params[now->stage->bias + k];
    }
    zo_trainer_destroy(t);
    zo_net_destroy(net);
}

/* w_a^T (C + 0.05 I) w_b */
static double whitened_product(const patches *p, const real *w, size_t a, size_t b)
{
    real sum = 0;
    for (size_t i = 0; i < D; i++)
        for (size_t j = 0; j < D; j++)
            sum += w[i * FILTERS + a] * w[j * FILTERS + b] * (p->c[i * D + j] + (i == j) * 0.05L);
    return (double)sum;
}

/* The mean over all patches of what the filter that answers most says. */
static double mean_answer(const patches *p, const real *w, const real *bias)
{
    real sum = 0;
    for (size_t n = 0; n < p->n; n++) {
        real most = 0;
        for (size_t k = 0; k < FILTERS; k++) {
            real z = bias[k];
            for (size_t i = 0; i < D; i++) z += p->p[n * D + i] * w[i * FILTERS + k];
            most = fmaxl(most, fabsl(z));
        }
        sum += most;
    }
    return (double)(sum / (real)p->n);
}

/* What whitening promises: over the patches of the training images the outputs of all filters f . Z (p - mu) have mean 0, and with f a basis
 * the variances are those of C / (C + w). Filters are images of unit vectors: (C + w I)^(1/2) W has columns of length 1. Those that are eigenvectors
 * stand at right angles there, and C moves none of them off its line. k-means finds directions that patches answer to more than to themselves. */
static void filters_are_whitened(void **state)
{
    (void)state;
    static const char *const setting[] = {"filters=patches", "filters=pca", "filters=kmeans"};
    zo_task *task = make_images(ctx, 1200, SIDE, SIDE, 1, 3, 3);
    patches all = patches_of(task);
    double answer[3];
    for (int s = 0; s < 3; s++) {
        real w[D * FILTERS], bias[FILTERS];
        filters_of(task, setting[s], w, bias);
        answer[s] = mean_answer(&all, w, bias);
        for (size_t k = 0; k < FILTERS; k++) {
            real want = 0;
            for (size_t i = 0; i < D; i++) want -= all.mean[i] * w[i * FILTERS + k];
            /* the library's patches are a sample of these */
            assert_near(whitened_product(&all, w, k, k), 1, 0.05, 0, "the length of a filter");
            assert_near((double)bias[k], (double)want, 0.05, 0, "its bias");
            for (size_t j = 0; j < k && s == 1; j++)
                assert_near(whitened_product(&all, w, j, k), 0, 0.05, 0, "an angle");
        }
    }
    if (!(answer[2] > 1.02 * answer[0] && answer[2] > 1.02 * answer[1]))
        fail_msg("answers %g, %g, %g", answer[0], answer[1], answer[2]);
    free(all.p);
    zo_task_destroy(task);
}

/* Leading directions: variances along them fall, and are eigenvalues of C; the largest weight is positive. */
static void leading_directions_lead(void **state)
{
    (void)state;
    zo_task *task = make_images(ctx, 1200, SIDE, SIDE, 1, 3, 3);
    zo_examples *part = &task->part[ZO_TRAIN];
    for (int64_t e = 0; e < part->n * task->stride; e++) /* lines that differ in strength */
        part->x[e] *= 1 + (float)(e % task->stride / SIDE % 3) / 2;
    patches all = patches_of(task);
    real w[D * FILTERS], bias[FILTERS], before = INFINITY;
    filters_of(task, "filters=pca", w, bias);
    for (size_t k = 0; k < FILTERS - 1; k++) { /* the last is what contrast leaves nothing of */
        real square = 0, along = 0, off = 0, largest = 0;
        for (size_t i = 0; i < D; i++) {
            real v = w[i * FILTERS + k];
            square += v * v;
            if (fabsl(v) > fabsl(largest)) largest = v;
            for (size_t j = 0; j < D; j++) along += v * all.c[i * D + j] * w[j * FILTERS + k];
        }
        for (size_t i = 0; i < D; i++) {
            real moved = -along / square * w[i * FILTERS + k];
            for (size_t j = 0; j < D; j++) moved += all.c[i * D + j] * w[j * FILTERS + k];
            off += moved * moved;
        }
        assert_true(along / square < before * 1.02L);
        before = along / square;
        assert_near((double)sqrtl(off / square), 0, 0.05, 0, "off the line");
        assert_true(largest > 0);
    }
    free(all.p);
    zo_task_destroy(task);
}

/* Windows over many channels: a filter sees one group of them, the groups are as good as equal and share no channel. */
static void groups_share_the_channels(void **state)
{
    (void)state;
    enum { CHANNELS = 16, TAPS = 49, COLUMNS = 12, GROUPS = 4 };
    static const char *const setting[] = {"filters=patches", "filters=kmeans", "filters=pca"};
    zo_task *task = make_images(ctx, 120, 10, 10, 1, 3, 3);
    zo_net *net =
        make_net(ctx, task, "patch3x8 twosided0.25 patch7x12 twosided0.25 flatten dense3", 1);
    for (int f = 0; f < 3; f++) {
        zo_trainer *t = make_trainer(ctx, task, net, "conv-elm", 4, SETTINGS(setting[f]));
        zo_step_info info;
        assert_int_equal(zo_trainer_step(t, 0, &info), ZO_OK);
        const zo_net *now = zo_trainer_net(t);
        const zo_stage *s = now->stage + 2;
        int owner[CHANNELS];
        assert_int_equal(s->columns, COLUMNS);
        for (int c = 0; c < CHANNELS; c++) owner[c] = -1;
        for (size_t k = 0; k < COLUMNS; k++) {
            int group = (int)k * GROUPS / COLUMNS, seen = 0;
            for (size_t c = 0; c < CHANNELS; c++) {
                int weights = 0;
                for (size_t tap = 0; tap < TAPS; tap++)
                    weights += now->params[s->weight + zo_stage_at(s, tap * CHANNELS + c, k)] != 0;
                if (!weights) continue;
                seen++;
                assert_true(owner[c] == -1 || owner[c] == group);
                owner[c] = group;
            }
            assert_int_equal(seen, CHANNELS / GROUPS);
        }
        zo_trainer_destroy(t);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* ---- units ---- */

/* The weights of unit j. */
static void unit_of(const zo_net *net, size_t j, double *w)
{
    const zo_stage *s = net->stage;
    for (size_t i = 0; i < s->rows; i++)
        w[i] = (double)net->params[s->weight + zo_stage_at(s, i, j)];
}

/* Whether w is the difference of rows x and y, made 1 long. */
static bool is_difference(const double *x, const double *y, size_t n, const double *w)
{
    double length = 0, off = 0;
    for (size_t i = 0; i < n; i++) length += (x[i] - y[i]) * (x[i] - y[i]);
    for (size_t i = 0; i < n; i++) {
        double d = (x[i] - y[i]) / sqrt(length);
        off += (d - w[i]) * (d - w[i]);
    }
    return off < 1e-10;
}

/* Units of dense stage `stage`, which sees `width` features [n][width] of the training rows. */
static void check_differences(const zo_task *task, const zo_net *net, int stage, const double *x,
                              size_t width)
{
    const zo_stage *s = net->stage + stage;
    const zo_examples *part = &task->part[ZO_TRAIN];
    double w[64];
    assert_int_equal(s->rows, width);
    for (size_t j = 0; j < s->columns; j++) {
        bool found = false;
        for (size_t i = 0; i < width; i++)
            w[i] = (double)net->params[s->weight + zo_stage_at(s, i, j)];
        for (int64_t a = 0; a < part->n && !found; a++)
            for (int64_t b = 0; b < part->n && !found; b++)
                found = part->label[a] != part->label[b] &&
                        is_difference(x + (size_t)a * width, x + (size_t)b * width, width, w);
        if (!found) fail_msg("unit %zu is no difference", j);
    }
}

/* In the first layer of inputs; behind a scale layer and another dense one of what these give. */
static void units_of_classes_are_differences(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 60, 6, 3, 3);
    const zo_examples *part = &task->part[ZO_TRAIN];
    zo_net *net = make_net(ctx, task, "dense20 relu scale dense20 relu dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 1, SETTINGS("weights=class", "lambda=0.1"));
    solve(t);
    const zo_net *now = zo_trainer_net(t);
    const zo_stage *first = now->stage, *scale = first + 1;
    double *x = calloc((size_t)part->n * 6, sizeof *x), *h = calloc((size_t)part->n * 20, sizeof *h);
    for (int64_t e = 0; e < part->n; e++) {
        for (int i = 0; i < 6; i++) x[e * 6 + i] = (double)part->x[e * task->stride + i];
        for (size_t j = 0; j < 20; j++) {
            double z = (double)now->params[first->bias + j];
            for (size_t i = 0; i < 6; i++)
                z += x[(size_t)e * 6 + i] *
                     (double)now->params[first->weight + zo_stage_at(first, i, j)];
            h[(size_t)e * 20 + j] = (z > 0 ? z : 0) * (double)now->params[scale->weight + j] +
                                    (double)now->params[scale->bias + j];
        }
    }
    check_differences(task, now, 0, x, 6);
    check_differences(task, now, 2, h, 20);
    free(x), free(h);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Whether w is a sum of the rows of class k, each with some sign, made 1 long. */
static bool is_sum(const zo_task *task, int k, const double *w)
{
    const zo_examples *part = &task->part[ZO_TRAIN];
    const float *row[16];
    int n = 0;
    for (int64_t e = 0; e < part->n; e++)
        if (part->label[e] == k) row[n++] = part->x + e * task->stride;
    assert_true(n > 1 && n < 12);
    for (int signs = 0; signs < 1 << n; signs++) {
        double sum[6] = {0}, length = 0, off = 0;
        for (int r = 0; r < n; r++)
            for (int i = 0; i < 6; i++) sum[i] += (double)row[r][i] * (signs >> r & 1 ? 1 : -1);
        for (int i = 0; i < 6; i++) length += sum[i] * sum[i];
        for (int i = 0; i < 6; i++) off += pow(sum[i] / sqrt(length) - w[i], 2);
        if (off < 1e-10) return true;
    }
    return false;
}

/* Each class in turn. */
static void sums_of_classes_are_sums(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 24, 6, 3, 3);
    zo_net *net = make_net(ctx, task, "dense12 relu dense3", 1);
    zo_trainer *t =
        make_trainer(ctx, task, net, "elm", 1, SETTINGS("weights=class-sums", "lambda=0.1"));
    solve(t);
    for (size_t j = 0; j < 12; j++) {
        double w[6];
        unit_of(zo_trainer_net(t), j, w);
        assert_true(is_sum(task, (int)j % 3, w));
    }
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Normal weights are never 0 by themselves: what is not 0 fills a rectangle, a ninth of the side away from the edge, and not too small. */
static void fields_are_rectangles(void **state)
{
    (void)state;
    enum { WIDE = 20, UNITS = 40, BORDER = 2 };
    double w[WIDE * WIDE];
    int small = 0, most = 0;
    zo_task *task = make_images(ctx, 60, WIDE, WIDE, 1, 3, 3);
    zo_net *net = make_net(ctx, task, "dense40 relu dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 1, SETTINGS("fields=yes"));
    solve(t);
    for (size_t j = 0; j < UNITS; j++) {
        int top = WIDE, left = WIDE, bottom = -1, right = -1, count = 0;
        double length = 0;
        unit_of(zo_trainer_net(t), j, w);
        for (int i = 0; i < WIDE * WIDE; i++) {
            length += w[i] * w[i];
            if (w[i] == 0) continue;
            int y = i / WIDE, x = i % WIDE;
            top = y < top ? y : top, bottom = y > bottom ? y : bottom;
            left = x < left ? x : left, right = x > right ? x : right;
            count++;
        }
        int height = bottom - top + 1, width = right - left + 1;
        assert_int_equal(count, height * width);
        assert_true((height - 1) * (width - 1) >= 10);
        assert_true(top >= BORDER && left >= BORDER);
        assert_true(bottom < WIDE - BORDER && right < WIDE - BORDER);
        assert_near(length, 1, 1e-5, 0, "the length of a unit");
        small += count < WIDE * WIDE / 4;
        most = count > most ? count : most;
    }
    assert_true(small > UNITS / 2 && most > WIDE * WIDE / 4);
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Without biases a unit of classes gives 0 for a black image, whatever its field; normal units do not. */
static void units_of_classes_pass_through_black(void **state)
{
    (void)state;
    static const char *const setting[] = {"weights=class", "weights=class-sums", "weights=normal"};
    enum { WIDE = 12, UNITS = 40 };
    zo_task *task = make_images(ctx, 60, WIDE, WIDE, 1, 3, 3);
    for (int i = 0; i < task->inputs; i++) task->shift[i] = (float)(i % 7), task->scale[i] = 0.5f;
    zo_net *net = make_net(ctx, task, "dense40 relu dense3", 1);
    for (int k = 0; k < 3; k++) {
        zo_trainer *t =
            make_trainer(ctx, task, net, "elm", 1, SETTINGS(setting[k], "fields=yes", "bias=0"));
        solve(t);
        const zo_net *now = zo_trainer_net(t);
        double w[WIDE * WIDE], most = 0;
        for (size_t j = 0; j < UNITS; j++) {
            double z = (double)now->params[now->stage->bias + j];
            unit_of(now, j, w);
            for (int i = 0; i < WIDE * WIDE; i++) z += w[i] * (0 - i % 7) * 0.5;
            most = fmax(most, fabs(z));
        }
        assert_true(k < 2 ? most < 1e-4 : most > 1);
        zo_trainer_destroy(t);
    }
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* gain = 1 / (deviation + 0.01), shift = -mean gain; more rows than a tile. */
static void scales_are_those_of_the_rows(void **state)
{
    (void)state;
    zo_task *task = make_task(ctx, 5000, 7, 3, 3);
    zo_net *net = make_net(ctx, task, "scale dense20 relu dense3", 1);
    zo_examples *part = &task->part[ZO_TRAIN];
    for (int64_t i = 0; i < part->n; i++) part->x[i * task->stride + 2] += 1000;
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 1, NULL);
    solve(t);
    const zo_net *now = zo_trainer_net(t);
    for (int j = 0; j < 7; j++) {
        real mean = 0, square = 0, n = (real)part->n;
        for (int64_t i = 0; i < part->n; i++) mean += (real)part->x[i * task->stride + j] / n;
        for (int64_t i = 0; i < part->n; i++) {
            real d = (real)part->x[i * task->stride + j] - mean;
            square += d * d / n;
        }
        real gain = 1 / (sqrtl(square) + 0.01L);
        assert_near((double)now->params[now->stage->weight + (size_t)j], (double)gain, 0, 1e-5,
                    "a gain");
        assert_near((double)now->params[now->stage->bias + (size_t)j], (double)(-mean * gain), 1e-5,
                    1e-5, "a shift");
    }
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eigenvectors_make_the_matrix_again),
        cmocka_unit_test(filters_are_whitened),
        cmocka_unit_test(leading_directions_lead),
        cmocka_unit_test(groups_share_the_channels),
        cmocka_unit_test(units_of_classes_are_differences),
        cmocka_unit_test(sums_of_classes_are_sums),
        cmocka_unit_test(fields_are_rectangles),
        cmocka_unit_test(units_of_classes_pass_through_black),
        cmocka_unit_test(scales_are_those_of_the_rows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
