/* What the tests of resumed runs share: runs that are stopped or killed at any parallel call, and what must be the same afterwards.
 *
 * A run is killed by copying its directory in the middle of a step: the copy is what a killed process leaves behind.
 */
#ifndef ZO_TESTS_RESUME_SUPPORT_H
#define ZO_TESTS_RESUME_SUPPORT_H

#include "contract_support.h"

/* What was logged. */
typedef struct book {
    char text[2000];
    int warnings, infos;
} book;

static inline void listen(void *user, zo_log_level level, const char *text)
{
    book *b = user;
    b->warnings += level == ZO_LOG_WARNING;
    b->infos += level == ZO_LOG_INFO;
    size_t n = strlen(b->text);
    snprintf(b->text + n, sizeof b->text - n, "%s\n", text);
}

static zo_context *ctx; /* two threads, whose log is kept */
static book said;
static char *folder;

/* A run to be disturbed. */
typedef struct course {
    trial t;
    bool init;  /* starts from a network of its own */
    bool jumps; /* of the trial's loss */
    bool resume, force;
    double epochs, forwards, seconds, target, checkpoint;
    uint64_t seed;
    bool turned;      /* of images: their height is their width */
    const char *net;  /* NULL: of one hidden layer */
    const char *data; /* a setting of the task; NULL: n=130 */
} course;

/* A trial as a course. */
static inline course course_of(const trial *t)
{
    course c = {.t = *t, .epochs = 9, .seed = 11};
    for (int i = 0; i < 3; i++) {
        if (!strncmp(c.t.setting[i], "batch=", 6)) put_setting(&c.t, i, "batch", "16");
    }
    if (!c.t.task && !c.t.images) c.t.task = c.t.regression ? "plane" : "spirals";
    return c;
}

/* A folder in memory if there is one: what a disk takes for each fsync is not what is tested here. */
static inline char *make_quick_folder(void)
{
    if (!access("/dev/shm", W_OK | X_OK)) setenv("TMPDIR", "/dev/shm", 0);
    return make_folder();
}

/* "parent/name-N", which is not there yet. */
enum { ROOM = 300 };
static inline const char *fresh_in(const char *parent, char path[ROOM], const char *name)
{
    static int turn;
    assert_true(snprintf(path, ROOM, "%s/%s-%d", parent, name, turn++) < ROOM);
    return path;
}

static inline const char *fresh(char path[ROOM], const char *name)
{
    return fresh_in(folder, path, name);
}

/* The course of an estimator and a rule. */
static inline course plain(const char *estimator, const char *rule)
{
    trial t = trial_of(estimator, rule);
    snprintf(t.name, sizeof t.name, "%s:%s", estimator, rule);
    return course_of(&t);
}

/* The same on images. */
static inline course plain_images(const char *estimator, const char *rule)
{
    course c = plain(estimator, rule);
    c.t.images = true;
    c.t.task = NULL;
    return c;
}

/* Whether the seed and the losses of its steps determine a course, so that its journal can be replayed without the data. */
static inline bool from_losses(const course *c)
{
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(c->t.method, ":"), c->t.method);
    const zo_estimator_class *estimator = zo_find(zo_estimator_classes, name);
    assert_non_null(estimator);
    return estimator->pack != NULL;
}

static inline int set_up(void **state)
{
    (void)state;
    zo_context_def def = zo_context_default_def();
    def.threads = 2;
    def.log = listen;
    def.log_user = &said;
    assert_int_equal(zo_context_create(&def, &ctx), ZO_OK);
    folder = make_quick_folder();
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    remove_folder(folder);
    return 0;
}

/* Removes a run; `path` stays the caller's. */
static inline void wipe(const char *path) { nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS); }

/* A context of one worker that counts its parallel calls, and is disturbed at some of them. */
typedef struct host {
    zo_context *ctx;
    long calls;
    long save_at[2], kill_at, stop_at; /* 0: never */
    const char *run, *copy;            /* what a kill copies, and where to */
} host;

/* Nothing where there is no such folder yet. */
static inline void copy_folder(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    if (!dir) return;
    assert_int_equal(mkdir(to, 0777), 0);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        size_t size;
        char *bytes = get_file(in_folder(from, e->d_name), &size);
        put_file(in_folder(to, e->d_name), bytes, size);
        free(bytes);
    }
    closedir(dir);
}

