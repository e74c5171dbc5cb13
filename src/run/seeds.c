#include "run/seeds.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/deflate.h"
#include "run/rebuild.h"

static const char magic[16] = "zeroth seeds 1\n";

#define STEPS_MOST ((int64_t)1 << 32)
#define DRAWS_MOST ((int64_t)1 << 24)

/* ---- writing ---- */

typedef struct writing {
    zo_rebuild b;
    zo_buffer progress, weight; /* f64, of the steps taken so far */
    size_t draws;
    int64_t kept_size; /* steps up to the kept network */
    bool kept_average; /* it is of averaged parameters */
    zo_net *model;
} writing;

static zo_status collect(writing *w)
{
    zo_loop *l = &w->b.loop;
    zo_status status = ZO_OK;
    while (!status && l->course.step < w->b.survey.done) {
        status = zo_rebuild_until(&w->b, l->course.step + 1);
        if (status) break;
        const double *weight = zo_trainer_drawn(l->trainer, &w->draws);
        zo_buffer_add(&w->progress, &l->progress, sizeof l->progress);
        zo_buffer_add(&w->weight, weight, w->draws * sizeof *weight);
        status = w->progress.status ? w->progress.status : w->weight.status;
    }
    if (!status) status = zo_rebuild_all(&w->b);
    w->kept_size = l->course.kept;
    w->kept_average = l->kept_average;
    if (status || !l->course.back || l->course.back > l->course.kept) return status;
    return zo_fail(w->b.ctx, ZO_UNSUPPORTED,
                   "%s: after step %lld the run went back, and seeds tell of steps that all count",
                   w->b.model, (long long)l->course.back);
}

/* What is to be written must be what the run gave. */
static zo_status check_model(writing *w)
{
    zo_status status = zo_net_load(w->b.ctx, w->b.model, &w->model);
    if (status) return status;
    const zo_net *kept = w->b.loop.kept, *model = w->model;
    if (kept->arena == model->arena &&
        !memcmp(kept->params, model->params, kept->arena * sizeof *kept->params))
        return ZO_OK;
    return zo_fail(w->b.ctx, ZO_FORMAT,
                   "%s: not the network that the journal leads to ('zeroth verify' tells more)",
                   w->b.model);
}

static zo_status open_run(writing *w, zo_context *ctx, const char *run)
{
    zo_status status = zo_rebuild_open(&w->b, ctx, run, NULL);
    if (status == ZO_USAGE)
        return zo_fail(
            ctx, ZO_UNSUPPORTED,
            "%s: losses do not determine its network: only a run of a method such as weights, "
            "from a network of its own, can be written as seeds",
            run);
    if (status) return status;
    if (w->b.survey.ended && !access(w->b.model, F_OK)) return ZO_OK;
    return zo_fail(ctx, ZO_UNSUPPORTED, "%s: the run has not ended yet: resume it first", run);
}

static int64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : (int64_t)st.st_size;
}

static void add_header(const writing *w, zo_buffer *out)
{
    bool failed = false;
    char sum[ZO_SUM_ROOM];
    zo_buffer text = {.ctx = w->b.ctx};
    json_t *o = json_object(), *notes = json_object();
    for (const zo_note *n = w->model->notes; n; n = n->next)
        zo_json_set(notes, n->key, json_string(n->value), &failed);
    zo_json_set(o, "recipe", json_incref(w->b.recipe), &failed);
    zo_json_set(o, "notes", notes, &failed);
    zo_json_set(o, "steps", json_integer(w->kept_size), &failed);
    if (w->kept_average) zo_json_set(o, "averaged", json_true(), &failed);
    zo_json_set(o, "draws", json_integer((json_int_t)w->draws), &failed);
    zo_json_set(o, "numbers", json_string(zo_recipe_sum(zo_recipe_numbers(w->model), sum)), &failed);
    zo_json_set(o, "model_bytes", json_integer(file_size(w->b.model)), &failed);
    zo_json_text(o, JSON_COMPACT | JSON_REAL_PRECISION(17), &text);
    json_decref(o);
    uint32_t size = (uint32_t)text.size;
    zo_buffer_add(out, magic, sizeof magic);
    zo_buffer_add(out, &size, sizeof size);
    zo_buffer_add(out, text.data, text.size);
    if (text.status || failed)
        out->status = zo_fail(w->b.ctx, ZO_NO_MEMORY, "out of memory while writing JSON");
    zo_buffer_free(&text);
}

static void add_floats(zo_buffer *out, const float *x, int n)
{
    for (int i = 0; i < n; i++) {
        double wide = (double)x[i];
        zo_buffer_add(out, &wide, sizeof wide);
    }
}

static zo_status add_packed(zo_buffer *out, const zo_buffer *doubles, size_t n)
{
    if (doubles->status) out->status = doubles->status;
    return out->status ? out->status
                       : zo_deflate(out, (const double *)(const void *)doubles->data, n);
}

