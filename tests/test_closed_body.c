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

/* What whitening promises: over the patches of the training images the outputs of all filters f . Z (p - mu) have mean 0, and with f a basis
 * the variances are those of C / (C + w). Filters are sqrt(w')-long images of unit vectors: (C + w I)^(1/2) W has columns of length 1. */
static void filters_are_whitened(void **state)
{
    (void)state;
    enum { D = 9, SIDE = 8 };
    zo_task *task = make_images(ctx, 1200, SIDE, SIDE, 1, 3, 3);
    zo_net *net = make_net(ctx, task, "patch3x12 twosided0.25 cells2 sqrt flatten scale dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "conv-elm", 4, NULL);
    zo_step_info info;
    assert_int_equal(zo_trainer_step(t, 0, &info), ZO_OK);
    const zo_net *now = zo_trainer_net(t);
    const zo_stage *s = now->stage;
    real c[D * D] = {0}, mean[D] = {0}, n = 0;
    for (int64_t e = 0; e < task->part[ZO_TRAIN].n; e++) {
        for (int y = 0; y + 3 <= SIDE; y++) {
            for (int x = 0; x + 3 <= SIDE; x++, n++) {
                real p[D], m = 0, v = 0;
                for (int i = 0; i < D; i++) {
                    p[i] = (real)task->part[ZO_TRAIN]
                               .x[e * task->stride + (y + i / 3) * SIDE + x + i % 3];
                    m += p[i] / D;
                }
                for (int i = 0; i < D; i++) v += (p[i] - m) * (p[i] - m) / D;
                for (int i = 0; i < D; i++) p[i] = (p[i] - m) / sqrtl(v + 0.01L);
                for (int i = 0; i < D; i++) {
                    mean[i] += p[i];
                    for (int j = 0; j < D; j++) c[i * D + j] += p[i] * p[j];
                }
            }
        }
    }
    for (int i = 0; i < D; i++) mean[i] /= n;
    for (size_t k = 0; k < 12; k++) {
        real w[D], length = 0, bias = 0;
        for (size_t i = 0; i < D; i++) {
            w[i] = (real)now->params[s->weight + zo_stage_at(s, i, k)];
            bias -= mean[i] * w[i];
        }
        for (size_t i = 0; i < D; i++) {
            for (size_t j = 0; j < D; j++)
                length += w[i] * w[j] * (c[i * D + j] / n - mean[i] * mean[j] + (i == j) * 0.05L);
        }
        /* the library's patches are a sample of these */
        assert_near((double)length, 1, 0.05, 0, "the whitened length of a filter");
        assert_near((double)now->params[s->bias + k], (double)bias, 0.05, 0, "its bias");
    }
    zo_trainer_destroy(t);
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

/* Whether w is the difference of examples a and b, made 1 long. */
static bool is_difference(const zo_task *t, int64_t a, int64_t b, const double *w)
{
    const float *x = t->part[ZO_TRAIN].x + a * t->stride, *y = t->part[ZO_TRAIN].x + b * t->stride;
    double length = 0, off = 0;
    for (int i = 0; i < t->inputs; i++) {
        double d = (double)x[i] - (double)y[i];
        length += d * d;
    }
    for (int i = 0; i < t->inputs; i++) {
        double d = ((double)x[i] - (double)y[i]) / sqrt(length) - w[i];
        off += d * d;
    }
    return off < 1e-10;
}

static void units_of_classes_are_differences(void **state)
{
    (void)state;
    enum { UNITS = 20 };
    double w[6];
    zo_task *task = make_task(ctx, 60, 6, 3, 3);
    zo_net *net = make_net(ctx, task, "dense20 relu dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 1, SETTINGS("weights=class"));
    const zo_examples *part = &task->part[ZO_TRAIN];
    solve(t);
    for (size_t j = 0; j < UNITS; j++) {
        bool found = false;
        unit_of(zo_trainer_net(t), j, w);
        for (int64_t a = 0; a < part->n; a++)
            for (int64_t b = 0; b < part->n; b++)
                found |= part->label[a] != part->label[b] && is_difference(task, a, b, w);
        assert_true(found);
    }
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Normal weights are never 0 by themselves: what is not 0 fills a rectangle. */
static void fields_are_rectangles(void **state)
{
    (void)state;
    enum { SIDE = 14, UNITS = 40 };
    double w[SIDE * SIDE];
    bool smaller = false;
    zo_task *task = make_images(ctx, 60, SIDE, SIDE, 1, 3, 3);
    zo_net *net = make_net(ctx, task, "dense40 relu dense3", 1);
    zo_trainer *t = make_trainer(ctx, task, net, "elm", 1, SETTINGS("fields=yes"));
    solve(t);
    for (size_t j = 0; j < UNITS; j++) {
        int top = SIDE, left = SIDE, bottom = -1, right = -1, count = 0;
        double length = 0;
        unit_of(zo_trainer_net(t), j, w);
        for (int i = 0; i < SIDE * SIDE; i++) {
            length += w[i] * w[i];
            if (w[i] == 0) continue;
            int y = i / SIDE, x = i % SIDE;
            top = y < top ? y : top, bottom = y > bottom ? y : bottom;
            left = x < left ? x : left, right = x > right ? x : right;
            count++;
        }
        int height = bottom - top + 1, width = right - left + 1;
        assert_int_equal(count, height * width);
        assert_true(height >= 10 && width >= 10);
        assert_near(length, 1, 1e-5, 0, "the length of a unit");
        smaller |= count < SIDE * SIDE;
    }
    assert_true(smaller);
    zo_trainer_destroy(t);
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
        cmocka_unit_test(units_of_classes_are_differences),
        cmocka_unit_test(fields_are_rectangles),
        cmocka_unit_test(scales_are_those_of_the_rows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