static inline void run_items(void *user, int64_t n, zo_work_fn fn, void *arg)
{
    host *h = user;
    h->calls++;
    if (h->calls == h->save_at[0] || h->calls == h->save_at[1]) zo_checkpoint(h->ctx);
    if (h->calls == h->kill_at) copy_folder(h->run, h->copy);
    if (h->calls == h->stop_at) zo_cancel(h->ctx);
    for (int64_t i = 0; i < n; i++) fn(arg, i, 0);
}

/* Where the host lies must not change while its context lives. */
static inline zo_context *hosted(host *h, const char *kernels)
{
    zo_context_def def = zo_context_default_def();
    *h = (host){0};
    def.executor = (zo_executor){run_items, 1, h};
    def.kernels = kernels;
    assert_int_equal(zo_context_create(&def, &h->ctx), ZO_OK);
    return h->ctx;
}

/* What a run came to. */
typedef struct outcome {
    zo_train_result r;
    float *params;
    size_t n;
} outcome;

/* The definition of a course in a context: its task, and its first network if it has one of its own, are the caller's to destroy. */
static inline zo_status try_plan(zo_context *where, course *c, const char *out, zo_train_def *def,
                                 zo_task **task, zo_net **init)
{
    static char spec[96];
    zo_task_def of = zo_task_default_def();
    of.name = c->t.task;
    of.seed = 5;
    of.settings = SETTINGS(c->data ? c->data : "n=130");
    *init = NULL;
    zo_status status = ZO_OK;
    if (c->t.images)
        *task = make_images(where, 130, c->turned ? 4 : 5, c->turned ? 5 : 4, 2,
                            c->t.regression ? 0 : 3, 3);
    else
        status = zo_task_create(where, &of, task);
    if (status) return status;
    snprintf(spec, sizeof spec, "%s dense%d",
             c->t.images ? "conv2x4 tanh { dwconv2,same norm }+ pool2" : "dense7 tanh",
             (*task)->outputs);
    *init = c->init ? make_net(where, *task, spec, 99) : NULL;
    *def = (zo_train_def){.task = *task,
                          .init = *init,
                          .net = c->net ? c->net : spec,
                          .method = c->t.method,
                          .settings = settings_of(&c->t),
                          .loss = c->t.loss,
                          .batch_loss = c->t.batch_loss,
                          .loss_user = c->t.loss_user,
                          .loss_jumps = c->jumps,
                          .seed = c->seed,
                          .epochs = c->epochs,
                          .forwards = c->forwards,
                          .seconds = c->seconds,
                          .target = c->target,
                          .checkpoint = c->checkpoint,
                          .resume = c->resume,
                          .force = c->force,
                          .out = out};
    return ZO_OK;
}

/* The same where nothing can fail. */
static inline zo_train_def plan(zo_context *where, course *c, const char *out, zo_task **task,
                                zo_net **init)
{
    zo_train_def def;
    if (try_plan(where, c, out, &def, task, init)) fail_msg("%s", zo_last_error(where));
    return def;
}

/* Runs a course; o may be NULL. */
static inline zo_status go(zo_context *where, const course *like, const char *out, outcome *o)
{
    course c = *like;
    zo_task *task;
    zo_net *init, *net = NULL;
    zo_train_result r = {.steps = 0};
    zo_train_def def;
    zo_status status = try_plan(where, &c, out, &def, &task, &init);
    if (!status) status = zo_train(where, &def, &r, &net);
    if (o) *o = (outcome){.r = r};
    if (o && net) {
        o->n = net->arena;
        o->params = floats(net->arena);
        memcpy(o->params, net->params, net->arena * sizeof *o->params);
    }
    zo_net_destroy(net);
    zo_net_destroy(init);
    zo_task_destroy(task);
    return status;
}

static inline outcome go_as(zo_context *where, const course *c, const char *out, zo_status want)
{
    outcome o;
    zo_status status = go(where, c, out, &o);
    if (status != want)
        fail_msg("%s: %s, not %s: %s", c->t.name, zo_status_name(status), zo_status_name(want),
                 zo_last_error(where));
    return o;
}

static inline outcome resume_as(zo_context *where, const course *like, const char *out,
                                zo_status want)
{
    course c = *like;
    c.resume = true;
    return go_as(where, &c, out, want);
}

/* Where only the status matters. */
static inline void expect(zo_context *where, const course *c, const char *out, zo_status want)
{
    outcome o = go_as(where, c, out, want);
    free(o.params);
}