static void add_numbers(writing *w, zo_buffer *out)
{
    const zo_net *m = w->model;
    size_t steps = (size_t)w->kept_size;
    zo_buffer transforms = {.ctx = w->b.ctx};
    add_floats(&transforms, m->shift, m->inputs);
    add_floats(&transforms, m->scale, m->inputs);
    add_floats(&transforms, m->out_shift, m->outputs);
    add_floats(&transforms, m->out_scale, m->outputs);
    add_packed(out, &w->progress, steps);
    add_packed(out, &w->weight, steps * w->draws);
    add_packed(out, &transforms, transforms.size / sizeof(double));
    zo_buffer_free(&transforms);
}

static zo_status write_file(writing *w, const char *path, zo_seeds_info *info)
{
    zo_buffer out = {.ctx = w->b.ctx};
    add_header(w, &out);
    if (!out.status) add_numbers(w, &out);
    uint64_t sum = zo_checksum(out.data, out.size);
    zo_buffer_add(&out, &sum, sizeof sum);
    zo_status status = out.status ? out.status : zo_file_write(w->b.ctx, path, out.data, out.size);
    *info = (zo_seeds_info){
        .steps = w->kept_size, .bytes = (int64_t)out.size, .model_bytes = file_size(w->b.model)};
    zo_recipe_method(w->b.recipe, info->method, sizeof info->method);
    zo_buffer_free(&out);
    return status;
}

zo_status zo_seeds_save(zo_context *ctx, const char *run, const char *path, zo_seeds_info *info)
{
    zo_seeds_info unused;
    writing w = {.progress.ctx = ctx, .weight.ctx = ctx};
    if (!run || !path) return zo_fail(ctx, ZO_USAGE, "seeds need a run and a path to write to");
    zo_status status = open_run(&w, ctx, run);
    if (!status) status = collect(&w);
    if (!status) status = check_model(&w);
    if (!status) status = write_file(&w, path, info ? info : &unused);
    zo_net_destroy(w.model);
    zo_buffer_free(&w.progress);
    zo_buffer_free(&w.weight);
    zo_rebuild_close(&w.b);
    return status;
}

/* ---- reading ---- */

typedef struct reading {
    zo_context *ctx;
    const char *path;
    char *data;
    size_t size;
    zo_reader in; /* after the header */
    json_t *header;
    int64_t steps, draws;
} reading;

static zo_status bad(const reading *r, const char *what)
{
    return zo_fail(r->ctx, ZO_FORMAT, "%s: not a zeroth seeds file: %s", r->path, what);
}

/* The frame and the header. close_file() is due also after a failure. */
static zo_status open_file(reading *r, zo_context *ctx, const char *path)
{
    uint32_t length;
    uint64_t sum;
    *r = (reading){.ctx = ctx, .path = path};
    zo_status status = zo_file_read(ctx, path, (size_t)1 << 40, &r->data, &r->size);
    if (status) return status;
    if (r->size < sizeof magic + sizeof length + sizeof sum || memcmp(r->data, magic, sizeof magic))
        return bad(r, "it does not begin like one");
    memcpy(&sum, r->data + r->size - sizeof sum, sizeof sum);
    if (sum != zo_checksum(r->data, r->size - sizeof sum))
        return bad(r, "damaged: its checksum does not fit");
    r->in = (zo_reader){r->data + sizeof magic, r->data + r->size - sizeof sum, false};
    zo_reader_take(&r->in, &length, sizeof length);
    if (length > (size_t)(r->in.end - r->in.at)) return bad(r, "its header is cut off");
    r->header = zo_recipe_read(ctx, path, r->in.at, length);
    if (!r->header) return ZO_FORMAT;
    r->in.at += length;
    r->steps = zo_json_whole(r->header, "steps", 0, STEPS_MOST);
    r->draws = zo_json_whole(r->header, "draws", 0, DRAWS_MOST);
    if (r->steps < 0 || r->draws < 0) return bad(r, "impossible numbers of steps or draws");
    return ZO_OK;
}

static void close_file(reading *r)
{
    json_decref(r->header);
    zo_free(r->ctx, r->data);
}

/* n numbers into *out, zo_alloc'ed; NULL after a failure. */
static zo_status take_packed(reading *r, size_t n, double **out)
{
    *out = NULL;
    if (n > zo_inflate_most((size_t)(r->in.end - r->in.at)))
        return bad(r, "its numbers are cut off");
    *out = zo_alloc(r->ctx, n * sizeof **out);
    if (!*out) return ZO_NO_MEMORY;
    zo_status status = zo_inflate(r->ctx, &r->in, *out, n);
    if (!status) return ZO_OK;
    zo_free(r->ctx, *out);
    *out = NULL;
    return status == ZO_FORMAT ? bad(r, "its numbers cannot be unpacked") : status;
}

static zo_status take_step(reading *r, zo_trainer *trainer, double progress, const double *weight)
{
    if (!(progress >= 0 && progress <= 1)) return bad(r, "impossible progress");
    if (zo_cancelled(r->ctx)) return zo_fail(r->ctx, ZO_CANCELLED, "stopped on request");
    return zo_trainer_redraw(trainer, progress, weight, (size_t)r->draws);
}

