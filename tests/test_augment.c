/* Images that change: against the same drawn on paper in double precision, pixel by pixel; how often each change comes; and what refuses. */
#include "images_training.h"

#include "base/random.h"
#include "learn/augment.h"

static zo_context *ctx;
static zo_task *task; /* images of 7 x 9 x 2, whose features differ in mean */

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    task = make_images(ctx, 40, 7, 9, 2, 3, 3);
    for (int f = 0; f < task->inputs; f++) task->shift[f] = 0.25f * (float)(f % 5) + 0.125f;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_task_destroy(task);
    zo_context_destroy(ctx);
    return 0;
}

static zo_augment augment_of(zo_augment_settings set, uint64_t seed)
{
    zo_augment a;
    assert_int_equal(zo_augment_init(&a, &set, task, seed), ZO_OK);
    return a;
}

static const float *example(int i) { return task->part[ZO_TRAIN].x + i * task->stride; }

enum { H = 7, W = 9, C = 2, N = H * W * C };

/* The raw image of features, and back. */
static double raw(const float *x, int f)
{
    return (double)x[f] / (double)task->scale[f] + (double)task->shift[f];
}

static double feature(double raw_number, int f)
{
    return (raw_number - (double)task->shift[f]) * (double)task->scale[f];
}

static bool is_image(const float *got, const double *want)
{
    for (int f = 0; f < N; f++) {
        if (!(fabs((double)got[f] - feature(want[f], f)) < 1e-5)) return false;
    }
    return true;
}

/* The raw image moved by (down, across), after it was mirrored. */
static void moved_image(const float *x, int down, int across, bool mirrored, double *to)
{
    for (int f = 0; f < N; f++) {
        int y = f / (W * C) - down, i = f / C % W - across, k = f % C;
        bool inside = y >= 0 && y < H && i >= 0 && i < W;
        to[f] = inside ? raw(x, (y * W + (mirrored ? W - 1 - i : i)) * C + k) : 0;
    }
}

/* Every move within reach comes, about equally often, and nothing else. */
static void check_moves(bool one_scale)
{
    enum { DRAWS = 5000, MOVES = 25 };
    int count[MOVES][2] = {{0}};
    zo_augment a = augment_of((zo_augment_settings){.shift = 2, .flip = true}, 3);
    double want[MOVES * 2][N];
    assert_int_equal(a.one_scale, one_scale);
    for (int m = 0; m < MOVES * 2; m++)
        moved_image(example(1), m / 2 / 5 - 2, m / 2 % 5 - 2, m % 2, want[m]);
    for (int i = 0; i < DRAWS; i++) {
        float got[N];
        int found = 0;
        zo_augment_example(&a, i / 50, i % 50, example(1), got);
        for (int m = 0; m < MOVES * 2; m++) {
            if (!is_image(got, want[m])) continue;
            count[m / 2][m % 2]++;
            found++;
        }
        assert_int_equal(found, 1);
    }
    for (int m = 0; m < MOVES * 2; m++) /* 100 of each expected, deviation 10 */
        assert_in_range(count[m / 2][m % 2], 55, 145);
}

/* Features each with a scale of its own, and all with the same. */
static void images_are_moved_and_mirrored(void **state)
{
    float own[N];
    (void)state;
    check_moves(false);
    memcpy(own, task->scale, sizeof own);
    for (int f = 0; f < N; f++) task->scale[f] = 1.5f;
    check_moves(true);
    memcpy(task->scale, own, sizeof own);
}

static void the_same_step_and_place_change_alike(void **state)
{
    float a[N], b[N];
    zo_augment one = augment_of((zo_augment_settings){.shift = 3, .rotate = 20, .cutout = 3}, 3),
               other = augment_of((zo_augment_settings){.shift = 3, .rotate = 20, .cutout = 3}, 4);
    (void)state;
    zo_augment_example(&one, 5, 7, example(2), a);
    zo_augment_example(&one, 5, 7, example(2), b);
    assert_memory_equal(a, b, sizeof a);
    zo_augment_example(&one, 5, 8, example(2), b);
    assert_memory_not_equal(a, b, sizeof a);
    zo_augment_example(&one, 6, 7, example(2), b);
    assert_memory_not_equal(a, b, sizeof a);
    zo_augment_example(&other, 5, 7, example(2), b);
    assert_memory_not_equal(a, b, sizeof a);
}