static inline void expect_resumed(zo_context *where, const course *c, const char *out,
                                  zo_status want)
{
    outcome o = resume_as(where, c, out, want);
    free(o.params);
}

static inline int same_number(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

/* All that does not come from a clock. */
static inline void assert_same_outcome(const outcome *got, const outcome *want, const char *what)
{
    const zo_train_result *a = &got->r, *b = &want->r;
    const struct {
        const char *name;
        double a, b;
    } number[] = {
        {"steps", (double)a->steps, (double)b->steps},
        {"dropped", (double)a->dropped, (double)b->dropped},
        {"cost", a->cost, b->cost},
        {"forwards", a->forwards, b->forwards},
        {"epochs", a->epochs, b->epochs},
        {"train_loss", a->train_loss, b->train_loss},
        {"validation_loss", a->validation_loss, b->validation_loss},
        {"validation_accuracy", a->validation_accuracy, b->validation_accuracy},
        {"test_loss", a->test_loss, b->test_loss},
        {"test_accuracy", a->test_accuracy, b->test_accuracy},
        {"rolled_back", (double)a->rolled_back, (double)b->rolled_back},
        {"parameters", (double)a->parameters, (double)b->parameters},
        {"uses", a->uses, b->uses},
    };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        if (!same_number(number[i].a, number[i].b))
            fail_msg("%s: %s is %.17g, not %.17g", what, number[i].name, number[i].a, number[i].b);
    }
    assert_string_equal(a->trainer, b->trainer);
    assert_string_equal(a->estimator, b->estimator);
    assert_string_equal(a->rule, b->rule);
    assert_int_equal(got->n, want->n);
    assert_same_floats(got->params, want->params, want->n, what);
}

/* What a course comes to if nothing disturbs it, and how many parallel calls that takes. */
static inline outcome undisturbed(const course *c, long *calls)
{
    host h;
    zo_context *where = hosted(&h, NULL);
    outcome o = go_as(where, c, NULL, ZO_OK);
    if (calls) *calls = h.calls;
    zo_context_destroy(where);
    return o;
}

/* Trains until the parallel call `at`, where the run is copied to `killed` (unless NULL), and then stopped. Up to two `states` are saved
 * before. */
static inline zo_status interrupt(const course *c, const char *out, const char *kernels, int states,
                                  long at, const char *killed)
{
    host h;
    outcome o;
    zo_context *where = hosted(&h, kernels);
    h.save_at[0] = states > 0 ? at * 3 / 4 : 0;
    h.save_at[1] = states > 1 ? at / 2 : 0;
    h.stop_at = at;
    h.kill_at = killed ? at : 0;
    h.run = out;
    h.copy = killed;
    zo_status status = go(where, c, out, &o);
    if (status != ZO_CANCELLED && status != ZO_OK) /* which it is after the last step */
        fail_msg("%s: %s", c->t.name, zo_last_error(where));
    free(o.params);
    zo_context_destroy(where);
    return status;
}

/* A run that was killed at about two thirds, with two saved states on the way. */
static inline const char *killed_run(const course *c, char path[ROOM])
{
    char out[ROOM];
    long calls;
    outcome o = undisturbed(c, &calls);
    free(o.params);
    interrupt(c, fresh(out, "first"), NULL, 2, calls * 2 / 3, fresh(path, "killed"));
    wipe(out);
    return path;
}
/* Verifies with the course's task, loss and first network; `bare`: with nothing. */
static inline zo_verified verify(const course *like, const char *run, bool bare, zo_status want)
{
    course c = *like;
    zo_verified v;
    zo_task *task;
    zo_net *init;
    zo_train_def def = plan(ctx, &c, NULL, &task, &init);
    def.method = "of no matter";
    def.net = NULL;
    def.seed = 12345;
    zo_status status = zo_verify(ctx, run, bare ? NULL : &def, &v);
    if (status != want)
        fail_msg("%s: %s, not %s: %s", c.t.name, zo_status_name(status), zo_status_name(want),
                 zo_last_error(ctx));
    zo_task_destroy(task);
    zo_net_destroy(init);
    return v;
}

static inline zo_verified verify_fine(const course *c, const char *run, bool bare)
{
    zo_verified v = verify(c, run, bare, ZO_OK);
    if (v.different) fail_msg("%s: %d numbers differ", c->t.name, (int)v.different);
    assert_true(v.numbers > 0 && v.seconds >= 0);
    return v;
}
#endif