static zo_status take_steps(reading *r, zo_trainer *trainer)
{
    size_t steps = (size_t)r->steps, draws = (size_t)r->draws;
    double *progress, *weight = NULL;
    if (!zo_trainer_numbers(trainer)) return bad(r, "a method whose steps need data");
    zo_status status = take_packed(r, steps, &progress);
    if (!status) status = take_packed(r, steps * draws, &weight);
    for (size_t i = 0; i < steps && !status; i++)
        status = take_step(r, trainer, progress[i], weight + i * draws);
    zo_free(r->ctx, progress);
    zo_free(r->ctx, weight);
    return status;
}

static zo_status take_transforms(reading *r, zo_net *net)
{
    size_t inputs = (size_t)net->inputs, outputs = (size_t)net->outputs, n = 2 * (inputs + outputs);
    double *wide;
    zo_status status = take_packed(r, n, &wide);
    float *f = status ? NULL : zo_alloc(r->ctx, n * sizeof *f);
    if (!status && !f) status = ZO_NO_MEMORY;
    for (size_t i = 0; i < n && !status; i++) f[i] = (float)wide[i];
    if (!status) status = zo_net_set_input(net, f, f + inputs);
    if (!status) status = zo_net_set_output(net, f + 2 * inputs, f + 2 * inputs + outputs);
    zo_free(r->ctx, wide);
    zo_free(r->ctx, f);
    if (status == ZO_USAGE) status = bad(r, "a scale that is not finite");
    return !status && r->in.at != r->in.end ? bad(r, "bytes are left over") : status;
}

static zo_status take_notes(const reading *r, zo_net *net)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(r->header, "notes"), key, value)
    {
        zo_status status = json_is_string(value)
                               ? zo_net_set_note(net, key, json_string_value(value))
                               : bad(r, "a note that is no text");
        if (status) return status == ZO_USAGE ? bad(r, "a note that no model has") : status;
    }
    return ZO_OK;
}

/* Another version may take other steps from the same weights. */
static zo_status check_numbers(const reading *r, const zo_net *net)
{
    char sum[ZO_SUM_ROOM];
    const char *wanted = json_string_value(json_object_get(r->header, "numbers")),
               *version = json_string_value(
                   json_object_get(json_object_get(r->header, "recipe"), "version"));
    if (wanted && !strcmp(wanted, zo_recipe_sum(zo_recipe_numbers(net), sum))) return ZO_OK;
    return zo_fail(r->ctx, ZO_CHANGED,
                   "%s: zeroth " ZO_VERSION_STRING
                   " does not come to the network that it was written from, by zeroth %.40s",
                   r->path, version ? version : "?");
}

static zo_status rebuild(reading *r, zo_net **out)
{
    zo_task *hollow;
    zo_trainer *trainer;
    json_t *recipe = json_object_get(r->header, "recipe");
    if (!json_is_object(recipe)) return bad(r, "it does not say what the run was made of");
    zo_status status = zo_recipe_trainer(r->ctx, r->path, recipe, NULL, &hollow, &trainer);
    if (!status) status = take_steps(r, trainer);
    const zo_net *net = status ? NULL : zo_trainer_net(trainer);
    if (net && json_is_true(json_object_get(r->header, "averaged")))
        net = zo_trainer_average(trainer);
    if (!status && !net) status = bad(r, "an average that its method does not have");
    if (!status) status = zo_net_copy(net, out);
    if (!status) status = check_numbers(r, *out);
    if (!status) status = take_transforms(r, *out);
    if (!status) status = take_notes(r, *out);
    zo_trainer_destroy(trainer);
    zo_task_destroy(hollow);
    return status == ZO_UNSUPPORTED ? ZO_FORMAT : status;
}

bool zo_seeds_there(const char *path)
{
    char start[sizeof magic];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool there = fd >= 0 && read(fd, start, sizeof start) == sizeof start &&
                 !memcmp(start, magic, sizeof start);
    if (fd >= 0) close(fd);
    return there;
}

zo_status zo_seeds_load(zo_context *ctx, const char *path, zo_net **out)
{
    reading r;
    *out = NULL;
    zo_status status = open_file(&r, ctx, path);
    if (!status) status = rebuild(&r, out);
    close_file(&r);
    if (!status) return ZO_OK;
    zo_net_destroy(*out);
    *out = NULL;
    return status;
}

zo_status zo_seeds_describe(zo_context *ctx, const char *path, zo_seeds_info *out)
{
    reading r;
    *out = (zo_seeds_info){0};
    zo_status status = open_file(&r, ctx, path);
    if (!status) {
        *out = (zo_seeds_info){.steps = r.steps,
                               .bytes = (int64_t)r.size,
                               .model_bytes =
                                   zo_json_whole(r.header, "model_bytes", 0, (int64_t)1 << 50)};
        zo_recipe_method(json_object_get(r.header, "recipe"), out->method, sizeof out->method);
    }
    close_file(&r);
    return status;
}