/* A blob of known place: where its centre of mass goes says by how much the image was turned. */
static void images_are_turned(void **state)
{
    float x[N], got[N];
    zo_augment a = augment_of((zo_augment_settings){.rotate = 60}, 9);
    double least = 0, most = 0, squares = 0;
    (void)state;
    for (int f = 0; f < N; f++)
        x[f] =
            (float)feature(f / (W * C) == 3 && f / C % W == 6 ? 1 : 0, f); /* right of the middle */
    for (int i = 0; i < 400; i++) {
        double sum = 0, down = 0, across = 0;
        zo_augment_example(&a, 0, i, x, got);
        for (int f = 0; f < N; f++) {
            double r = (double)got[f] / (double)task->scale[f] + (double)task->shift[f];
            sum += r, down += r * (f / (W * C) - 3), across += r * (f / C % W - 4);
        }
        double turn = atan2(down, across) * 180 / acos(-1), from = hypot(down, across) / sum;
        assert_near(from, 2, 0.1, 0, "distance from the centre");
        assert_true(fabs(turn) < 62);
        least = fmin(least, turn), most = fmax(most, turn), squares += turn * turn / 400;
    }
    assert_true(least < -50 && most > 50);
    assert_near(sqrt(squares), 60 / sqrt(3), 3, 0, "deviation of the turn");
}

static void squares_are_cut_out(void **state)
{
    zo_augment a = augment_of((zo_augment_settings){.cutout = 3}, 2);
    int whole = 0, most = 0;
    (void)state;
    for (int i = 0; i < 200; i++) {
        float got[N];
        int top = H, left = W, bottom = -1, right = -1, gone = 0;
        zo_augment_example(&a, 1, i, example(3), got);
        for (int f = 0; f < N; f++) {
            int y = f / (W * C), at = f / C % W;
            if (got[f] == example(3)[f]) continue;
            assert_true(got[f] == 0); /* the mean of the feature */
            gone++;
            top = y < top ? y : top, left = at < left ? at : left;
            bottom = y > bottom ? y : bottom, right = at > right ? at : right;
        }
        int size = (bottom - top + 1) * (right - left + 1) * C;
        assert_true(gone == size && bottom - top < 3 && right - left < 3);
        whole += gone == 9 * C;
        most = gone > most ? gone : most;
    }
    assert_int_equal(most, 9 * C);
    assert_in_range(whole, 95, 145); /* 5 x 7 of 7 x 9 places: 111 of 200 expected */
}

static void nothing_changes_where_nothing_is_asked(void **state)
{
    float got[N];
    zo_augment a = augment_of((zo_augment_settings){0}, 2);
    (void)state;
    assert_false(a.any);
    zo_augment_example(&a, 1, 1, example(3), got);
    assert_memory_equal(got, example(3), sizeof got);
}

static void check_refused(const char *task_name, const char *setting, const char *says)
{
    zo_task *t = !strcmp(task_name, "images") ? task : NULL, *own = NULL;
    if (!t) t = own = named_task(ctx, task_name, 1, NULL);
    zo_net *net = make_net(ctx, t, "dense3", 1);
    zo_trainer *trainer = (zo_trainer *)&trainer;
    zo_trainer_def def = zo_trainer_default_def();
    const char *settings[] = {setting, NULL};
    def.task = t, def.net = net, def.settings = settings;
    assert_int_equal(zo_trainer_create(ctx, &def, &trainer), ZO_USAGE);
    assert_null(trainer);
    error_says(ctx, says, NULL);
    zo_net_destroy(net);
    zo_task_destroy(own);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    check_refused("blobs", "shift=1", "shift is for images, the task \"blobs\" has none");
    check_refused("blobs", "flip=yes", "flip is for images");
    check_refused("images", "shift=7", "shift=7 is too much for images of 7 x 9");
    check_refused("images", "cutout=8", "cutout=8 is too much");
    check_refused("images", "rotate=181", "0 to 180");
}

/* Of a net without layers before: the direction of dense is that of the changed images. */
static void training_sees_changed_images(void **state)
{
    (void)state;
    zo_net *net = make_net(ctx, task, "dense3", 1);
    const char *const plain[] = {COMMON, NULL}, *const moved[] = {COMMON, "shift=3", NULL};
    float *a = direction_of(ctx, task, net, "backprop:sgd", 1, plain, NULL),
          *b = direction_of(ctx, task, net, "backprop:sgd", 1, moved, NULL),
          *c = direction_of(ctx, task, net, "backprop:sgd", 1, moved, NULL);
    size_t bytes = net->arena * sizeof(float);
    assert_memory_equal(b, c, bytes);
    assert_memory_not_equal(a, b, bytes);
    free(a), free(b), free(c);
    zo_net_destroy(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_are_moved_and_mirrored),
        cmocka_unit_test(the_same_step_and_place_change_alike),
        cmocka_unit_test(images_are_turned),
        cmocka_unit_test(squares_are_cut_out),
        cmocka_unit_test(nothing_changes_where_nothing_is_asked),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(training_sees_changed_images),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
